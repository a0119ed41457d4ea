//! Freshness: replaced originals, purges, event notifications, and stale responses while a store fails.

use std::time::Duration;

use image::ImageFormat;
use reqwest::StatusCode;
use resized::config::Config;
use resized::proxy::EventOutcome;
use resized::variant::ObjectKey;

use crate::support::bucket::{Bucket, Fault, Operation};
use crate::support::pictures::{quarters, see};
use crate::support::stage::{Stage, header, redirecting, settings, until};

const CAT: &str = "/cat_40x40.png";
const CAT_STORED: &str = "variants/cat.png/40x40.png";

/// Stores an original. The height of its variants identifies its version: at `_40x40`, all variants are 40 pixels wide.
fn put_cat(bucket: &Bucket, height: u32) {
    bucket.put_object("originals/cat.png", quarters(160, height, ImageFormat::Png), "image/png");
}

async fn bucket_with_a_cat() -> Bucket {
    let bucket = Bucket::start().await;
    put_cat(&bucket, 120);
    bucket
}

/// Returns settings with which every request revalidates the variant in memory.
fn always_revalidating(mut config: Config) -> Config {
    config.cache.revalidate_after = Duration::ZERO;
    config.cache.failures = Duration::ZERO;
    config
}

fn immutable(mut config: Config) -> Config {
    config.originals.immutable = true;
    config
}

/// Height of the picture at `path`, and the `Cache-Status`.
async fn height(stage: &Stage, path: &str) -> (u32, String) {
    let response = stage.get(path).await;
    assert_eq!(response.status(), StatusCode::OK);
    let cache = header(&response, "cache-status").to_owned();
    (see(&response.bytes().await.unwrap()).height, cache)
}

