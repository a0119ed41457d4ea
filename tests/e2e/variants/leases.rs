//! Leases that nodes leave behind, and writes of leases whose responses are lost.

use std::num::NonZeroU32;
use std::time::Duration;

use resized::config::Config;

use crate::support::bucket::{Bucket, Operation};
use crate::support::pictures::jpeg;
use crate::support::stage::{PATIENCE, Stage, settings, until};

const CAT: &str = "/cat_40x40.jpg";
const LEASE: &str = "variants/cat.jpg/40x40_q80.jpg.lease";

async fn bucket_with_a_cat() -> Bucket {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/cat.jpg", jpeg(400, 300), "image/jpeg");
    bucket
}

fn leasing(bucket: &Bucket, lease_time: Duration) -> Config {
    let mut config = settings(bucket);
    config.fleet.lease = true;
    config.fleet.lease_time = lease_time;
    config
}

/// Number of leases with an outcome, over all stages.
fn outcomes(stages: &[Stage], outcome: &str) -> u64 {
    let count = |stage: &Stage| {
        let line = format!("resized_leases_total{{outcome=\"{outcome}\"}} ");
        let text = stage.metrics.encode();
        text.lines().find_map(|found| found.strip_prefix(&line)?.parse::<u64>().ok()).unwrap_or_default()
    };
    stages.iter().map(count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphaned_lease_is_taken_over_once() {
    let bucket = bucket_with_a_cat().await;
    // Written by a node of an earlier version that was killed.
    bucket.put_object(LEASE, b"process 1 of 0123456789abcdef0123456789abcdef\n".to_vec(), "text/plain");
    let config = leasing(&bucket, Duration::from_secs(1));
    let stages = [Stage::start(config.clone()).await, Stage::start(config).await];
    let (one, two) = tokio::join!(stages[0].herd(10, CAT), stages[1].herd(10, CAT));
    assert!(one.iter().chain(&two).all(|(status, ..)| *status == 200));
    assert_eq!((outcomes(&stages, "taken_over"), outcomes(&stages, "unavailable")), (1, 0));
    assert_eq!(bucket.count(Operation::Get, "originals/"), 1, "one node makes the variant");
    until("the lease is released", || bucket.object(LEASE).is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_time_out_do_not_wait_for_an_orphaned_lease_anew() {
    let bucket = bucket_with_a_cat().await;
    bucket.put_object(LEASE, b"process 1 of 0123456789abcdef0123456789abcdef\n".to_vec(), "text/plain");
    let mut config = leasing(&bucket, Duration::from_secs(3));
    config.work.flight_time = Duration::from_secs(1);
    config.cache.failures = Duration::ZERO;
    let stage = Stage::start(config).await;
    let start = std::time::Instant::now();
    // A flight is shorter than the lease time, so no single flight sees the lease expire.
    while stage.get(CAT).await.status() != 200 {
        assert!(start.elapsed() < PATIENCE, "no flight takes the lease over");
    }
    assert_eq!(outcomes(&[stage], "taken_over"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_does_not_wait_for_a_lease_that_it_wrote() {
    let bucket = bucket_with_a_cat().await;
    let mut config = leasing(&bucket, Duration::from_secs(600));
    // The repeated write finds the lease of the first one.
    config.s3.attempts = NonZeroU32::new(2).unwrap();
    let stage = Stage::start(config).await;
    bucket.lose_response(Operation::Put, LEASE);
    assert_eq!(stage.get(CAT).await.status(), 200);
    until("the lease is released", || bucket.object(LEASE).is_none()).await;
    assert_eq!(outcomes(&[stage], "held"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_released_after_the_response_to_a_renewal_was_lost() {
    let bucket = bucket_with_a_cat().await;
    let stage = Stage::start(leasing(&bucket, Duration::from_secs(2))).await;
    let gate = bucket.stall(Operation::Get, "originals/");
    let (response, ()) = tokio::join!(stage.get(CAT), async {
        until("the lease is taken", || bucket.object(LEASE).is_some()).await;
        bucket.lose_response(Operation::Put, LEASE);
        until("the lease is renewed", || bucket.count(Operation::Put, LEASE) > 3).await;
        bucket.lose_response(Operation::Put, LEASE);
        let before = bucket.count(Operation::Put, LEASE);
        until("the response to a renewal is lost", || bucket.count(Operation::Put, LEASE) > before).await;
        gate.release();
    });
    assert_eq!(response.status(), 200);
    until("the lease is released", || bucket.object(LEASE).is_none()).await;
}
