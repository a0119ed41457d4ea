//! Revalidation of variants in memory: in the background, with a limited wait, and while a store hangs.

use std::time::Duration;

use futures_util::future::join_all;
use image::ImageFormat;
use reqwest::{Response, StatusCode};
use resized::config::{Config, Tuning};
use resized::variant::ObjectKey;

use crate::support::bucket::{Bucket, Fault, Gate, Operation};
use crate::support::pictures::{quarters, see};
use crate::support::stage::{Stage, header, redirecting, settings, until};

const CAT: &str = "/cat_40x40.png";
const DOG: &str = "/dog_40x40.png";
const LONG: Duration = Duration::from_secs(3600);
const HIT: &str = "resized; hit";
const STALE: &str = "resized; hit; detail=stale";

type Settings = fn(&Bucket) -> Config;

/// Settings in each mode, with the prefix of a store that each revalidation uses.
const MODES: [(Settings, &str); 3] =
    [(settings, "originals/"), (redirecting, "originals/"), (redirecting, "variants/")];

/// Stores an original. The height of its variants identifies its version: at `_40x40`, all variants are 40 pixels wide.
fn put(bucket: &Bucket, name: &str, height: u32) {
    bucket.put_object(&format!("originals/{name}.png"), quarters(160, height, ImageFormat::Png), "image/png");
}

async fn bucket_with_pets() -> Bucket {
    let bucket = Bucket::start().await;
    put(&bucket, "cat", 120);
    put(&bucket, "dog", 120);
    bucket
}

/// Returns settings with which every variant in memory is stale. A request waits briefly for its revalidation, and not for an
/// hour after a revalidation was late.
fn impatient(mut config: Config) -> Config {
    config.cache.revalidate_after = Duration::ZERO;
    config.cache.revalidate_timeout = Duration::from_millis(50);
    config.cache.failures = LONG;
    config
}

/// Stalls the requests of revalidations to the store below `prefix`.
fn hang(bucket: &Bucket, prefix: &str) -> Gate {
    bucket.stall(Operation::Head, prefix)
}

async fn height(response: Response) -> u32 {
    assert_eq!(response.status(), StatusCode::OK);
    see(&response.bytes().await.unwrap()).height
}

fn cache_status(response: &Response) -> &str {
    header(response, "cache-status")
}

/// True if a metric has a whole number as its value.
fn has_metric(stage: &Stage, line: &str) -> bool {
    stage.metrics.encode().lines().any(|found| found.strip_suffix(".0").unwrap_or(found) == line)
}

