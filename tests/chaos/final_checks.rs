//! Checks after the last fault: what every process serves, how it exits, and what the bucket contains.

use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use ring::digest::{SHA256, digest};

use crate::Harness;
use crate::bucket::original;
use crate::clients::{TestClient, VARIANTS};
use crate::fleet::{MEMORY_BYTES_MAX, NODES};
use crate::model::{PICTURES, REVALIDATE_AFTER};
use crate::picture::Identity;

/// Time for circuit breakers to close and for leases of killed processes to expire.
const RECOVERY_TIME: Duration = Duration::from_secs(20);

pub async fn run(harness: &Harness) {
    harness.model.resolve_uncertain(&harness.bucket).await;
    tokio::time::sleep(REVALIDATE_AFTER * 2).await;
    println!("faults ended; checking every variant");
    check_served_versions(harness).await;
    for node in 0..NODES {
        harness.fleet.record_memory(node).await;
    }
    let peak = *harness.fleet.memory_bytes_peak.lock().unwrap();
    println!("peak memory of a process: {:.0} MiB, limit {:.0} MiB", peak / 1048576.0, MEMORY_BYTES_MAX / 1048576.0);
    if peak > MEMORY_BYTES_MAX {
        harness.report.violation(format!("a process used {peak} bytes of memory"));
    }
    for node in 0..NODES {
        if !harness.fleet.terminate(node).await {
            harness.report.violation(format!("node {node} did not exit cleanly on SIGTERM"));
        }
    }
    harness.fleet.panics().into_iter().for_each(|line| harness.report.violation(line));
    check_bucket(harness).await;
    for event in ["fault: the S3 server killed", "fault: a process killed", "answer: 200 OK, resized; hit"] {
        harness.report.require(event);
    }
}

/// Requests each variant of each picture from each process; every process must recover and serve the newest version.
async fn check_served_versions(harness: &Harness) {
    let client = TestClient::new(harness);
    for node in 0..NODES {
        let instance = harness.fleet.instance(node).unwrap();
        for picture in 0..PICTURES {
            harness.model.invalidated(picture, &instance, harness.model.current(picture));
            for variant in VARIANTS {
                let url = format!("{}/p{picture}{}", instance.url, variant.0);
                let start = Instant::now();
                // A request for a stale or failed variant starts its revalidation.
                while !is_fresh(&client.client, &url).await {
                    if start.elapsed() > RECOVERY_TIME {
                        harness.report.violation(format!("node {node} does not recover: {url}"));
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                client.fetch_and_check(&instance, picture, variant).await;
            }
        }
    }
}

async fn is_fresh(client: &Client, url: &str) -> bool {
    let Ok(response) = client.head(url).send().await else { return false };
    let cache = response.headers().get("cache-status").map_or("", |value| value.to_str().unwrap());
    response.status() < StatusCode::BAD_REQUEST && !cache.contains("stale")
}

async fn check_bucket(harness: &Harness) {
    let mut after = None;
    loop {
        let page = harness.bucket.variants.list("", after.as_deref(), 1000).await.unwrap();
        for listed in page.objects {
            let key = listed.key.as_str();
            if key.ends_with(".lease") {
                harness.report.count("bucket: lease of a killed process");
            } else if key.starts_with("resized-probe/") {
                harness.report.count("bucket: probe object of a killed process");
            } else {
                harness.report.count("bucket: variants");
                if let Err(problem) = check_variant(harness, &listed.key).await {
                    harness.report.violation(format!("object {key}: {problem}"));
                }
            }
        }
        after = page.next;
        if after.is_none() {
            return;
        }
    }
}

async fn check_variant(harness: &Harness, key: &resized::variant::ObjectKey) -> Result<(), String> {
    let picture = key.as_str().strip_prefix('p').and_then(|rest| rest.split_once(".jpg/")?.0.parse().ok());
    let picture: usize = picture.ok_or("its key names no picture")?;
    let (meta, bytes) = harness.bucket.variants.get_bounded(key, 1 << 20).await.unwrap().ok_or("gone")?;
    let original = harness.bucket.originals.head(&original(picture)).await.unwrap().ok_or("its original is gone")?;
    let metadata = |name: &str| meta.metadata.iter().find(|(named, _)| named == name).map(|(_, value)| value.as_str());
    if metadata("resized-original-etag") != Some(&original.etag) {
        return Err(format!(
            "made from {:?}, but its original is {}",
            metadata("resized-original-etag"),
            original.etag
        ));
    }
    let fingerprint: String = digest(&SHA256, &bytes).as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    if metadata("resized-fingerprint") != Some(&fingerprint) {
        return Err(format!(
            "fingerprint {:?} does not match the bytes ({fingerprint})",
            metadata("resized-fingerprint")
        ));
    }
    let (identity, width, height) = Identity::read(&bytes)?;
    let current = Identity { number: u32::try_from(picture).unwrap(), version: harness.model.current(picture) };
    if identity != current {
        return Err(format!("shows {identity:?}, expected {current:?}"));
    }
    let size = key.as_str().rsplit('/').next().unwrap().split(['_', '.']).next().unwrap().to_owned();
    if size != format!("{width}x{height}") {
        return Err(format!("has {width} x {height} pixels"));
    }
    Ok(())
}
