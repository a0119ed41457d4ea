//! Flights: concurrent requests for a variant share one download, one decoding and one write.

use futures_util::future::join_all;
use reqwest::StatusCode;
use resized::variant::{Grammar, ParsedPath, Variant};
use resized::variants::{EnsureStored, EnsureStoredError};
use tokio::io::AsyncWriteExt;

use crate::support::bucket::{Bucket, Fault, Operation};
use crate::support::pictures::{jpeg, quarters, see};
use crate::support::stage::{Stage, redirecting, settings, until};

const HERD: usize = 1000;
const CAT: &str = "/cat_40x40.jpg";
const CAT_STORED: &str = "variants/cat.jpg/40x40_q80.jpg";

async fn bucket_with_a_cat() -> Bucket {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/cat.jpg", jpeg(160, 120), "image/jpeg");
    bucket
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_cold_requests_are_one_get_one_decode_and_one_put() {
    let bucket = bucket_with_a_cat().await;
    let stage = Stage::start(settings(&bucket)).await;
    let gate = bucket.stall(Operation::Get, "originals/");
    let (responses, ()) = tokio::join!(stage.herd(HERD, CAT), async {
        until("the original is requested", || bucket.count(Operation::Get, "originals/") == 1).await;
        gate.release();
    });
    for (status, _, bytes) in &responses {
        assert_eq!(*status, StatusCode::OK);
        assert_eq!(bytes, &responses[0].2);
    }
    assert_eq!(see(&responses[0].2).width, 40);
    let made = responses.iter().filter(|(_, cache, _)| cache.ends_with("detail=made")).count();
    assert_eq!(made, 1, "the request that started the flight");
    assert!(stage.stop().await);
    assert_eq!(bucket.count(Operation::Get, "originals/"), 1);
    assert_eq!(bucket.count(Operation::Put, ""), 1);
    assert_eq!(bucket.object(CAT_STORED).unwrap().content_type, "image/jpeg");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_cold_redirects_wait_for_one_confirmed_put() {
    let bucket = bucket_with_a_cat().await;
    let stage = Stage::start(redirecting(&bucket)).await;
    let gate = bucket.stall(Operation::Put, "variants/");
    let (responses, ()) = tokio::join!(stage.herd(HERD, CAT), async {
        until("the variant is stored", || bucket.count(Operation::Put, "variants/") == 1).await;
        gate.release();
    });
    assert!(responses.iter().all(|(status, ..)| *status == StatusCode::MOVED_PERMANENTLY));
    assert_eq!(bucket.count(Operation::Get, "originals/"), 1);
    assert_eq!(bucket.count(Operation::Put, ""), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn client_disconnect_does_not_cancel_the_flight() {
    let bucket = bucket_with_a_cat().await;
    let stage = Stage::start(settings(&bucket)).await;
    let gate = bucket.stall(Operation::Get, "originals/");
    let mut first = tokio::net::TcpStream::connect(stage.address).await.unwrap();
    first.write_all(format!("GET {CAT} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    until("the flight of the first client reads the original", || bucket.count(Operation::Get, "originals/") == 1)
        .await;
    drop(first);
    let (responses, ()) = tokio::join!(stage.herd(HERD, CAT), async { gate.release() });
    assert!(responses.iter().all(|(status, ..)| *status == StatusCode::OK));
    assert!(responses.iter().all(|(_, cache, _)| !cache.ends_with("made")), "no request started a second flight");
    assert!(stage.stop().await);
    assert_eq!(bucket.count(Operation::Get, "originals/"), 1);
    assert_eq!(bucket.count(Operation::Put, ""), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_is_stored_even_if_its_only_client_disconnects() {
    let bucket = bucket_with_a_cat().await;
    let stage = Stage::start(settings(&bucket)).await;
    let gate = bucket.stall(Operation::Get, "originals/");
    let mut client = tokio::net::TcpStream::connect(stage.address).await.unwrap();
    client.write_all(format!("GET {CAT} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    until("the flight reads the original", || bucket.count(Operation::Get, "originals/") == 1).await;
    drop(client);
    gate.release();
    until("the variant is stored", || bucket.object(CAT_STORED).is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_for_a_missing_original_look_it_up_once() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(settings(&bucket)).await;
    let gate = bucket.stall(Operation::Get, "originals/");
    let (responses, ()) = tokio::join!(stage.herd(HERD, "/dog_40x40.jpg"), async {
        until("the original is requested", || bucket.count(Operation::Get, "originals/") == 1).await;
        gate.release();
    });
    assert!(responses.iter().all(|(status, ..)| *status == StatusCode::NOT_FOUND));
    assert_eq!(bucket.count(Operation::Get, "originals/dog.jpg"), 1);
    assert_eq!(bucket.count(Operation::Get, "originals/dog_40x40.jpg"), 1, "the literal name");
    assert_eq!(bucket.count(Operation::Put, ""), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_for_a_broken_original_decode_it_once() {
    let bucket = Bucket::start().await;
    let mut broken = quarters(160, 120, image::ImageFormat::Png);
    broken.truncate(broken.len() / 2);
    bucket.put_object("originals/cat.jpg", broken, "image/png");
    let stage = Stage::start(settings(&bucket)).await;
    let gate = bucket.stall(Operation::Get, "originals/");
    let (responses, ()) = tokio::join!(stage.herd(HERD, CAT), async {
        until("the original is requested", || bucket.count(Operation::Get, "originals/") == 1).await;
        gate.release();
    });
    assert!(responses.iter().all(|(status, ..)| *status == StatusCode::UNPROCESSABLE_ENTITY));
    assert_eq!(bucket.count(Operation::Get, "originals/"), 1);
    assert_eq!(bucket.count(Operation::Put, ""), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_failure_fails_all_waiters_and_is_not_cached() {
    let bucket = bucket_with_a_cat().await;
    let mut config = settings(&bucket);
    // Late requests start more flights, whose failures would open the circuit breaker.
    config.s3.circuit_breaker_failures = std::num::NonZeroU32::MAX;
    let stage = Stage::start(config).await;
    let gate = bucket.stall(Operation::Get, "originals/");
    bucket.fail(Operation::Get, "originals/", Fault::Status(503));
    let (responses, ()) = tokio::join!(stage.herd(HERD, CAT), async {
        until("the original is requested", || bucket.count(Operation::Get, "originals/") >= 1).await;
        gate.release();
    });
    assert!(responses.iter().all(|(status, ..)| *status == StatusCode::BAD_GATEWAY));
    bucket.heal();
    assert_eq!(stage.get(CAT).await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_original_is_an_error_and_nothing_is_stored() {
    let bucket = bucket_with_a_cat().await;
    let stage = Stage::start(settings(&bucket)).await;
    bucket.fail(Operation::Get, "originals/", Fault::Truncate);
    assert_eq!(stage.get(CAT).await.status(), StatusCode::BAD_GATEWAY);
    bucket.heal();
    assert_eq!(stage.get(CAT).await.status(), StatusCode::OK);
    assert!(stage.stop().await);
    assert_eq!(bucket.count(Operation::Put, ""), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_on_one_bucket_store_a_variant_once() {
    let bucket = bucket_with_a_cat().await;
    let (one, two) = (Stage::start(redirecting(&bucket)).await, Stage::start(redirecting(&bucket)).await);
    let gate = bucket.stall(Operation::Put, "variants/");
    let (first, second, ()) = tokio::join!(one.get(CAT), two.get(CAT), async {
        until("both nodes have made the variant", || bucket.count(Operation::Put, "variants/") == 2).await;
        gate.release();
    });
    assert_eq!(first.headers()["location"], second.headers()["location"]);
    assert_eq!(bucket.stored(CAT_STORED), 1, "If-None-Match: * lets one write succeed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_made_by_one_node_is_found_by_the_next() {
    let bucket = bucket_with_a_cat().await;
    let stage = Stage::start(settings(&bucket)).await;
    let made = stage.herd(1, CAT).await.remove(0);
    let hit = stage.herd(1, CAT).await.remove(0);
    assert!(stage.stop().await);
    let stage = Stage::start(settings(&bucket)).await;
    let stored = stage.herd(1, CAT).await.remove(0);
    assert_eq!(made.1, "resized; fwd=miss; detail=made");
    assert_eq!(hit.1, "resized; hit");
    assert_eq!(stored.1, "resized; fwd=miss; detail=stored");
    assert_eq!((&made.2, &made.2), (&hit.2, &stored.2));
    assert_eq!(bucket.count(Operation::Get, "originals/"), 1);
}

/// Paths of six sizes of one original.
fn six_sizes() -> [String; 6] {
    [16, 24, 32, 48, 64, 80].map(|width| format!("/cat_{width}x.jpg"))
}

#[tokio::test(flavor = "multi_thread")]
async fn six_concurrent_sizes_of_one_original_share_a_get_and_a_decoding_and_equal_separate_ones() {
    let bucket = bucket_with_a_cat().await;
    let stage = Stage::start(settings(&bucket)).await;
    let gate = bucket.stall(Operation::Get, "originals/");
    let paths = six_sizes();
    let batch = join_all(paths.iter().map(|path| async { stage.get(path).await.bytes().await.unwrap() }));
    let (batch, ()) = tokio::join!(batch, async {
        let all_waiting = r#"resized_waiting{for="original"} 6"#;
        until("all six requests wait for the original", || stage.metrics.encode().contains(all_waiting)).await;
        gate.release();
    });
    assert_eq!(bucket.count(Operation::Get, "originals/"), 1);
    let jobs = r#"resized_wait_seconds_count{for="fast_lane"} 1"#;
    assert!(stage.metrics.encode().contains(jobs), "one resize job");
    let separate_bucket = bucket_with_a_cat().await;
    let separate = Stage::start(settings(&separate_bucket)).await;
    for (path, batched) in paths.iter().zip(batch) {
        assert_eq!(separate.get(path).await.bytes().await.unwrap(), batched, "{path}");
    }
    assert_eq!(separate_bucket.count(Operation::Get, "originals/"), 6, "one GET per size");
    assert!(stage.stop().await);
    assert_eq!(bucket.count(Operation::Put, "variants/"), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_original_fails_every_size_and_is_not_cached() {
    let bucket = bucket_with_a_cat().await;
    let stage = Stage::start(settings(&bucket)).await;
    let gate = bucket.stall(Operation::Get, "originals/");
    bucket.fail(Operation::Get, "originals/", Fault::Status(503));
    let paths = six_sizes();
    let statuses = join_all(paths.iter().map(|path| async { stage.get(path).await.status() }));
    let (statuses, ()) = tokio::join!(statuses, async {
        until("the original is requested", || bucket.count(Operation::Get, "originals/") >= 1).await;
        gate.release();
    });
    assert_eq!(statuses, [StatusCode::BAD_GATEWAY; 6]);
    bucket.heal();
    assert_eq!(stage.get(&paths[0]).await.status(), StatusCode::OK);
}

fn variant(bucket: &Bucket, path: &str) -> Variant {
    match Grammar::new(&settings(bucket)).unwrap().parse(path).unwrap() {
        ParsedPath::Variant(addressed) => addressed.variant,
        ParsedPath::Object(key, _) => panic!("{key} is not a variant"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ensure_stored_makes_a_missing_variant_and_waits_for_the_store() {
    let bucket = bucket_with_a_cat().await;
    let stage = Stage::start(settings(&bucket)).await;
    let (variants, cat) = (stage.proxy.variants(), variant(&bucket, CAT));
    assert_eq!(variants.ensure_stored(&cat, None).await.unwrap(), EnsureStored::Made);
    assert!(bucket.object(CAT_STORED).is_some(), "the write is confirmed");
    assert_eq!(variants.ensure_stored(&cat, None).await.unwrap(), EnsureStored::AlreadyStored);
    assert_eq!(bucket.count(Operation::Put, "variants/"), 1);
    bucket.fail(Operation::Put, "variants/", Fault::Status(403));
    let error = variants.ensure_stored(&variant(&bucket, "/cat_20x20.jpg"), None).await.unwrap_err();
    assert!(matches!(error, EnsureStoredError::Write(_)), "{error}");
    let error = variants.ensure_stored(&variant(&bucket, "/dog_20x20.jpg"), None).await.unwrap_err();
    assert!(matches!(error, EnsureStoredError::Variant(_)), "{error}");
}