fn cat() -> ObjectKey {
    ObjectKey::new("cat.png").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_original_shows_on_every_node() {
    let bucket = bucket_with_a_cat().await;
    let (one, two) = (
        Stage::start(always_revalidating(settings(&bucket))).await,
        Stage::start(always_revalidating(settings(&bucket))).await,
    );
    assert_eq!((height(&one, CAT).await.0, height(&two, CAT).await.0), (30, 30));
    until("the variant is stored", || bucket.object(CAT_STORED).is_some()).await;
    put_cat(&bucket, 80);
    assert_eq!((height(&one, CAT).await.0, height(&two, CAT).await.0), (20, 20));
    let three = Stage::start(always_revalidating(settings(&bucket))).await;
    assert_eq!(height(&three, CAT).await.0, 20, "a stored variant of the old original is not used");
    for stage in [one, two, three] {
        assert!(stage.stop().await);
    }
    assert_eq!(see(&bucket.object(CAT_STORED).unwrap().bytes).height, 20);
    assert_eq!(bucket.stored(CAT_STORED), 2, "If-Match replaces it once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_original_changes_the_version_in_the_redirect() {
    let bucket = bucket_with_a_cat().await;
    let stage = Stage::start(always_revalidating(redirecting(&bucket))).await;
    let locate = async || header(&stage.get(CAT).await, "location").to_owned();
    let old = locate().await;
    assert_eq!(locate().await, old);
    put_cat(&bucket, 80);
    let new = locate().await;
    assert_ne!(new, old);
    assert_eq!(locate().await, new);
    assert_eq!(see(&bucket.object(CAT_STORED).unwrap().bytes).height, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_variant_is_made_again_before_the_redirect() {
    let bucket = bucket_with_a_cat().await;
    let stage = Stage::start(always_revalidating(redirecting(&bucket))).await;
    assert_eq!(stage.get(CAT).await.status(), StatusCode::MOVED_PERMANENTLY);
    bucket.remove_object(CAT_STORED);
    assert_eq!(stage.get(CAT).await.status(), StatusCode::MOVED_PERMANENTLY);
    assert!(bucket.object(CAT_STORED).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_original_is_a_404() {
    let bucket = bucket_with_a_cat().await;
    let stage = Stage::start(always_revalidating(settings(&bucket))).await;
    assert_eq!(height(&stage, CAT).await.0, 30);
    bucket.remove_object("originals/cat.png");
    assert_eq!(stage.get(CAT).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_whose_original_changes_while_it_is_made_is_replaced() {
    let settings: [fn(&Bucket) -> Config; 2] = [settings, redirecting];
    for settings in settings {
        let bucket = bucket_with_a_cat().await;
        let stage = Stage::start(always_revalidating(settings(&bucket))).await;
        let gate = bucket.stall(Operation::Put, "variants/");
        tokio::join!(stage.get(CAT), async {
            until("the old variant is being written", || bucket.count(Operation::Put, "variants/") == 1).await;
            put_cat(&bucket, 80);
            gate.release();
        });
        until("the old variant is stored", || bucket.stored(CAT_STORED) == 1).await;
        let other = Stage::start(always_revalidating(settings(&bucket))).await;
        other.get(CAT).await;
        until("the new variant is stored", || bucket.stored(CAT_STORED) == 2).await;
        assert_eq!(see(&bucket.object(CAT_STORED).unwrap().bytes).height, 20, "a lookup does not use the old variant");
        let old = stage.get(CAT).await;
        if old.status() == StatusCode::OK {
            assert_eq!(see(&old.bytes().await.unwrap()).height, 20, "memory does not serve the old variant");
        } else {
            assert_eq!(
                header(&old, "location"),
                header(&other.get(CAT).await, "location"),
                "memory does not serve the old variant"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_after_a_purge_does_not_join_a_batch_from_before_it() {
    let bucket = bucket_with_a_cat().await;
    let stage = Stage::start(settings(&bucket)).await;
    let gate = bucket.stall(Operation::Get, "originals/");
    let (_, small) = tokio::join!(stage.get(CAT), async {
        until("the old original is requested", || bucket.count(Operation::Get, "originals/") == 1).await;
        put_cat(&bucket, 80);
        stage.proxy.purge(&cat()).await.unwrap();
        tokio::join!(stage.get("/cat_20x20.png"), async {
            until("the new original is requested", || bucket.count(Operation::Get, "originals/") == 2).await;
            gate.release();
        })
        .0
    });
    assert_eq!(see(&small.bytes().await.unwrap()).height, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn freshness_counts_from_when_the_original_was_read() {
    let bucket = bucket_with_a_cat().await;
    let mut config = redirecting(&bucket);
    config.cache.revalidate_after = Duration::from_millis(100);
    let stage = Stage::start(config).await;
    let gate = bucket.stall(Operation::Put, "variants/");
    let (old, ()) = tokio::join!(stage.get(CAT), async {
        until("the variant is being written", || bucket.count(Operation::Put, "variants/") == 1).await;
        put_cat(&bucket, 80);
        tokio::time::sleep(Duration::from_millis(100)).await;
        gate.release();
    });
    let new = stage.get(CAT).await;
    assert_ne!(header(&old, "location"), header(&new, "location"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_never_leads_to_another_nodes_variant_of_an_older_original() {
    let bucket = bucket_with_a_cat().await;
    let stage = Stage::start(redirecting(&bucket)).await;
    let gate = bucket.stall(Operation::Put, "variants/");
    let (moved, ()) = tokio::join!(stage.get(CAT), async {
        until("the variant is being written", || bucket.count(Operation::Put, "variants/") == 1).await;
        bucket.put_object(CAT_STORED, b"another node's".to_vec(), "image/png");
        gate.release();
    });
    assert_eq!(moved.status(), StatusCode::MOVED_PERMANENTLY);
    let version = header(&moved, "location").rsplit_once("?v=").unwrap().1.to_owned();
    let stored = bucket.object(CAT_STORED).unwrap();
    assert_eq!(see(&stored.bytes).height, 30);
    assert_eq!(stored.metadata["resized-fingerprint"], version);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_removes_all_variants_of_one_original_and_no_others() {
    let bucket = bucket_with_a_cat().await;
    bucket.put_object("originals/cat.png/kitten.png", quarters(160, 120, ImageFormat::Png), "image/png");
    let stage = Stage::start(immutable(redirecting(&bucket))).await;
    for path in [CAT, "/cat_20x20.png", "/cat_20x20.png.webp", "/cat.png/kitten_40x40.png"] {
        assert_eq!(stage.get(path).await.status(), StatusCode::MOVED_PERMANENTLY, "{path}");
    }
    let old = header(&stage.get(CAT).await, "location").to_owned();
    put_cat(&bucket, 80);
    assert_eq!(header(&stage.get(CAT).await, "location"), old, "originals are not checked");
    assert_eq!(stage.proxy.purge(&cat()).await.unwrap(), 3);
    assert!(bucket.object(CAT_STORED).is_none());
    assert!(bucket.object("variants/cat.png/kitten.png/40x40.png").is_some());
    assert_ne!(header(&stage.get(CAT).await, "location"), old);
    assert_eq!(see(&bucket.object(CAT_STORED).unwrap().bytes).height, 20);
    assert_eq!(header(&stage.get("/cat.png/kitten_40x40.png").await, "cache-status"), "resized; hit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_during_a_write_removes_the_written_variant() {
    let bucket = bucket_with_a_cat().await;
    let stage = Stage::start(immutable(redirecting(&bucket))).await;
    let gate = bucket.stall(Operation::Put, "variants/");
    let (before, ()) = tokio::join!(stage.get(CAT), async {
        until("the variant is being written", || bucket.count(Operation::Put, "variants/") == 1).await;
        put_cat(&bucket, 80);
        assert_eq!(stage.proxy.purge(&cat()).await.unwrap(), 0, "no variant is stored yet");
        gate.release();
    });
    assert_eq!((before.status(), header(&before, "cache-control")), (StatusCode::OK, "public, max-age=10"));
    assert_eq!(stage.get(CAT).await.status(), StatusCode::MOVED_PERMANENTLY);
    assert_eq!(see(&bucket.object(CAT_STORED).unwrap().bytes).height, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_the_store_refuses_is_an_error_but_clears_memory() {
    let bucket = bucket_with_a_cat().await;
    let stage = Stage::start(immutable(redirecting(&bucket))).await;
    stage.get(CAT).await;
    bucket.fail(Operation::Delete, "variants/", Fault::Status(403));
    stage.proxy.purge(&cat()).await.unwrap_err();
    assert_eq!(header(&stage.get(CAT).await, "cache-status"), "resized; fwd=miss; detail=stored");
    bucket.heal();
    assert_eq!(stage.proxy.purge(&cat()).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn cached_variants_are_served_stale_while_the_store_fails() {
    let bucket = bucket_with_a_cat().await;
    for config in [always_revalidating(settings(&bucket)), always_revalidating(redirecting(&bucket))] {
        let stage = Stage::start(config).await;
        let before = stage.get(CAT).await;
        for operation in [Operation::Get, Operation::Head, Operation::Put] {
            bucket.fail(operation, "", Fault::Status(503));
        }
        for _ in 0..2 {
            let stale = stage.get(CAT).await;
            assert_eq!(stale.status(), before.status());
            assert_eq!(header(&stale, "cache-status"), "resized; hit; detail=stale");
            assert_eq!(header(&stale, "location"), header(&before, "location"));
        }
        assert_eq!(stage.get("/cat_50x50.png").await.status(), StatusCode::BAD_GATEWAY, "a variant that is not cached");
        bucket.heal();
        let revalidated = stage.get(CAT).await;
        assert_eq!(header(&revalidated, "cache-status"), "resized; fwd=stale; fwd-status=304; detail=revalidated");
        assert!(stage.stop().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_costs_as_many_store_requests_as_documented() {
    use Operation::{Get, Head, Put};
    type Row = (&'static str, fn(&Bucket) -> Config, [&'static [Operation]; 3]);
    let table: [Row; 4] = [
        ("stream, immutable", |bucket| immutable(settings(bucket)), [&[Get, Get, Put], &[], &[Get]]),
        ("redirect, immutable", |bucket| immutable(redirecting(bucket)), [&[Head, Get, Put], &[], &[Head]]),
        ("stream", |bucket| settings(bucket), [&[Get, Get, Put], &[], &[Get, Head]]),
        ("redirect", |bucket| redirecting(bucket), [&[Head, Get, Put], &[], &[Head, Head]]),
    ];
    for (name, config, [cold, hit, stored]) in table {
        let bucket = bucket_with_a_cat().await;
        let operations = || bucket.requests().into_iter().map(|(operation, _)| operation).collect::<Vec<_>>();
        let stage = Stage::start(config(&bucket)).await;
        stage.get(CAT).await;
        until("the variant is stored", || bucket.object(CAT_STORED).is_some()).await;
        assert_eq!(sorted(operations()), sorted(cold.to_vec()), "{name}: cold");
        let before = operations().len();
        stage.get(CAT).await;
        assert_eq!(operations().len(), before + hit.len(), "{name}: hit");
        assert!(stage.stop().await);
        let stage = Stage::start(config(&bucket)).await;
        stage.get(CAT).await;
        assert_eq!(sorted(operations()[before..].to_vec()), sorted(stored.to_vec()), "{name}: stored");
    }
    let bucket = bucket_with_a_cat().await;
    for (config, revalidation) in
        [(always_revalidating(settings(&bucket)), 1), (always_revalidating(redirecting(&bucket)), 2)]
    {
        let stage = Stage::start(config).await;
        stage.get(CAT).await;
        until("the variant is stored", || bucket.object(CAT_STORED).is_some()).await;
        let before = bucket.requests().len();
        stage.get(CAT).await;
        assert_eq!(bucket.requests().len() - before, revalidation, "revalidation sends only HEAD requests");
    }
}

fn sorted(mut operations: Vec<Operation>) -> Vec<String> {
    operations.sort_by_key(|operation| format!("{operation:?}"));
    operations.into_iter().map(|operation| format!("{operation:?}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_notification_purges_only_the_original_that_it_names() {
    let bucket = bucket_with_a_cat().await;
    let stage = Stage::start(immutable(redirecting(&bucket))).await;
    stage.get(CAT).await;
    let event = |bucket: &str, key: &str| {
        let s3 = serde_json::json!({"bucket": {"name": bucket}, "object": {"key": key}});
        serde_json::json!({"Records": [{"eventName": "ObjectCreated:Put", "s3": s3}]}).to_string()
    };
    for (name, key) in [("another", "originals/cat.png"), (bucket.name(), "variants/cat.png/40x40.png")] {
        let outcome = stage.proxy.handle_event(event(name, key).as_bytes()).await.unwrap();
        assert_eq!(outcome, EventOutcome::Purged { originals: 0 }, "{name} {key}");
    }
    let confirm = br#"{"Type": "SubscriptionConfirmation", "SubscribeURL": "http://127.0.0.1:1/"}"#;
    assert_eq!(stage.proxy.handle_event(confirm).await.unwrap(), EventOutcome::ConfirmSubscription);
    assert!(bucket.object(CAT_STORED).is_some());
    put_cat(&bucket, 80);
    let outcome = stage.proxy.handle_event(event(bucket.name(), "originals/cat.png").as_bytes()).await.unwrap();
    assert_eq!(outcome, EventOutcome::Purged { originals: 1 });
    stage.get(CAT).await;
    assert_eq!(see(&bucket.object(CAT_STORED).unwrap().bytes).height, 20);
}
