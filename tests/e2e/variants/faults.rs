//! Failing stores and overload.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use resized::config::{Config, Overload, Serve, Tuning};

use crate::support::bucket::{Bucket, Fault, Operation};
use crate::support::pictures::jpeg;
use crate::support::stage::{Stage, header, redirecting, settings, until};

const CAT: &str = "/photos/cat_40x40.jpg";

async fn bucket_with_a_cat() -> Bucket {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/photos/cat.jpg", jpeg(400, 300), "image/jpeg");
    bucket
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_original_is_an_uncached_5xx_and_nothing_is_stored() {
    let bucket = bucket_with_a_cat().await;
    let stage = Stage::start(settings(&bucket)).await;
    let statuses = [500, 503, 403].map(Fault::Status);
    for fault in statuses.into_iter().chain([Fault::Truncate, Fault::Corrupt, Fault::ClockSkew]) {
        bucket.fail(Operation::Get, "originals/", fault);
        let response = stage.get(CAT).await;
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY, "{fault:?}");
        assert_eq!(header(&response, "cache-control"), "no-store", "{fault:?}");
        bucket.heal();
    }
    assert_eq!(bucket.count(Operation::Put, ""), 0);
    assert_eq!(stage.get(CAT).await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_html_page_instead_of_the_original_is_a_briefly_cached_422_and_nothing_is_stored() {
    let bucket = bucket_with_a_cat().await;
    let mut config = settings(&bucket);
    config.cache.failures = Duration::ZERO;
    let stage = Stage::start(config).await;
    bucket.fail(Operation::Get, "originals/", Fault::Page);
    let response = stage.get(CAT).await;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(header(&response, "cache-control"), "public, max-age=10");
    assert_eq!(bucket.count(Operation::Put, ""), 0);
    bucket.heal();
    assert_eq!(stage.get(CAT).await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_format_of_an_original_is_detected_from_its_bytes_not_its_content_type() {
    let bucket = bucket_with_a_cat().await;
    bucket.put_object("originals/photos/cat.jpg", jpeg(400, 300), "text/html");
    let stage = Stage::start(settings(&bucket)).await;
    for path in [CAT, "/photos/cat.jpg"] {
        let response = stage.get(path).await;
        assert_eq!((response.status(), header(&response, "content-type")), (StatusCode::OK, "image/jpeg"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_answer_is_a_504() {
    let bucket = bucket_with_a_cat().await;
    let mut config = settings(&bucket);
    config.s3.operation_timeout = Duration::from_millis(300);
    let stage = Stage::start(config).await;
    let gate = bucket.stall(Operation::Get, "originals/");
    let response = stage.get(CAT).await;
    assert_eq!((response.status(), header(&response, "cache-control")), (StatusCode::GATEWAY_TIMEOUT, "no-store"));
    gate.release();
    assert_eq!(stage.get(CAT).await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_stored_variant_is_made_again() {
    let bucket = bucket_with_a_cat().await;
    let mut config = settings(&bucket);
    config.originals.immutable = true;
    for fault in [Fault::Corrupt, Fault::Page] {
        let stage = Stage::start(config.clone()).await;
        let whole = stage.get(CAT).await.bytes().await.unwrap();
        assert!(stage.stop().await);
        let stage = Stage::start(config.clone()).await;
        bucket.fail(Operation::Get, "variants/", fault);
        let response = stage.get(CAT).await;
        assert_eq!(header(&response, "cache-status"), "resized; fwd=miss; detail=made", "{fault:?}");
        assert_eq!(response.bytes().await.unwrap(), whole, "{fault:?}");
        assert!(stage.stop().await);
        bucket.heal();
    }
    // The object is corrupted in the bucket, so its transfer checksum is correct.
    let key = "variants/photos/cat.jpg/40x40_q80.jpg";
    let intact = bucket.object(key).unwrap();
    bucket.rot(key);
    let stage = Stage::start(config).await;
    assert_eq!(header(&stage.get(CAT).await, "cache-status"), "resized; fwd=miss; detail=made");
    assert!(stage.stop().await);
    assert_eq!(bucket.object(key).unwrap().bytes, intact.bytes, "the stored object is replaced");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_response_for_a_stored_variant_makes_it_again() {
    let bucket = bucket_with_a_cat().await;
    let stage = Stage::start(settings(&bucket)).await;
    let whole = stage.get(CAT).await.bytes().await.unwrap();
    assert!(stage.stop().await);
    let stage = Stage::start(settings(&bucket)).await;
    bucket.fail(Operation::Get, "variants/", Fault::Truncate);
    let response = stage.get(CAT).await;
    assert_eq!(header(&response, "cache-status"), "resized; fwd=miss; detail=made");
    assert_eq!(response.bytes().await.unwrap(), whole);
}

/// Requests a cold variant while the only flight that the proxy allows is running, and returns the response. Checks
/// that cached variants are still served.
async fn response_while_busy(config: Config, bucket: &Bucket) -> Response {
    let stage = Stage::start_with(config, Tuning { flights_max: 1, ..Tuning::default() }).await;
    let cached_status = stage.get(CAT).await.status();
    let before = bucket.count(Operation::Get, "originals/");
    let gate = bucket.stall(Operation::Get, "originals/");
    let (busy, meanwhile) = tokio::join!(stage.get("/photos/cat_20x20.jpg"), async {
        until("the flight reads the original", || bucket.count(Operation::Get, "originals/") > before).await;
        let meanwhile = stage.get("/photos/cat_30x30.jpg").await;
        let hit = stage.get(CAT).await;
        assert_eq!((hit.status(), header(&hit, "cache-status")), (cached_status, "resized; hit"));
        gate.release();
        meanwhile
    });
    assert_eq!(busy.status(), cached_status);
    assert!(stage.stop().await);
    for key in bucket.keys("variants/") {
        bucket.remove_object(&key);
    }
    meanwhile
}

#[tokio::test(flavor = "multi_thread")]
async fn overload_is_503_or_a_redirect_to_the_original_and_hits_are_still_served() {
    let bucket = bucket_with_a_cat().await;
    let public = "https://pictures.example.com/originals".to_owned();
    let modes: [fn(&Bucket) -> Config; 2] = [settings, redirecting];
    for settings in modes {
        for (overload, public_url, serve, status, location) in [
            (Overload::Original, public.as_str(), Serve::None, 307, format!("{public}/photos/cat.jpg")),
            (Overload::Original, "", Serve::Images, 307, "/photos/cat.jpg".to_owned()),
            (Overload::Original, "", Serve::None, 503, String::new()),
            (Overload::Refuse, public.as_str(), Serve::Images, 503, String::new()),
        ] {
            let mut config = settings(&bucket);
            config.work.overload = overload;
            config.originals.public_url = public_url.to_owned();
            config.originals.serve = serve;
            let mode = config.answers.mode;
            let meanwhile = response_while_busy(config, &bucket).await;
            let (actual, target) = (meanwhile.status().as_u16(), header(&meanwhile, "location"));
            assert_eq!((actual, target), (status, location.as_str()), "{mode:?} {overload:?}");
            assert_eq!(header(&meanwhile, "cache-control"), "no-store");
            let retry_after = if status == 503 { "1" } else { "" };
            assert_eq!(header(&meanwhile, "retry-after"), retry_after, "{mode:?} {overload:?}");
        }
    }
}
