//! S3 event notifications: the originals that changed, and their variants forgotten.
//!
//! Takes the JSON that S3 sends (Amazon S3 User Guide, "Event message structure"), bare, inside of an SNS message, or inside of
//! SQS messages, with or without SNS between. A message makes nothing but purges, and only of this proxy's originals; no URL
//! in it is ever fetched, least of all one that says it confirms a subscription.

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::Proxy;
use super::purge::PurgeError;
use crate::variant::ObjectKey;

/// What became of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notified {
    /// So many originals were purged; what concerned other buckets, prefixes or events was passed over.
    Purged { originals: usize },
    /// SNS asks for its subscription to be confirmed: the operator has to open the message's `SubscribeURL`.
    ToBeConfirmed,
}

/// Why a notification was not followed. The sender should send it again after [`NotifyError::Purge`] alone.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    #[error("this is no S3 event notification: send S3's JSON, as it is or as SNS or SQS wrap it")]
    Unknown,
    #[error(transparent)]
    Purge(#[from] PurgeError),
}

/// SQS around SNS around S3.
const WRAPPERS_MAX: usize = 3;

impl Proxy {
    /// Purges the originals that a notification says were written or removed.
    ///
    /// # Errors
    /// See [`NotifyError`].
    pub async fn notified(&self, body: &[u8]) -> Result<Notified, NotifyError> {
        let notified = self.follow(body).await;
        let counts = &self.metrics.purges;
        match &notified {
            Ok(Notified::Purged { originals: 1.. }) => counts.applied.inc(),
            Ok(Notified::Purged { .. } | Notified::ToBeConfirmed) => counts.ignored.inc(),
            Err(NotifyError::Unknown) => counts.unknown.inc(),
            Err(NotifyError::Purge(_)) => counts.events_failed.inc(),
        };
        notified
    }

    async fn follow(&self, body: &[u8]) -> Result<Notified, NotifyError> {
        let message: Value = serde_json::from_slice(body).map_err(|_| NotifyError::Unknown)?;
        if message["Type"] == "SubscriptionConfirmation" {
            tracing::warn!("SNS asks for a subscription to be confirmed; open the message's SubscribeURL yourself");
            return Ok(Notified::ToBeConfirmed);
        }
        let mut changes = Vec::new();
        collect(&message, WRAPPERS_MAX, &mut changes)?;
        let mut originals: Vec<ObjectKey> =
            changes.iter().filter_map(|change| self.originals.key_of(&change.bucket, &change.key)).collect();
        originals.sort_unstable();
        originals.dedup();
        for original in &originals {
            self.purge(original).await?;
        }
        Ok(Notified::Purged { originals: originals.len() })
    }
}

/// An object that was written or removed.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    bucket: String,
    key: String,
}

fn collect(message: &Value, wrappers_max: usize, changes: &mut Vec<Change>) -> Result<(), NotifyError> {
    // What S3 sends when notifications are switched on.
    if message["Event"] == "s3:TestEvent" {
        return Ok(());
    }
    let inner = message.get("Message").or_else(|| message.get("Body")).or_else(|| message.get("body"));
    if let Some(inner) = inner {
        let inner = inner.as_str().filter(|_| wrappers_max > 0).ok_or(NotifyError::Unknown)?;
        let inner = serde_json::from_str(inner).map_err(|_| NotifyError::Unknown)?;
        return collect(&inner, wrappers_max - 1, changes);
    }
    let records = message.get("Records").or_else(|| message.get("Messages")).and_then(Value::as_array);
    for record in records.ok_or(NotifyError::Unknown)? {
        match record.get("s3") {
            Some(s3) => changes.extend(change(record, s3)?),
            None => collect(record, wrappers_max, changes)?,
        }
    }
    Ok(())
}

/// `None` for what happened to an object but did not change it.
fn change(record: &Value, s3: &Value) -> Result<Option<Change>, NotifyError> {
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or(NotifyError::Unknown);
    let event = text(&record["eventName"])?;
    let event = event.strip_prefix("s3:").unwrap_or(&event);
    if !event.starts_with("ObjectCreated:") && !event.starts_with("ObjectRemoved:") {
        return Ok(None);
    }
    // Keys are encoded as in forms: a space is a plus.
    let key = text(&s3["object"]["key"])?.replace('+', " ");
    let key = percent_decode_str(&key).decode_utf8().map_err(|_| NotifyError::Unknown)?.into_owned();
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
    fn events_are_read_bare_and_wrapped() {
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
    fn what_is_no_notification_is_refused() {
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
