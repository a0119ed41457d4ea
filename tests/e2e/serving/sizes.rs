//! Allowed sizes and signed URLs.

use reqwest::StatusCode;
use resized::config::{Require, Signing, SizePolicy};
use resized::variant::{Signer, UrlToSign};
use serde_json::Value;

use crate::support::bucket::{Bucket, Operation};
use crate::support::pictures::jpeg;
use crate::support::stage::{Stage, header, settings, until};

async fn stage(policy: SizePolicy) -> (Bucket, Stage) {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/cat.jpg", jpeg(160, 120), "image/jpeg");
    let mut config = settings(&bucket);
    config.sizes.policy = policy;
    config.sizes.list = vec!["40x40".into()];
    config.sizes.step = 20;
    let stage = Stage::start(config).await;
    (bucket, stage)
}

fn requests(bucket: &Bucket) -> usize {
    [Operation::Head, Operation::Get, Operation::Put].map(|operation| bucket.count(operation, "")).iter().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_that_is_not_allowed_is_404_without_a_store_request() {
    let (bucket, stage) = stage(SizePolicy::List).await;
    let before = requests(&bucket);
    for _ in 0..2 {
        let refused = stage.get("/cat_41x40.jpg").await;
        assert_eq!(refused.status(), StatusCode::NOT_FOUND);
        assert_eq!(header(&refused, "cache-control"), "public, max-age=10");
        let problem: Value = refused.json().await.unwrap();
        assert_eq!(problem["type"], "urn:resized:problem:size-not-allowed");
        assert!(problem["detail"].as_str().unwrap().ends_with(": /cat_40x40_q80.jpg"), "{problem}");
    }
    assert_eq!(requests(&bucket), before);
    assert_eq!(stage.get("/cat_40x40.jpg").await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_between_two_steps_is_redirected_once_and_only_to_this_host() {
    let (bucket, stage) = stage(SizePolicy::Step).await;
    let before = requests(&bucket);
    let redirect = stage.get("/cat_41x.jpg?v=1").await;
    assert_eq!(redirect.status(), StatusCode::MOVED_PERMANENTLY);
    assert_eq!(header(&redirect, "location"), "/cat_60x_q80.jpg?v=1");
    assert_eq!(requests(&bucket), before);
    assert_eq!(stage.get("/cat_60x_q80.jpg?v=1").await.status(), StatusCode::OK, "not redirected again");
    // A `Location` that begins with two slashes or with a scheme would lead to another host.
    let paths = [
        "//evil.example/cat_41x.jpg",
        "/%2Fevil.example/cat_41x.jpg",
        "/%2f%2fevil.example/cat_41x.jpg",
        "/%5Cevil.example/cat_41x.jpg",
        "/https:%2f%2fevil.example/cat_41x.jpg",
        "/https:evil.example/cat_41x.jpg",
        "/.%2f/evil.example_41x.jpg",
        "/%0d%0aLocation:%20x/cat_41x.jpg",
    ];
    for path in paths {
        let response = stage.get(path).await;
        match response.status() {
            StatusCode::BAD_REQUEST => {}
            StatusCode::MOVED_PERMANENTLY => {
                let location = header(&response, "location");
                let is_local = location.starts_with('/') && !location.starts_with("//") && !location.contains('\\');
                assert!(is_local, "{path}: {location}");
            }
            status => panic!("{path}: {status}"),
        }
    }
}

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A path with its signature.
fn signed(path: &str, expires: Option<u64>) -> String {
    let signer = Signer::new(&Signing { keys: KEY.into(), ..Signing::default() }).unwrap();
    let UrlToSign { key, prefix: url } = UrlToSign::parse(path).unwrap();
    format!("{url}{}", signer.query(&key, expires))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_url_may_have_any_size_and_a_wrong_signature_is_403() {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/cat.jpg", jpeg(160, 120), "image/jpeg");
    let mut config = settings(&bucket);
    config.sizes.policy = SizePolicy::List;
    config.sizes.list = vec!["40x40".into()];
    config.signing.keys = format!("{},{KEY}", KEY.to_uppercase()).as_str().into();
    let stage = Stage::start(config).await;
    let status = async |path: &str| stage.get(path).await.status().as_u16();
    assert_eq!(status("/cat_41x40.jpg").await, 404);
    assert_eq!(status(&signed("/cat_41x40.jpg", None)).await, 200);
    assert_eq!(status(&signed("/cat_41x40.jpg?v=7", None)).await, 200);
    assert_eq!(status("/cat_41x40.jpg").await, 404, "also after it was made");
    let far = 4_102_444_800;
    let expiring = stage.get(&signed("/cat_42x40.jpg", Some(far))).await;
    assert_eq!(expiring.status(), StatusCode::OK);
    assert!(header(&expiring, "cache-control").starts_with("private, max-age="), "{expiring:?}");
    until("both variants are stored", || bucket.keys("variants/").len() == 2).await;
    let requests_before = requests(&bucket);
    let other = signed("/cat_43x40.jpg", None);
    for path in [signed("/cat_43x40.jpg", Some(1)), other.replace("_43", "_44"), other.replace('?', "?expires=9&")] {
        let refused = stage.get(&path).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{path}");
        assert_eq!(header(&refused, "cache-control"), "no-store");
    }
    assert_eq!(requests(&bucket), requests_before);
    assert_eq!(status("/cat_40x40.jpg").await, 200, "signatures are optional");
    assert_eq!(status(&signed("/cat_9000x.jpg", None)).await, 404, "a signature does not lift limits");
}

#[tokio::test(flavor = "multi_thread")]
async fn unsigned_requests_are_403_if_signatures_are_required() {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/cat.jpg", jpeg(160, 120), "image/jpeg");
    for (require, original) in [(Require::Variants, 200), (Require::All, 403)] {
        let mut config = settings(&bucket);
        config.signing.keys = KEY.into();
        config.signing.require = require;
        let stage = Stage::start(config).await;
        let status = async |path: &str| stage.get(path).await.status().as_u16();
        assert_eq!(status("/cat_40x40.jpg").await, 403);
        assert_eq!(status("/cat.jpg").await, original);
        for path in ["/cat_40x40.jpg", "/cat.jpg"] {
            assert_eq!(status(&signed(path, None)).await, 200, "{path}");
        }
    }
}
