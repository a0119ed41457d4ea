//! The memory account: every variant in memory is charged until its last reader has ended.

use std::time::Duration;

use bytesize::ByteSize;
use futures_util::future::join_all;
use reqwest::StatusCode;
use resized::config::{Config, Memory, MemoryPlan};
use resized::support::memory::MemoryShare;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::support::bucket::Bucket;
use crate::support::pictures::jpeg;
use crate::support::stage::{PATIENCE, Stage, header, settings, until};

/// Larger than the socket buffers, and small enough that four fit into the smallest share.
const BODY_BYTES: usize = 8 << 20;

/// A server with `count` stored variants of [`BODY_BYTES`], and the smallest memory in which the cache has `cache` bytes.
async fn stage(count: usize, cache: ByteSize, change: impl FnOnce(&mut Config)) -> (Bucket, Stage, u64) {
    let bucket = Bucket::start().await;
    for n in 0..count {
        let body = [jpeg(16, 16), vec![n as u8; BODY_BYTES - jpeg(16, 16).len()]].concat();
        bucket.put_object(&format!("variants/{n}.jpg/16x16_q80.jpg"), body, "image/jpeg");
    }
    let mut config = settings(&bucket);
    config.originals.immutable = true;
    config.cache.memory = cache.into();
    config.server.write_timeout = Duration::from_secs(3600);
    config.work.queue_time = PATIENCE;
    change(&mut config);
    config.memory = Memory(ByteSize::b(0));
    let refused = MemoryPlan::new(&config).unwrap_err().to_string();
    config.memory = Memory(refused.split('"').nth(1).unwrap().parse().unwrap());
    let limit = MemoryPlan::new(&config).unwrap().bytes(MemoryShare::Variants);
    (bucket, Stage::start(config).await, limit)
}

/// Bytes in use by variants.
pub fn used(stage: &Stage) -> u64 {
    let text = stage.metrics.encode();
    let line = text.lines().find_map(|line| line.strip_prefix(r#"resized_memory_bytes{share="variants"} "#));
    line.unwrap().parse::<f64>().unwrap() as u64
}

pub fn path(n: usize) -> String {
    format!("/{n}_16x16.jpg")
}

/// Requests a variant and reads nothing.
pub async fn stalled_reader(stage: &Stage, n: usize) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(stage.address).await.unwrap();
    stream.write_all(format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", path(n)).as_bytes()).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn variants_of_stalled_readers_stay_charged_and_others_are_refused_when_the_share_is_full() {
    let short = |config: &mut Config| config.work.queue_time = Duration::from_millis(200);
    let (_bucket, stage, limit) = stage(5, ByteSize::b(0), short).await;
    let readers = join_all((0..4).map(|n| stalled_reader(&stage, n))).await;
    until("four variants are charged", || used(&stage) >= 4 * BODY_BYTES as u64).await;
    let refused = stage.get(&path(4)).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(!header(&refused, "retry-after").is_empty());
    let problem = refused.text().await.unwrap();
    assert!(problem.contains("share variants of the setting memory"), "{problem}");
    assert!(used(&stage) <= limit);
    drop(readers);
    until("the memory is returned", || used(&stage) == 0).await;
    let served = stage.get(&path(4)).await;
    assert_eq!(served.status(), StatusCode::OK);
    assert_eq!(served.bytes().await.unwrap().len(), BODY_BYTES);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evicted_variant_stays_charged_until_its_last_reader_has_ended() {
    let (_bucket, stage, limit) = stage(2, ByteSize::mib(9), |_| {}).await;
    let body = BODY_BYTES as u64;
    let reader = stalled_reader(&stage, 0).await;
    until("the variant is cached", || stage.metrics.encode().contains("resized_cache_entries 1.0\n")).await;
    assert_eq!(stage.get(&path(1)).await.bytes().await.unwrap().len(), BODY_BYTES);
    until("the first variant is evicted", || stage.metrics.encode().contains("resized_cache_evictions_total 1\n"))
        .await;
    assert!(used(&stage) >= 2 * body && used(&stage) <= limit, "{}", used(&stage));
    drop(reader);
    until("the evicted variant is returned", || used(&stage) < 2 * body).await;
    assert_eq!(header(&stage.get(&path(1)).await, "cache-status"), "resized; hit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_in_memory_is_served_while_its_share_is_full() {
    let short = |config: &mut Config| config.work.queue_time = Duration::from_millis(200);
    let (_bucket, stage, _) = stage(6, ByteSize::mib(9), short).await;
    let mut readers = Vec::new();
    for n in 0..5 {
        readers.push(stalled_reader(&stage, n).await);
        until("the variant is charged", || used(&stage) >= (n as u64 + 1) * BODY_BYTES as u64).await;
    }
    assert_eq!(stage.get(&path(5)).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    for _ in 0..3 {
        assert_eq!(stage.get(&path(4)).await.bytes().await.unwrap().len(), BODY_BYTES);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_of_large_stored_variants_wait_for_memory_and_are_all_served() {
    let (_bucket, stage, limit) = stage(12, ByteSize::mib(9), |_| {}).await;
    let read = async |n: usize| {
        let response = stage.get(&path(n)).await;
        assert_eq!(response.status(), StatusCode::OK, "{n}");
        assert_eq!(response.bytes().await.unwrap().len(), BODY_BYTES);
        assert!(used(&stage) <= limit);
    };
    join_all((0..12).map(read)).await;
    until("only the cached variant is charged", || used(&stage) < 2 * BODY_BYTES as u64).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_made_variant_is_charged_to_pixels_while_it_is_made_and_to_variants_afterwards() {
    let (bucket, stage, _) = stage(0, ByteSize::mib(9), |_| {}).await;
    bucket.put_object("originals/cat.jpg", jpeg(400, 300), "image/jpeg");
    let gate = bucket.stall(crate::support::bucket::Operation::Put, "variants/");
    let bytes = stage.get("/cat_40x40.jpg").await.bytes().await.unwrap().len();
    let charged = |share: &str, bytes: u64| {
        let text = stage.metrics.encode();
        let line = text.lines().find(|line| line.starts_with(&format!("resized_memory_bytes{{share=\"{share}\"}} ")));
        line.unwrap().ends_with(&format!(" {bytes}.0"))
    };
    let rounded = |bytes: usize| (bytes as u64).next_multiple_of(1024);
    until("the pixels are returned", || charged("pixels", 0) && charged("downloads", 0)).await;
    assert!(charged("variants", rounded(bytes + 3072)), "{bytes}: {}", stage.metrics.encode());
    assert!(charged("write_back", rounded(bytes)), "{bytes}: {}", stage.metrics.encode());
    gate.release();
    until("the write-back is returned", || charged("write_back", 0)).await;
    stage.get("/nothing_40x40.jpg").await;
    until("the error is charged", || charged("variants", rounded(bytes + 3072) + 3072)).await;
}
