//! A store that is slow, throttled or broken, and more work than there is room for.

use std::time::Duration;

use reqwest::StatusCode;
use resized::config::{Overload, Serve};

use crate::bucket::{Bucket, Fault, Operation};
use crate::pictures::jpeg;
use crate::stage::{Stage, header, settings, until};

const CAT: &str = "/photos/cat_40x40.jpg";

async fn bucket_with_a_cat() -> Bucket {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/photos/cat.jpg", jpeg(400, 300), "image/jpeg");
    bucket
}

#[tokio::test(flavor = "multi_thread")]
async fn an_original_that_cannot_be_had_is_a_5xx_that_is_not_kept_and_nothing_is_stored() {
    let bucket = bucket_with_a_cat().await;
    let stage = Stage::start(settings(&bucket)).await;
    // Clocks that differ too much are a 403, as is everything that S3 does not believe.
    for fault in [Fault::Status(500), Fault::Status(503), Fault::Status(403), Fault::Truncate] {
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
async fn a_store_that_says_nothing_is_a_504() {
    let bucket = bucket_with_a_cat().await;
    let mut config = settings(&bucket);
    let brief = Duration::from_millis(300);
    (config.s3.read_timeout, config.s3.attempt_timeout, config.s3.operation_timeout) = (brief, brief, brief);
    let stage = Stage::start(config).await;
    let gate = bucket.stall(Operation::Get, "originals/");
    let response = stage.get(CAT).await;
    assert_eq!((response.status(), header(&response, "cache-control")), (StatusCode::GATEWAY_TIMEOUT, "no-store"));
    gate.release();
    assert_eq!(stage.get(CAT).await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_variant_that_comes_cut_short_is_made_instead() {
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

#[tokio::test(flavor = "multi_thread")]
async fn overload_is_a_way_to_the_original_if_so_configured_and_memory_keeps_flowing() {
    let bucket = bucket_with_a_cat().await;
    let public = "https://pictures.example.com/originals".to_owned();
    for (public_url, serve, status, location) in [
        (public.clone(), Serve::None, 307, format!("{public}/photos/cat.jpg")),
        (String::new(), Serve::Images, 307, "/photos/cat.jpg".to_owned()),
        (String::new(), Serve::None, 503, String::new()),
    ] {
        let mut config = settings(&bucket);
        config.work.flights = std::num::NonZeroUsize::MIN;
        config.work.overload = Overload::Original;
        config.originals.public_url = public_url;
        config.originals.serve = serve;
        let stage = Stage::start(config).await;
        assert_eq!(stage.get(CAT).await.status(), StatusCode::OK);
        let so_far = bucket.count(Operation::Get, "originals/");
        let gate = bucket.stall(Operation::Get, "originals/");
        let (busy, ()) = tokio::join!(stage.get("/photos/cat_20x20.jpg"), async {
            until("a flight is under way", || bucket.count(Operation::Get, "originals/") > so_far).await;
            let instead = stage.get("/photos/cat_30x30.jpg").await;
            assert_eq!((instead.status().as_u16(), header(&instead, "location")), (status, location.as_str()));
            assert_eq!(header(&instead, "cache-control"), "no-store");
            assert_eq!(header(&stage.get(CAT).await, "cache-status"), "resized; hit");
            gate.release();
        });
        assert_eq!(busy.status(), StatusCode::OK);
        assert!(stage.stop().await);
        for key in ["20x20_q80", "40x40_q80"] {
            bucket.remove_object(&format!("variants/photos/cat.jpg/{key}.jpg"));
        }
    }
}
