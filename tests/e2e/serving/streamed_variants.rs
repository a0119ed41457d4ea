//! Stored variants that are too large for memory: each response streams them from the store.

use std::time::Duration;

use bytesize::ByteSize;
use futures_util::future::join_all;
use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode};
use resized::config::{Config, Memory, MemoryPlan};
use resized::support::memory::MemoryShare;

use super::memory::{path, stalled_reader, used};
use crate::support::bucket::{Bucket, Operation};
use crate::support::pictures::jpeg;
use crate::support::stage::{Stage, header, settings, until};

/// More than the part of the smallest share that one variant may use.
const LARGE_BYTES: usize = 8 << 20;

/// The bytes of variant `n`.
fn body(n: usize, bytes: usize) -> Vec<u8> {
    let mut body = [jpeg(16, 16), (n as u8..=250).collect::<Vec<_>>().repeat(bytes / 200)].concat();
    body.truncate(bytes);
    body
}

/// Stores variant `n` as this program does.
fn put(bucket: &Bucket, n: usize, body: Vec<u8>) {
    let digest = ring::digest::digest(&ring::digest::SHA256, &body);
    let fingerprint: String = digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    bucket.put_object_with(&object(n), body, "image/jpeg", &[("resized-fingerprint", &fingerprint)]);
}

fn object(n: usize) -> String {
    format!("variants/{n}.jpg/16x16_q80.jpg")
}

/// A server with the smallest memory, or with `memory`.
async fn stage(bucket: &Bucket, memory: Option<ByteSize>) -> (Stage, u64) {
    let mut config: Config = settings(bucket);
    config.originals.immutable = true;
    config.cache.memory = ByteSize::mib(9).into();
    config.server.write_timeout = Duration::from_secs(3600);
    config.work.queue_time = Duration::from_millis(200);
    config.memory = Memory(ByteSize::b(0));
    let refused = MemoryPlan::new(&config).unwrap_err().to_string();
    config.memory = Memory(memory.unwrap_or_else(|| refused.split('"').nth(1).unwrap().parse().unwrap()));
    if memory.is_some() {
        config.cache.memory = ByteSize::mib(512).into();
    }
    let limit = MemoryPlan::new(&config).unwrap().bytes(MemoryShare::Variants);
    (Stage::start(config).await, limit)
}

fn reads(bucket: &Bucket) -> usize {
    bucket.count(Operation::Get, "variants/")
}

