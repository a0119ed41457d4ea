//! Parses S3 event notifications, which name the originals that changed.
//!
//! A notification is the JSON of S3 (Amazon S3 User Guide, "Event message structure"), either bare or wrapped by SNS,
//! by SQS or by both. A notification can only purge originals of this proxy. URLs in a notification are never fetched,
//! not even the one that confirms a subscription.

use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::variants::PurgeError;

/// Result of an accepted notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventOutcome {
    /// The number of originals that were purged. Events of other buckets, prefixes and types are ignored.
    Purged { originals: usize },
    /// SNS requests the confirmation of a subscription: the operator has to open the `SubscribeURL` of the message.
    ConfirmSubscription,
}

/// Why a notification failed. The sender should send it again only after [`EventError::Purge`].
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    #[error("not an S3 event notification: send the JSON of S3, bare or wrapped by SNS or SQS")]
    Unrecognized,
    #[error(transparent)]
    Purge(#[from] PurgeError),
}

/// A parsed notification.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Notification {
    Changes(Vec<Change>),
    SubscriptionConfirmation,
}

/// An object that was written or removed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) bucket: String,
    pub(super) key: String,
}

/// Maximum depth of nested messages, such as an S3 message in an SNS message in an SQS message.
const WRAPPERS_MAX: usize = 3;

/// Parses the body of a notification.
///
/// # Errors
/// [`EventError::Unrecognized`].
pub(super) fn parse(body: &[u8]) -> Result<Notification, EventError> {
    let message: Value = serde_json::from_slice(body).map_err(|_| EventError::Unrecognized)?;
    if message["Type"] == "SubscriptionConfirmation" {
        return Ok(Notification::SubscriptionConfirmation);
    }
    let mut changes = Vec::new();
    collect(&message, WRAPPERS_MAX, &mut changes)?;
    Ok(Notification::Changes(changes))
}

fn collect(message: &Value, wrappers_max: usize, changes: &mut Vec<Change>) -> Result<(), EventError> {
    // S3 sends this event when notifications are enabled.
    if message["Event"] == "s3:TestEvent" {
        return Ok(());
    }
    let inner = message.get("Message").or_else(|| message.get("Body")).or_else(|| message.get("body"));
    if let Some(inner) = inner {
        let inner = inner.as_str().filter(|_| wrappers_max > 0).ok_or(EventError::Unrecognized)?;
        let inner = serde_json::from_str(inner).map_err(|_| EventError::Unrecognized)?;
        return collect(&inner, wrappers_max - 1, changes);
    }
    let records = message.get("Records").or_else(|| message.get("Messages")).and_then(Value::as_array);
    for record in records.ok_or(EventError::Unrecognized)? {
        match record.get("s3") {
            Some(s3) => changes.extend(change(record, s3)?),
            None => collect(record, wrappers_max, changes)?,
        }
    }
    Ok(())
}

/// The change that a record reports; `None` for events that do not change the object.
fn change(record: &Value, s3: &Value) -> Result<Option<Change>, EventError> {
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or(EventError::Unrecognized);
    let event = text(&record["eventName"])?;
    let event = event.strip_prefix("s3:").unwrap_or(&event);
    if !event.starts_with("ObjectCreated:") && !event.starts_with("ObjectRemoved:") {
        return Ok(None);
    }
    // Keys are form-encoded: a plus is a space.
    let key = text(&s3["object"]["key"])?.replace('+', " ");
    let key = percent_decode_str(&key).decode_utf8().map_err(|_| EventError::Unrecognized)?.into_owned();
    Ok(Some(Change { bucket: text(&s3["bucket"]["name"])?, key }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(event: &str, key: &str) -> Value {
        json!({"eventName": event, "s3": {"bucket": {"name": "pictures"}, "object": {"key": key}}})
    }

    fn keys(message: &Value) -> Option<Vec<String>> {
        let mut changes = Vec::new();
        collect(message, WRAPPERS_MAX, &mut changes).ok()?;
        assert!(changes.iter().all(|change| change.bucket == "pictures"));
        Some(changes.into_iter().map(|change| change.key).collect())
    }

    #[test]
    fn bare_and_wrapped_events_are_parsed() {
        let plain = json!({"Records": [
            record("ObjectCreated:Put", "cat+%C3%A9%2B.jpg"),
            record("s3:ObjectRemoved:Delete", "dog.jpg"),
            record("ObjectTagging:Put", "bird.jpg"),
        ]});
        let sns = json!({"Type": "Notification", "Message": plain.to_string()});
        let expected = Some(vec!["cat é+.jpg".to_owned(), "dog.jpg".to_owned()]);
        for message in [
            &plain,
            &sns,
            &json!({"Body": plain.to_string()}),
            &json!({"Messages": [{"Body": sns.to_string()}]}),
            &json!({"Records": [{"eventSource": "aws:sqs", "body": sns.to_string()}]}),
        ] {
            assert_eq!(keys(message), expected, "{message}");
        }
        assert_eq!(keys(&json!({"Event": "s3:TestEvent", "Bucket": "pictures"})), Some(vec![]));
    }

    #[test]
    fn other_messages_are_rejected() {
        let mut nested = json!({"Records": []});
        for _ in 0..=WRAPPERS_MAX {
            nested = json!({"Message": nested.to_string()});
        }
        for message in [
            json!({}),
            json!([]),
            json!({"Message": "hello"}),
            json!({"Message": {"Records": []}}),
            json!({"Records": [{"eventName": "ObjectCreated:Put", "s3": {}}]}),
            json!({"Records": [record("ObjectCreated:Put", "%ff")]}),
            nested,
        ] {
            assert_eq!(keys(&message), None, "{message}");
        }
    }
}
