//! Writes that the bucket has stored without the response arriving: they are recognized by the id of the upload.

use std::num::NonZeroU32;

use reqwest::{Response, StatusCode};
use resized::config::{Config, Overwrite};
use serde_json::Value;

use super::receiving::{notifying, send};
use crate::support::bucket::{Bucket, Fault, Operation};
use crate::support::pictures::{jpeg, see};
use crate::support::receiver::Receiver;
use crate::support::stage::{Stage, header, until};

/// Conditions of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    OverwriteNever,
    OverwriteAlways,
    IfNoneMatch,
    IfMatch,
}

impl Condition {
    const ALL: [Self; 4] = [Self::OverwriteNever, Self::OverwriteAlways, Self::IfNoneMatch, Self::IfMatch];

    fn replaces(self) -> bool {
        matches!(self, Self::OverwriteAlways | Self::IfMatch)
    }
}

/// The operation that writes an original of this size, and its body.
fn body(side: u32, is_large: bool) -> (Operation, Vec<u8>) {
    let mut picture = jpeg(side, side);
    if is_large {
        picture.resize(9 << 20, 0);
    }
    (if is_large { Operation::Complete } else { Operation::Put }, picture)
}

fn config(bucket: &Bucket, receiver: &Receiver, condition: Condition, attempts: u32) -> Config {
    let mut config = notifying(bucket, receiver);
    config.upload.bytes = bytesize::ByteSize::mib(16);
    config.s3.attempts = NonZeroU32::new(attempts).unwrap();
    if condition != Condition::OverwriteNever {
        config.upload.overwrite = Overwrite::Always;
    }
    config
}

async fn put(stage: &Stage, condition: Condition, etag: &str, body: Vec<u8>) -> Response {
    let headers: &[(&str, &str)] = match condition {
        Condition::OverwriteNever | Condition::OverwriteAlways => &[],
        Condition::IfNoneMatch => &[("if-none-match", "*")],
        Condition::IfMatch => &[("if-match", etag)],
    };
    send(stage, "PUT", "/upload/a.jpg", body, headers).await
}

async fn width(stage: &Stage) -> u32 {
    let response = stage.get("/a_24x24.jpg").await;
    if response.status() != StatusCode::OK {
        return 0;
    }
    see(&response.bytes().await.unwrap()).width
}

async fn check(condition: Condition, is_large: bool, attempts: u32) {
    let (bucket, receiver) = (Bucket::start().await, Receiver::start().await);
    let stage = Stage::start(config(&bucket, &receiver, condition, attempts)).await;
    let mut etag = String::new();
    let mut events = 0;
    if condition.replaces() {
        let first = send(&stage, "PUT", "/upload/a.jpg", jpeg(16, 16), &[]).await;
        etag = header(&first, "etag").to_owned();
        events += 1;
    }
    // The picture, or its absence, is in memory now.
    assert_eq!(width(&stage).await, if condition.replaces() { 16 } else { 0 });
    let (operation, body) = body(32, is_large);
    bucket.lose_response(operation, "originals/a.jpg");
    let response = put(&stage, condition, &etag, body.clone()).await;
    assert_eq!(response.status(), StatusCode::CREATED, "{condition:?} {is_large} {attempts}");
    let (etag, answer) = (header(&response, "etag").to_owned(), response.json::<Value>().await.unwrap());
    let stored = bucket.object("originals/a.jpg").unwrap();
    assert!(stored.bytes == body, "{condition:?} {is_large} {attempts}");
    assert_eq!(answer["etag"], etag);
    assert_eq!(header(&stage.get("/a.jpg").await, "content-length"), body.len().to_string());
    assert_eq!(width(&stage).await, 24, "the old picture is forgotten: {condition:?} {is_large} {attempts}");
    until("all notifications are delivered", || bucket.keys("variants/.resized-outbox").is_empty()).await;
    let (ids, _) = receiver.ids_and_keys();
    assert_eq!((ids.len(), receiver.requests()), (events + 1, events + 1), "{condition:?} {is_large} {attempts}");
    assert!(ids.contains(answer["id"].as_str().unwrap()));
    assert_eq!(bucket.unfinished(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_response_was_lost_has_succeeded_and_causes_one_event() {
    for condition in Condition::ALL {
        for is_large in [false, true] {
            for attempts in [1, 2] {
                check(condition, is_large, attempts).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_another_upload_is_not_mistaken_for_ours() {
    let (bucket, receiver) = (Bucket::start().await, Receiver::start().await);
    for condition in [Condition::OverwriteNever, Condition::IfNoneMatch, Condition::IfMatch] {
        for is_large in [false, true] {
            let stage = Stage::start(config(&bucket, &receiver, condition, 1)).await;
            bucket.put_object("originals/a.jpg", jpeg(16, 16), "image/jpeg");
            let (operation, body) = body(32, is_large);
            let expected = if condition == Condition::OverwriteNever { 409 } else { 412 };
            let response = put(&stage, condition, "\"other\"", body.clone()).await;
            assert_eq!(response.status().as_u16(), expected, "{condition:?} {is_large}");
            // A failed write is an error, if the object is not ours.
            bucket.fail(operation, "originals/a.jpg", Fault::Status(500));
            let response = put(&stage, condition, "\"other\"", body).await;
            assert_eq!(response.status(), StatusCode::BAD_GATEWAY, "{condition:?} {is_large}");
            bucket.heal();
            assert!(bucket.object("originals/a.jpg").unwrap().bytes == jpeg(16, 16));
        }
    }
    assert_eq!((receiver.requests(), bucket.unfinished()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_upload_sends_the_same_event_byte_by_byte() {
    let table = [(Condition::OverwriteNever, 200), (Condition::IfNoneMatch, 412), (Condition::IfMatch, 200)];
    for (condition, expected) in table {
        let (bucket, receiver) = (Bucket::start().await, Receiver::start().await);
        let stage = Stage::start(config(&bucket, &receiver, condition, 1)).await;
        let mut etag = String::new();
        if condition.replaces() {
            etag = header(&send(&stage, "PUT", "/upload/a.jpg", jpeg(16, 16), &[]).await, "etag").to_owned();
        }
        let first = put(&stage, condition, &etag, jpeg(32, 32)).await;
        assert_eq!(first.status(), StatusCode::CREATED);
        let id = first.json::<Value>().await.unwrap()["id"].clone();
        let again = put(&stage, condition, &etag, jpeg(32, 32)).await;
        assert_eq!(again.status().as_u16(), expected, "{condition:?}");
        if expected == 200 {
            assert_eq!(again.json::<Value>().await.unwrap()["id"], id, "{condition:?}");
        }
        let uploads = 1 + usize::from(condition.replaces());
        assert_eq!((receiver.requests(), receiver.bodies()), (uploads + 1, vec![1; uploads]), "{condition:?}");
    }
}