fn cat() -> ObjectKey {
    ObjectKey::new("cat.png").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_popular_variant_is_revalidated_in_the_background_before_it_is_stale() {
    let bucket = bucket_with_pets().await;
    let mut config = settings(&bucket);
    config.cache.revalidate_after = Duration::from_secs(10);
    let stage = Stage::start(config).await;
    assert_eq!(height(stage.get(CAT).await).await, 30);
    let gate = hang(&bucket, "originals/");
    let heads = || bucket.count(Operation::Head, "originals/");
    // The revalidation hangs, so the request that starts it and the next ones do not wait for it.
    while heads() == 0 {
        assert_eq!(cache_status(&stage.get(CAT).await), HIT);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..10 {
        assert_eq!(cache_status(&stage.get(CAT).await), HIT);
    }
    assert_eq!(heads(), 1);
    put(&bucket, "cat", 80);
    gate.release();
    let new = async || {
        let response = stage.get(CAT).await;
        assert_ne!(cache_status(&response), STALE);
        height(response).await == 20
    };
    while !new().await {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_in_vain_is_answered_stale_and_later_ones_do_not_wait() {
    for (settings, prefix) in MODES {
        let bucket = bucket_with_pets().await;
        let stage = Stage::start(impatient(settings(&bucket))).await;
        let (cat, dog) = (stage.get(CAT).await, stage.get(DOG).await);
        until("the variants are stored", || bucket.keys("variants/").len() == 2).await;
        let gate = hang(&bucket, prefix);
        for (path, fresh) in [(CAT, &cat), (CAT, &cat), (DOG, &dog)] {
            let stale = stage.get(path).await;
            assert_eq!((stale.status(), cache_status(&stale)), (fresh.status(), STALE), "{prefix} {path}");
            assert_eq!(header(&stale, "location"), header(fresh, "location"));
            assert_eq!(header(&stale, "cache-control"), "public, max-age=10", "caches ask again soon");
            assert_eq!(header(&stale, "server-timing"), "");
        }
        until("both variants are revalidated, by one flight each", || bucket.count(Operation::Head, prefix) >= 2).await;
        put(&bucket, "cat", 80);
        gate.release();
        until("the revalidation has ended and its result is in memory", || has_metric(&stage, "resized_flights 0"))
            .await;
        let new = stage.get(CAT).await;
        match new.status() {
            StatusCode::OK => assert_eq!(height(new).await, 20, "{prefix}"),
            _ => assert_ne!(header(&new, "location"), header(&cat, "location"), "{prefix}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failure_no_request_waits_for_the_store_until_it_answers_again() {
    let bucket = bucket_with_pets().await;
    let mut config = impatient(settings(&bucket));
    // A request that waits fails this test.
    config.cache.revalidate_timeout = LONG;
    config.s3.operation_timeout = LONG;
    let stage = Stage::start(config).await;
    stage.get(CAT).await;
    stage.get(DOG).await;
    bucket.fail(Operation::Head, "originals/cat", Fault::Status(503));
    assert_eq!(cache_status(&stage.get(CAT).await), STALE);
    bucket.heal();
    let gate = hang(&bucket, "originals/dog");
    assert_eq!(cache_status(&stage.get(DOG).await), STALE);
    put(&bucket, "dog", 80);
    gate.release();
    until("the revalidation has ended", || has_metric(&stage, "resized_flights 0")).await;
    put(&bucket, "dog", 40);
    assert_eq!(height(stage.get(DOG).await).await, 10, "the store is healthy again, so requests wait");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_store_opens_its_circuit_breaker_and_pictures_in_memory_are_served() {
    let bucket = bucket_with_pets().await;
    let mut config = impatient(settings(&bucket));
    config.cache.failures = Duration::ZERO;
    config.s3.operation_timeout = LONG;
    config.s3.circuit_breaker_pause = Duration::from_secs(5);
    let stage = Stage::start(config).await;
    let paths: Vec<_> = (10..30).map(|width| format!("/cat_{width}x.png")).collect();
    join_all(paths.iter().map(|path| stage.get(path))).await;
    let gate = hang(&bucket, "originals/");
    let open = r#"resized_s3_circuit_open{store="originals"} 1"#;
    while !has_metric(&stage, open) {
        for response in join_all(paths.iter().map(|path| stage.get(path))).await {
            assert_eq!((response.status(), cache_status(&response)), (StatusCode::OK, STALE));
        }
        assert!(
            !stage.metrics.encode().contains(r#"kind="head",status="none""#),
            "opened only after an attempt timed out"
        );
    }
    for response in join_all(paths.iter().map(|path| stage.get(path))).await {
        assert_eq!((response.status(), cache_status(&response)), (StatusCode::OK, STALE));
    }
    assert_eq!(stage.get(DOG).await.status(), StatusCode::BAD_GATEWAY, "a cold variant fails at once");
    gate.release();
    // A request tests whether the store has recovered.
    while cache_status(&stage.get(&paths[0]).await) == STALE {}
    assert!(!has_metric(&stage, open));
}

#[tokio::test(flavor = "multi_thread")]
async fn full_limits_never_refuse_a_variant_in_memory() {
    for (revalidations_max, status) in [(1, "resized; fwd=stale; fwd-status=304; detail=revalidated"), (0, STALE)] {
        let bucket = bucket_with_pets().await;
        let mut config = impatient(settings(&bucket));
        config.cache.revalidate_timeout = LONG;
        let tuning = Tuning { flights_max: 1, revalidations_max, ..Tuning::default() };
        let stage = Stage::start_with(config, tuning).await;
        stage.get(CAT).await;
        let gate = bucket.stall(Operation::Get, "variants/");
        tokio::join!(stage.get(DOG), async {
            until("the only flight runs", || bucket.count(Operation::Get, "variants/dog") == 1).await;
            assert_eq!(stage.get("/cat_50x50.png").await.status(), StatusCode::SERVICE_UNAVAILABLE);
            let cached = stage.get(CAT).await;
            assert_eq!((cached.status(), cache_status(&cached)), (StatusCode::OK, status));
            gate.release();
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_original_is_made_again_without_a_rate_limit() {
    let bucket = bucket_with_pets().await;
    let mut config = impatient(settings(&bucket));
    config.cache.revalidate_timeout = LONG;
    // One small variant takes the time of a minute.
    config.rates.cpu_per_client = Duration::from_nanos(1_000_000_000 / 30);
    let stage = Stage::start(config).await;
    assert_eq!(height(stage.get(CAT).await).await, 30);
    until("the variant is stored", || !bucket.keys("variants/").is_empty()).await;
    bucket.remove_object("variants/cat.png/40x40.png");
    let mut width = 1;
    while stage.get(&format!("/dog_{width}x.png")).await.status() != StatusCode::TOO_MANY_REQUESTS {
        width += 1;
    }
    put(&bucket, "cat", 80);
    assert_eq!(height(stage.get(CAT).await).await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_does_not_use_a_flight_that_read_the_original_before_it_was_replaced() {
    let bucket = bucket_with_pets().await;
    let mut config = impatient(redirecting(&bucket));
    config.cache.revalidate_timeout = LONG;
    let stage = Stage::start(config).await;
    let gate = bucket.stall(Operation::Put, "variants/");
    let (old, new) = tokio::join!(stage.get(CAT), async {
        until("the old variant is being written", || bucket.count(Operation::Put, "variants/") == 1).await;
        put(&bucket, "cat", 80);
        let (new, ()) = tokio::join!(stage.get(CAT), async {
            // The request joins the flight, unless it is slower than the flight.
            tokio::time::sleep(Duration::from_millis(50)).await;
            gate.release();
        });
        new
    });
    assert_ne!(header(&old, "location"), header(&new, "location"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_during_a_revalidation_makes_the_next_request_use_the_new_original() {
    let bucket = bucket_with_pets().await;
    let stage = Stage::start(impatient(settings(&bucket))).await;
    assert_eq!(height(stage.get(CAT).await).await, 30);
    until("the variant is stored", || !bucket.keys("variants/").is_empty()).await;
    let gate = hang(&bucket, "originals/");
    assert_eq!(cache_status(&stage.get(CAT).await), STALE);
    put(&bucket, "cat", 80);
    let s3 = serde_json::json!({"bucket": {"name": bucket.name()}, "object": {"key": "originals/cat.png"}});
    let event = serde_json::json!({"Records": [{"eventName": "ObjectCreated:Put", "s3": s3}]}).to_string();
    stage.proxy.handle_event(event.as_bytes()).await.unwrap();
    let purged = stage.get(CAT).await;
    assert_eq!(cache_status(&purged), "resized; fwd=miss; detail=made");
    assert_eq!(height(purged).await, 20);
    gate.release();
    until("the revalidation has ended", || has_metric(&stage, "resized_flights 0")).await;
    assert_eq!(height(stage.get(CAT).await).await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_that_is_read_while_a_purge_deletes_it_is_not_kept() {
    let bucket = bucket_with_pets().await;
    let mut config = settings(&bucket);
    config.originals.immutable = true;
    let stage = Stage::start(config).await;
    assert_eq!(height(stage.get(CAT).await).await, 30);
    until("the variant is stored", || !bucket.keys("variants/").is_empty()).await;
    put(&bucket, "cat", 80);
    let gate = bucket.stall(Operation::Delete, "variants/");
    let cat = cat();
    let (purged, ()) = tokio::join!(stage.proxy.purge(&cat), async {
        until("the variant is being deleted", || bucket.count(Operation::Delete, "variants/") == 1).await;
        assert_eq!(height(stage.get(CAT).await).await, 30, "the old variant is still stored");
        gate.release();
    });
    assert_eq!(purged.unwrap(), 1);
    assert_eq!(height(stage.get(CAT).await).await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_original_is_served_once_it_is_uploaded_within_revalidate_after() {
    let bucket = Bucket::start().await;
    let mut config = impatient(settings(&bucket));
    config.cache.revalidate_timeout = LONG;
    let stage = Stage::start(config).await;
    for path in [CAT, "/cat.png"] {
        assert_eq!(stage.get(path).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    put(&bucket, "cat", 120);
    for path in [CAT, "/cat.png"] {
        assert_eq!(stage.get(path).await.status(), StatusCode::OK, "{path}");
    }
    let etag = header(&stage.get("/cat.png").await, "etag").to_owned();
    put(&bucket, "cat", 80);
    let replaced = stage.request("HEAD", "/cat.png").send().await.unwrap();
    assert_ne!(header(&replaced, "etag"), etag, "metadata of originals is not older than revalidate_after either");
}
