//! Chaos: three processes of the real program in front of a real S3 server, with bad weather between them, and both killed
//! again and again; a Zipf mix of hits, misses, uploads, purges, events and replaced originals; and then the question whether
//! anybody ever got what they should not have got, and whether the bucket is what it should be.
//!
//! `just chaos` runs it for ten minutes. By hand, for `TEST_CHAOS_SECONDS`, without which it does nothing; and to have the same
//! dice again, `TEST_CHAOS_SEED`:
//!
//! ```sh
//! TEST_CHAOS_SECONDS=60 tests/with-seaweedfs cargo test --test chaos
//! ```
//!
//! What is checked while it runs: whose picture it is and which version of it, told from its pixels; its size; that it is no
//! older than `cache.revalidate_after` and one flight allow, and after a purge no older than that; that no request hangs, and no
//! living process breaks a connection. And when all is calm again: that every process answers with the newest version, has
//! kept within its memory, has not panicked and ends on SIGTERM; and that every variant in the bucket decodes, has the size
//! its key says, and is of the original as it is now.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by it")]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

mod bucket;
mod fleet;
mod inspection;
mod model;
mod picture;
#[path = "../shared/process.rs"]
mod process;
mod random;
mod report;
mod storm;
mod visitors;
mod weather;

use bucket::Bucket;
use fleet::Fleet;
use model::Model;
use random::Random;
use report::Report;
use weather::Weather;

/// Everything there is, as the storm and the visitors share it.
pub struct World {
    pub bucket: Bucket,
    pub weather: Weather,
    pub fleet: Fleet,
    pub model: Model,
    pub report: Report,
}

const VISITORS: usize = 12;

#[tokio::main]
async fn main() -> ExitCode {
    // `cargo test` comes by here too, and is not kept for minutes.
    let Some(seconds) = number("TEST_CHAOS_SECONDS") else {
        println!("chaos: not asked for; `just chaos` does");
        return ExitCode::SUCCESS;
    };
    let bucket = Bucket::open().await.expect("an S3 server: run it by tests/with-seaweedfs, as `just chaos` does");
    let seed = number("TEST_CHAOS_SEED").unwrap_or_else(random::seed);
    println!("chaos: {seconds} s, TEST_CHAOS_SEED={seed}; what the processes say is in target/chaos/");
    let weather = Weather::start(bucket.address()).await;
    let model = Model::new();
    for picture in 0..model::PICTURES {
        model.replace(&bucket, picture).await;
    }
    let fleet = Fleet::start(&weather.url()).await;
    let world = Arc::new(World { bucket, weather, fleet, model, report: Report::default() });

    let (calm, is_calm) = watch::channel(false);
    let mut visits = tokio::task::JoinSet::new();
    for visitor in 0..VISITORS {
        visits.spawn(visitors::visit(world.clone(), Random::new(seed ^ (visitor as u64 + 1)), is_calm.clone()));
    }
    let until = Instant::now() + Duration::from_secs(seconds);
    storm::rage(&world, &mut Random::new(seed), until).await;
    calm.send_replace(true);
    while let Some(visitor) = visits.join_next().await {
        visitor.unwrap();
    }
    inspection::inspect(&world).await;
    world.report.print()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().unwrap())
}
