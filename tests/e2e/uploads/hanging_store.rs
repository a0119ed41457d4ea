//! Uploads to a bucket that is slow or does not answer.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::StatusCode;
use resized::config::Overwrite;

use super::receiving::{notifying, send, uploading};
use crate::support::bucket::{Bucket, Operation};
use crate::support::pictures::jpeg;
use crate::support::receiver::Receiver;
use crate::support::stage::{Stage, until};

const FORM: (&str, &str) = ("content-type", "multipart/form-data; boundary=x");

fn form(picture: &[u8]) -> Vec<u8> {
    let head = b"--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.jpg\"\r\n\r\n";
    [head, picture, b"\r\n--x--\r\n"].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_uploads_are_sent_to_the_bucket_at_the_same_time() {
    const UPLOADS: usize = 100;
    let bucket = Bucket::start().await;
    let stage = Stage::start(uploading(&bucket)).await;
    let gate = bucket.stall(Operation::Put, "originals/");
    let uploads = join_all((0..UPLOADS).map(|_| send(&stage, "POST", "/upload", jpeg(16, 16), &[])));
    let release = async {
        until("all uploads wait for the bucket", || bucket.count(Operation::Put, "originals/") == UPLOADS).await;
        gate.release();
    };
    let (responses, ()) = tokio::join!(uploads, release);
    assert!(responses.iter().all(|response| response.status() == StatusCode::CREATED));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_answered_wherever_the_bucket_stops_answering() {
    let (bucket, receiver) = (Bucket::start().await, Receiver::start().await);
    let mut config = notifying(&bucket, &receiver);
    config.upload.bytes = bytesize::ByteSize::mib(32);
    config.upload.overwrite = Overwrite::Always;
    config.s3.operation_timeout = Duration::from_millis(500);
    // The circuit breaker would end the waits.
    config.s3.circuit_breaker_failures = std::num::NonZeroU32::MAX;
    let stage = Stage::start(config).await;
    let mut large = jpeg(16, 16);
    large.resize(20 << 20, 0);
    send(&stage, "PUT", "/upload/old.jpg", jpeg(16, 16), &[]).await;
    let stalls = [
        (Operation::Put, "originals/"),
        (Operation::Complete, "originals/"),
        (Operation::List, "variants/old.jpg"),
        (Operation::Put, "variants/.resized-outbox"),
    ];
    for (operation, prefix) in stalls {
        let gate = bucket.stall(operation, prefix);
        let uploads = [
            ("POST", "/upload", form(&jpeg(16, 16)), vec![FORM]),
            ("PUT", "/upload/old.jpg", jpeg(16, 16), vec![]),
            ("PUT", "/upload/old.jpg", large.clone(), vec![]),
        ];
        let sent = uploads.into_iter().map(|(method, path, body, headers)| async {
            let headers = headers;
            send(&stage, method, path, body, &headers).await.status().as_u16()
        });
        let statuses = join_all(sent).await;
        assert!(statuses.iter().all(|status| [201, 503, 504].contains(status)), "{operation:?} {statuses:?}");
        assert!(statuses.contains(&504) || operation == Operation::List, "{operation:?} {statuses:?}");
        gate.release();
        until("no parts are left", || bucket.unfinished() == 0).await;
    }
    assert!(stage.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_one_key_notify_in_the_order_of_their_writes() {
    let (bucket, receiver) = (Bucket::start().await, Receiver::start().await);
    let mut config = notifying(&bucket, &receiver);
    config.upload.overwrite = Overwrite::Always;
    let stage = Stage::start(config).await;
    let sides = 16..32;
    let uploads = sides.clone().map(|side| send(&stage, "PUT", "/upload/a.jpg", jpeg(side, side), &[]));
    for response in join_all(uploads).await {
        assert_eq!(response.status(), StatusCode::CREATED);
    }
    let events = receiver.events();
    let times: std::collections::BTreeMap<_, _> =
        events.iter().map(|event| (event["data"]["time"].as_str().unwrap(), &event["data"]["width"])).collect();
    assert_eq!(times.len(), sides.len(), "each upload has another time");
    let stored = crate::support::pictures::see(&bucket.object("originals/a.jpg").unwrap().bytes).width;
    assert_eq!(times.last_key_value().map(|(_, width)| *width), Some(&stored.into()), "the latest is the stored one");
}
