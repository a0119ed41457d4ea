//! Connections: HTTP versions, keep-alive, invalid input and graceful shutdown.

use std::time::Duration;

use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::bucket::{Bucket, Operation};
use crate::support::pictures::jpeg;
use crate::support::stage::{PATIENCE, Stage, settings, until};

pub async fn stage_with_cat() -> (Bucket, Stage) {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/cat.jpg", jpeg(160, 120), "image/jpeg");
    let stage = Stage::start(settings(&bucket)).await;
    (bucket, stage)
}

/// Sends `request` and reads until the server closes the connection.
pub async fn send_raw(stage: &Stage, request: &str) -> String {
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the connection closes").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_finishes_requests_and_write_backs() {
    let (bucket, stage) = stage_with_cat().await;
    let gate = bucket.stall(Operation::Get, "originals/");
    let request = stage.request("GET", "/cat_40x40.jpg").send();
    let answer = tokio::spawn(request);
    until("the original is being read", || bucket.count(Operation::Get, "originals/") == 1).await;
    let write = bucket.stall(Operation::Put, "variants/");
    let stopped = tokio::spawn(stage.stop());
    gate.release();
    assert_eq!(answer.await.unwrap().unwrap().status(), StatusCode::OK);
    until("the variant is being written", || bucket.count(Operation::Put, "") == 1).await;
    assert!(!stopped.is_finished(), "shutdown waits for the write-back");
    write.release();
    assert!(stopped.await.unwrap());
    assert!(bucket.object("variants/cat.jpg/40x40_q80.jpg").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_works_with_prior_knowledge() {
    let (_bucket, stage) = stage_with_cat().await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let response = client.get(stage.url("/cat_40x40.jpg")).send().await.unwrap();
    assert_eq!((response.version(), response.status()), (reqwest::Version::HTTP_2, StatusCode::OK));
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    let (_bucket, stage) = stage_with_cat().await;
    let one = "HEAD /cat_40x40.jpg HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = "HEAD /dog_40x40.jpg HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answers = send_raw(&stage, &[one, one, last].concat()).await;
    let statuses: Vec<_> = answers.lines().filter(|line| line.starts_with("HTTP/1.1")).collect();
    assert_eq!(statuses, ["HTTP/1.1 200 OK", "HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_http_is_rejected() {
    let (_bucket, stage) = stage_with_cat().await;
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000));
    let headers = format!("GET / HTTP/1.1\r\n{}\r\n", "X-Filler: 0123456789\r\n".repeat(2000));
    let both = "GET /cat.jpg HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello";
    for request in ["hello\r\n\r\n", "GET  /cat.jpg  HTTP/1.1\r\n\r\n", both, &long, &headers] {
        let answer = send_raw(&stage, request).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{:.40}: {answer:.60}", request);
    }
    assert_eq!(stage.get("/cat_40x40.jpg").await.status(), StatusCode::OK, "other clients are served");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_complete_request_is_closed() {
    let bucket = Bucket::start().await;
    let mut config = settings(&bucket);
    config.server.idle_timeout = Duration::from_millis(50);
    let stage = Stage::start(config).await;
    for silence in ["", "P", "PRI * HTTP/2.0\r\n", "GET /cat.jpg HTTP/1.1\r\nHost:"] {
        let answer = send_raw(&stage, silence).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{silence:?}: {answer}");
    }
}
