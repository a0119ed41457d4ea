//! HTTP semantics of uploads and notifications: `Expect`, digests, `Retry-After`, redirects.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::bucket::Bucket;
use crate::support::node::TOKEN;
use crate::support::pictures::jpeg;
use crate::support::receiver::{Behavior, Receiver};
use crate::support::stage::{Stage, until};
use crate::uploads::receiving::{notifying, send, uploading};

/// Sends `head` and reads as many bytes as `expected` has.
async fn first_bytes(stream: &mut TcpStream, head: &str, expected: &str) -> String {
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut bytes = vec![0; expected.len()];
    stream.read_exact(&mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn expect_continue_is_answered_before_the_body() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(uploading(&bucket)).await;
    let picture = jpeg(16, 16);
    let head = |token: &str, length: usize| {
        format!(
            "PUT /upload/a.jpg HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\
             Expect: 100-continue\r\n\r\n"
        )
    };
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    let continuation = "HTTP/1.1 100 Continue\r\n\r\n";
    assert_eq!(first_bytes(&mut stream, &head(TOKEN, picture.len()), continuation).await, continuation);
    stream.write_all(&picture).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 201");
    for (token, length, expected) in [("forged", 9000, "HTTP/1.1 401"), (TOKEN, 200_000, "HTTP/1.1 413")] {
        let mut stream = TcpStream::connect(stage.address).await.unwrap();
        assert_eq!(
            first_bytes(&mut stream, &head(token, length), expected).await,
            expected,
            "rejected before the body"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_with_a_wrong_digest_is_rejected() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(uploading(&bucket)).await;
    let picture = jpeg(16, 16);
    let sha256 = |bytes: &[u8]| STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, bytes));
    let md5 = |bytes: &[u8]| STANDARD.encode(Md5::digest(bytes));
    let headers = |bytes: &[u8]| {
        [
            ("content-md5", md5(bytes)),
            ("content-digest", format!("md5=:{}:", md5(bytes))),
            ("content-digest", format!("sha-256=:{}:", sha256(bytes))),
            ("repr-digest", format!("sha-512=:AAAA:, sha-256=:{}:", sha256(bytes))),
        ]
    };
    for (name, value) in headers(b"other bytes") {
        let response = send(&stage, "POST", "/upload", picture.clone(), &[(name, &value)]).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{name}: {value}");
        assert!(response.text().await.unwrap().contains("digest"));
    }
    assert!(bucket.keys("").is_empty());
    for (name, value) in headers(&picture) {
        let response = send(&stage, "POST", "/upload", picture.clone(), &[(name, &value)]).await;
        assert_eq!(response.status(), StatusCode::CREATED, "{name}: {value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_of_the_api_is_honored() {
    let (bucket, receiver) = (Bucket::start().await, Receiver::start().await);
    // The receiver adds Retry-After: 1.
    receiver.set(Behavior::Status(429));
    let stage = Stage::start(notifying(&bucket, &receiver)).await;
    send(&stage, "PUT", "/upload/a.jpg", jpeg(16, 16), &[]).await;
    receiver.set(Behavior::Status(204));
    // A second notification waits too, which does not count as an attempt.
    send(&stage, "PUT", "/upload/b.jpg", jpeg(16, 16), &[]).await;
    until("both notifications are delivered", || receiver.ids_and_keys().1.len() == 2).await;
    let times = receiver.times();
    assert_eq!(times.len(), 3);
    assert!(times[1] - times[0] >= Duration::from_secs(1), "{:?}", times[1] - times[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_of_the_api_are_not_followed() {
    let (bucket, receiver) = (Bucket::start().await, Receiver::start().await);
    for status in [301, 302, 303, 307, 308] {
        // The Location is on the same server, so a followed redirect would be counted.
        receiver.set(Behavior::Status(status));
        let mut config = notifying(&bucket, &receiver);
        config.notify.retries = vec![];
        let (stage, before) = (Stage::start(config).await, receiver.requests());
        send(&stage, "POST", "/upload", jpeg(16, 16), &[]).await;
        let dead = || bucket.keys("variants/.resized-outbox/dead/").len() == 1;
        until("notification is a dead letter", dead).await;
        assert_eq!(receiver.requests() - before, 1, "{status}");
        bucket.keys("variants/.resized-outbox/").iter().for_each(|key| bucket.remove_object(key));
    }
    assert!(receiver.ids_and_keys().0.is_empty());
}
