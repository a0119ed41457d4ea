//! The memory of uploads: what is received and sent never exceeds its share.

use std::num::NonZeroUsize;
use std::time::Duration;

use bytesize::ByteSize;
use futures_util::future::join_all;
use reqwest::StatusCode;
use resized::config::{Config, Memory, MemoryPlan, UPLOAD_PIECE_BYTES};
use resized::support::memory::MemoryShare;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::receiving::{send, uploading};
use crate::support::bucket::{Bucket, Operation};
use crate::support::node::TOKEN;
use crate::support::pictures::jpeg;
use crate::support::stage::{Stage, until};

/// A server with the smallest memory of `config`, and the size of the share of uploads.
async fn stage(mut config: Config) -> (Stage, u64) {
    config.memory = Memory(ByteSize::b(0));
    let refused = MemoryPlan::new(&config).unwrap_err().to_string();
    config.memory = Memory(refused.split('"').nth(1).unwrap().parse().unwrap());
    let limit = MemoryPlan::new(&config).unwrap().bytes(MemoryShare::Uploads);
    (Stage::start(config).await, limit)
}

fn settings(bucket: &Bucket) -> Config {
    let mut config = uploading(bucket);
    config.upload.bytes = ByteSize::mib(32);
    config.upload.concurrency = NonZeroUsize::new(8).unwrap();
    config
}

/// Bytes in use by uploads.
fn used(stage: &Stage) -> u64 {
    let text = stage.metrics.encode();
    let line = text.lines().find_map(|line| line.strip_prefix(r#"resized_memory_bytes{share="uploads"} "#));
    line.unwrap().parse::<f64>().unwrap() as u64
}

/// Sends the header and a part of the body of an upload.
async fn stalled_upload(stage: &Stage, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    let head =
        format!("{request} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 9000\r\n\r\n{{");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_sent_to_a_slow_bucket_never_exceed_the_share() {
    let bucket = Bucket::start().await;
    let (stage, limit) = stage(settings(&bucket)).await;
    let mut large = jpeg(16, 16);
    large.resize(4 << 20, 0);
    let gate = bucket.stall(Operation::Put, "originals/");
    let uploads = join_all((0..4).flat_map(|_| [large.clone(), jpeg(16, 16)]).map(|body| {
        let stage = &stage;
        async move { send(stage, "POST", "/upload", body, &[]).await.status() }
    }));
    let release = async {
        // One large body fits, and the small ones do not wait for the others.
        until("the bodies that fit are sent", || bucket.count(Operation::Put, "originals/") == 5).await;
        assert!(used(&stage) > 4 << 20 && used(&stage) <= limit, "{} of {limit}", used(&stage));
        gate.release();
    };
    let (statuses, ()) = tokio::join!(uploads, release);
    assert_eq!(statuses, [StatusCode::CREATED; 8]);
    until("the memory is returned", || used(&stage) == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_of_uploads_returns_when_their_clients_disconnect() {
    let bucket = Bucket::start().await;
    let (stage, _) = stage(settings(&bucket)).await;
    let uploads = join_all((0..8).map(|_| stalled_upload(&stage, "POST /upload"))).await;
    until("all are received", || used(&stage) == 8 * UPLOAD_PIECE_BYTES as u64).await;
    drop(uploads);
    until("the memory is returned", || used(&stage) == 0).await;
    assert_eq!(send(&stage, "POST", "/upload", jpeg(16, 16), &[]).await.status(), StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_without_memory_is_refused_and_the_share_is_named() {
    let bucket = Bucket::start().await;
    let mut config = settings(&bucket);
    config.upload.secret = "0123456789abcdef0123456789abcdef".into();
    config.s3.anonymous = false;
    config.work.queue_time = Duration::from_millis(200);
    let (stage, limit) = stage(config).await;
    // The number of requests for signed URLs is not limited.
    let count = limit / UPLOAD_PIECE_BYTES as u64;
    let requests = join_all((0..count).map(|_| stalled_upload(&stage, "POST /upload/sign"))).await;
    until("the share is full", || used(&stage) == count * UPLOAD_PIECE_BYTES as u64).await;
    let refused = send(&stage, "POST", "/upload", jpeg(16, 16), &[]).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    let problem = refused.text().await.unwrap();
    assert!(problem.contains("share uploads of the setting memory"), "{problem}");
    drop(requests);
    until("the memory is returned", || used(&stage) == 0).await;
}
