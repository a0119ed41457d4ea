//! Chaos test: three processes of the real binary in front of a real S3 server, with a fault-injecting proxy between them.
//!
//! Processes and S3 server are killed repeatedly while clients send a Zipf-distributed mix of hits, misses, uploads,
//! purges, events and replaced originals. The test then checks every answer and every object in the bucket.
//!
//! `just chaos` runs it for ten minutes. `TEST_CHAOS_SECONDS` sets the duration; without it the test does nothing.
//! `TEST_CHAOS_SEED` repeats the random choices of an earlier run:
//!
//! ```sh
//! TEST_CHAOS_SECONDS=60 tests/with-seaweedfs cargo test --test chaos
//! ```
//!
//! Checked during the run: each answer shows the right picture at the right size; it is no older than `cache.revalidate_after`
//! plus one flight, or than the last purge; no request hangs; a running process never breaks a connection.
//! Checked after the run: every process answers with the newest version, stayed within its memory, did not panic and exits on
//! SIGTERM; every variant in the bucket decodes, has the size its key says, and was made from the current original.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by it")]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

mod bucket;
mod fleet;
mod final_checks;
mod model;
mod picture;
#[path = "../shared/process.rs"]
mod process;
mod random;
mod report;
mod fault_injector;
mod clients;
mod fault_proxy;

use bucket::Bucket;
use fault_proxy::FaultProxy;
use fleet::Fleet;
use model::Model;
use random::Random;
use report::Report;

/// The parts that the fault injector and the clients share.
pub struct Harness {
    pub bucket: Bucket,
    pub proxy: FaultProxy,
    pub fleet: Fleet,
    pub model: Model,
    pub report: Report,
}

const CLIENTS: usize = 12;

#[tokio::main]
async fn main() -> ExitCode {
    // A plain `cargo test` must not take minutes.
    let Some(seconds) = number("TEST_CHAOS_SECONDS") else {
        println!("chaos: skipped, TEST_CHAOS_SECONDS is not set (`just chaos` sets it)");
        return ExitCode::SUCCESS;
    };
    let bucket = Bucket::open().await.expect("TEST_S3_ENDPOINT names an S3 server; tests/with-seaweedfs starts one");
    let seed = number("TEST_CHAOS_SEED").unwrap_or_else(random::seed);
    println!("chaos: {seconds} s, TEST_CHAOS_SEED={seed}; process logs are in target/chaos/");
    let proxy = FaultProxy::start(bucket.address()).await;
    let model = Model::new();
    for picture in 0..model::PICTURES {
        model.replace(&bucket, picture).await;
    }
    let fleet = Fleet::start(&proxy.url()).await;
    let harness = Arc::new(Harness { bucket, proxy, fleet, model, report: Report::default() });

    let (stop, stopped) = watch::channel(false);
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(clients::run(harness.clone(), Random::new(seed ^ (client as u64 + 1)), stopped.clone()));
    }
    let until = Instant::now() + Duration::from_secs(seconds);
    fault_injector::run(&harness, &mut Random::new(seed), until).await;
    stop.send_replace(true);
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    final_checks::run(&harness).await;
    harness.report.print()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().unwrap())
}
