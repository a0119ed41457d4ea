//! The lanes of the resize threads: large variants do not delay small ones, are refused or stopped, and are kept even if
//! they are late.

use std::sync::Arc;
use std::time::Duration;

use image::{ExtendedColorType, ImageEncoder as _, RgbImage};
use reqwest::StatusCode;
use resized::config::Tuning;

use crate::support::bucket::{Bucket, Operation};
use crate::support::pictures::jpeg;
use crate::support::stage::{Stage, header, settings, until};

/// Lossless WebP takes some tenths of a second of CPU time for this many pixels of noise.
const SIDE: u32 = 500;
const SLOW: &str = "/noise_500x_q100.png.webp";
const SLOW_STORED: &str = "variants/noise.png/500x_q100.webp";
const FAST: &str = "/cat_40x40.jpg";

fn noise(side: u32) -> Vec<u8> {
    let mut state = 0x9E37_79B9_u32;
    let picture = RgbImage::from_fn(side, side, |_, _| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let [r, g, b, _] = state.to_le_bytes();
        image::Rgb([r, g, b])
    });
    let mut png = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut png);
    encoder.write_image(&picture, side, side, ExtendedColorType::Rgb8).unwrap();
    png
}

async fn bucket() -> Bucket {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/noise.png", noise(SIDE), "image/png");
    bucket.put_object("originals/cat.jpg", jpeg(160, 120), "image/jpeg");
    bucket
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_variant_is_made_while_the_slow_lane_is_full() {
    let bucket = bucket().await;
    // Its variants take seconds, so the lane is busy until the last assertion.
    bucket.put_object("originals/large.png", noise(1100), "image/png");
    let mut config = settings(&bucket);
    config.work.threads = 1;
    config.work.slow_after = Duration::from_millis(50);
    let tuning = Tuning { queue_length: std::num::NonZeroUsize::MIN, ..Tuning::default() };
    let stage = Arc::new(Stage::start_with(config, tuning).await);
    let get = |path: &'static str| {
        let stage = stage.clone();
        tokio::spawn(async move { stage.get(path).await.status() })
    };
    let metric = |line: &str| stage.metrics.encode().contains(line);
    let first = get("/large_1100x_q100.png.webp");
    until("the slow lane is busy", || metric("resized_resize_running{lane=\"slow\"} 1")).await;
    let second = get("/large_1090x_q100.png.webp");
    until("a job waits for it", || metric("resized_waiting{for=\"slow_lane\"} 1")).await;
    let refused = stage.get("/large_1080x_q100.png.webp").await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(header(&refused, "retry-after"), "1");
    let text = refused.text().await.unwrap();
    assert!(text.contains("slow lane"), "{text}");
    assert_eq!(stage.get(FAST).await.status(), StatusCode::OK);
    // The small size of the same original does not wait either.
    assert_eq!(stage.get("/large_40x.png.jpg").await.status(), StatusCode::OK);
    assert!(!second.is_finished(), "the slow lane was busy all the time");
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (StatusCode::OK, StatusCode::OK));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_that_is_late_is_stored_and_served_to_a_later_request() {
    let bucket = bucket().await;
    let mut config = settings(&bucket);
    config.work.flight_time = Duration::from_millis(20);
    let stage = Stage::start(config).await;
    let late = stage.get(SLOW).await;
    assert_eq!(late.status(), StatusCode::GATEWAY_TIMEOUT);
    let text = late.text().await.unwrap();
    assert!(text.contains("work.flight_time"), "{text}");
    until("the variant is stored", || bucket.object(SLOW_STORED).is_some()).await;
    until("the flight has ended", || stage.metrics.encode().contains("resized_flights 0")).await;
    let gets = bucket.count(Operation::Get, "");
    let kept = stage.get(SLOW).await;
    assert_eq!(kept.status(), StatusCode::OK);
    assert!(header(&kept, "cache-status").contains("hit"), "{kept:?}");
    assert_eq!(bucket.count(Operation::Get, ""), gets, "it is in memory");
    assert_eq!(bucket.count(Operation::Get, "originals/"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_estimated_at_more_than_twice_the_limit_is_refused_in_advance() {
    let bucket = bucket().await;
    let mut config = settings(&bucket);
    config.limits.render_time = Duration::from_millis(20);
    let stage = Stage::start(config).await;
    let refused = stage.get(SLOW).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let text = refused.text().await.unwrap();
    assert!(text.contains("estimated") && text.contains("20ms (limits.render_time)"), "{text}");
    let slow = "resized_resize_cpu_seconds_total{lane=\"slow\"} 0";
    assert!(stage.metrics.encode().contains(slow), "no job ran");
    assert_eq!(stage.get(FAST).await.status(), StatusCode::OK, "small variants are made");
}
