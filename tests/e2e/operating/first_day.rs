//! A complete session on one bucket: make, cache, restart, redirect. Runs on the S3 server in this process, and on the real one of
//! `TEST_S3_ENDPOINT`, if set.

use bytes::Bytes;
use reqwest::StatusCode;
use resized::config::{Config, Mode};
use resized::observability::metrics::S3Metrics;
use resized::origin::{Attributes, Precondition, Store};
use resized::variant::ObjectKey;

use crate::support::bucket::Bucket;
use crate::support::pictures::{BLUE, GREEN, RED, YELLOW, jpeg, see};
use crate::support::stage::{PUBLIC_URL, Stage, header, real, settings};

#[tokio::test(flavor = "multi_thread")]
async fn variants_are_made_once_found_after_a_restart_and_redirected_to() {
    let bucket = Bucket::start().await;
    session(settings(&bucket)).await;
    if let Some(config) = real(&bucket, "day") {
        session(config).await;
    }
}

async fn session(mut config: Config) {
    let original = jpeg(400, 300);
    let attributes = Attributes { content_type: "image/jpeg".into(), ..Default::default() };
    let originals = Store::open(&config.originals.store, "", &config.s3, &S3Metrics::default()).await.unwrap();
    let key = ObjectKey::new("photos/Café crème.jpg").unwrap();
    originals.put(&key, Bytes::from(original.clone()), &attributes, Precondition::None).await.unwrap();
    let variants = Store::open(&config.variants.store, "", &config.s3, &S3Metrics::default()).await.unwrap();
    let (small, stored) = (
        "/photos/Caf%C3%A9%20cr%C3%A8me_100x100.jpg",
        ObjectKey::new("photos/Café crème.jpg/100x100_q80.jpg").unwrap(),
    );

    // The first of many concurrent requests makes the variant; then it is in memory and in the bucket.
    let stage = Stage::start(config.clone()).await;
    let herd = stage.herd(200, small).await;
    assert!(herd.iter().all(|(status, ..)| *status == StatusCode::OK));
    assert_eq!(herd.iter().filter(|(_, cache, _)| cache.ends_with("made")).count(), 1);
    see(&herd[0].2).has_quarters([RED, GREEN, BLUE, YELLOW]);
    assert_eq!(header(&stage.get(small).await, "cache-status"), "resized; hit");
    let part = stage.request("GET", "/photos/Caf%C3%A9%20cr%C3%A8me.jpg").header("range", "bytes=10-19").send().await;
    assert_eq!(part.unwrap().bytes().await.unwrap(), original[10..20]);
    assert_eq!(stage.get("/photos/dog_100x100.jpg").await.status(), StatusCode::NOT_FOUND);
    assert!(stage.stop().await, "shutdown waits for the write-back");
    let (meta, bytes) = variants.get_bounded(&stored, 1 << 20).await.unwrap().expect("the variant is stored");
    assert_eq!((meta.content_type.as_deref(), &bytes[..]), (Some("image/jpeg"), &herd[0].2[..]));

    // After a restart the variant is found in the bucket.
    let stage = Stage::start(config.clone()).await;
    let found = stage.get(small).await;
    assert_eq!(header(&found, "cache-status"), "resized; fwd=miss; detail=stored");
    assert_eq!(found.bytes().await.unwrap(), bytes);
    assert!(stage.stop().await);

    // Redirect mode: to a stored variant, and to a new one once it is stored.
    config.answers.mode = Mode::Redirect;
    config.variants.public_url = PUBLIC_URL.into();
    let stage = Stage::start(config).await;
    for (path, detail, leaf) in
        [(small, "stored", "100x100_q80.jpg"), (&small.replace("100x100", "x50"), "made", "x50_q80.jpg")]
    {
        let moved = stage.get(path).await;
        assert_eq!(moved.status(), StatusCode::MOVED_PERMANENTLY);
        assert_eq!(header(&moved, "cache-status"), format!("resized; fwd=miss; detail={detail}"));
        let location = format!("{PUBLIC_URL}/photos/Caf%C3%A9%20cr%C3%A8me.jpg/{leaf}?v=");
        assert!(header(&moved, "location").starts_with(&location), "{moved:?}");
    }
    let second = ObjectKey::new("photos/Café crème.jpg/x50_q80.jpg").unwrap();
    assert!(variants.head(&second).await.unwrap().is_some(), "the variant is stored before the redirect");
    assert!(stage.stop().await);
}