async fn ask(stage: &Stage, method: &str, headers: &[(&str, &str)]) -> Response {
    let request =
        headers.iter().fold(stage.request(method, &path(0)), |request, (name, value)| request.header(*name, *value));
    request.send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn stalled_readers_of_large_stored_variants_leave_memory_to_other_variants() {
    let bucket = Bucket::start().await;
    for n in 0..20 {
        put(&bucket, n, body(n, LARGE_BYTES));
    }
    bucket.put_object("originals/cat.jpg", jpeg(400, 300), "image/jpeg");
    let (stage, limit) = stage(&bucket, None).await;
    let readers = join_all((0..20).map(|n| stalled_reader(&stage, n))).await;
    until("all are streamed", || reads(&bucket) == 40).await;
    assert!(used(&stage) < 1 << 20 && used(&stage) <= limit, "{} of {limit}", used(&stage));
    for n in 0..20 {
        assert_eq!(stage.get(&format!("/cat_{}x40.jpg", 40 + n)).await.status(), StatusCode::OK, "{n}");
    }
    drop(readers);
    let served = stage.get(&path(7)).await;
    assert!(served.bytes().await.unwrap() == body(7, LARGE_BYTES));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_variant_has_the_headers_of_the_same_variant_in_memory() {
    let bucket = Bucket::start().await;
    put(&bucket, 0, body(0, LARGE_BYTES));
    let (small, large) = (stage(&bucket, None).await.0, stage(&bucket, Some(ByteSize::gib(2))).await.0);
    let kept = |headers: &HeaderMap| {
        let mut headers = headers.clone();
        for name in ["date", "server-timing", "cache-status"] {
            headers.remove(name);
        }
        headers
    };
    let mut all = Vec::new();
    for (stage, status) in [(&large, "resized; hit"), (&small, "resized; fwd=miss; detail=stored")] {
        for expected in ["resized; fwd=miss; detail=stored", status] {
            let response = ask(stage, "GET", &[]).await;
            assert_eq!(header(&response, "cache-status"), expected);
            all.push(kept(response.headers()));
            assert!(response.bytes().await.unwrap() == body(0, LARGE_BYTES));
        }
    }
    assert!(all.iter().all(|headers| *headers == all[0]), "{all:#?}");
    assert!(header(&ask(&small, "GET", &[]).await, "etag").len() == 34);
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_and_preconditions_apply_to_a_streamed_variant() {
    let bucket = Bucket::start().await;
    let whole = body(0, LARGE_BYTES);
    put(&bucket, 0, whole.clone());
    let (stage, _) = stage(&bucket, None).await;
    let etag = header(&ask(&stage, "HEAD", &[]).await, "etag").to_owned();
    assert_eq!(reads(&bucket), 1, "the lookup");
    for (method, headers, status) in [
        ("HEAD", vec![], 200),
        ("GET", vec![("if-none-match", &etag[..])], 304),
        ("HEAD", vec![("if-none-match", &etag)], 304),
        ("GET", vec![("if-match", "\"other\"")], 412),
        ("GET", vec![("range", "bytes=9000000-")], 416),
    ] {
        let response = ask(&stage, method, &headers).await;
        assert_eq!(response.status().as_u16(), status, "{method} {headers:?}");
        assert!(status != 200 || header(&response, "content-length") == LARGE_BYTES.to_string());
    }
    assert_eq!(reads(&bucket), 1, "no body is read");
    for (range, first, last) in [
        ("bytes=5-9", 5, 9),
        ("bytes=8388600-", 8_388_600, LARGE_BYTES - 1),
        ("bytes=-3", LARGE_BYTES - 3, LARGE_BYTES - 1),
    ] {
        let response = ask(&stage, "GET", &[("range", range), ("if-range", &etag)]).await;
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(header(&response, "content-range"), format!("bytes {first}-{last}/{LARGE_BYTES}"));
        assert_eq!(response.bytes().await.unwrap(), whole[first..=last], "{range}");
    }
    let other = ask(&stage, "GET", &[("range", "bytes=5-9"), ("if-range", "\"other\"")]).await;
    assert_eq!((other.status(), other.bytes().await.unwrap().len()), (StatusCode::OK, LARGE_BYTES));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_variant_that_was_replaced_or_deleted_is_looked_up_again() {
    let bucket = Bucket::start().await;
    put(&bucket, 0, body(0, LARGE_BYTES));
    bucket.put_object("originals/0.jpg", jpeg(400, 300), "image/jpeg");
    let (stage, _) = stage(&bucket, None).await;
    let first = ask(&stage, "GET", &[]).await;
    let etag = header(&first, "etag").to_owned();
    assert!(first.bytes().await.unwrap() == body(0, LARGE_BYTES));
    put(&bucket, 0, body(1, LARGE_BYTES));
    let replaced = ask(&stage, "GET", &[]).await;
    assert_ne!(header(&replaced, "etag"), etag);
    assert!(replaced.bytes().await.unwrap() == body(1, LARGE_BYTES));
    bucket.remove_object(&object(0));
    let made = ask(&stage, "GET", &[]).await;
    assert_eq!(header(&made, "cache-status"), "resized; fwd=miss; detail=made");
    assert!(made.bytes().await.unwrap().len() < LARGE_BYTES);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_stored_variant_is_read_once() {
    let bucket = Bucket::start().await;
    put(&bucket, 0, body(0, 200_000));
    let (stage, _) = stage(&bucket, None).await;
    for status in ["resized; fwd=miss; detail=stored", "resized; hit", "resized; hit"] {
        let response = ask(&stage, "GET", &[]).await;
        assert_eq!(header(&response, "cache-status"), status);
        assert!(response.bytes().await.unwrap() == body(0, 200_000));
    }
    assert_eq!(reads(&bucket), 1);
}
