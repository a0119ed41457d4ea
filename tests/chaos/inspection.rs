//! When all is calm: what every process answers with, how each ends, and what is in the bucket.

use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use ring::digest::{SHA256, digest};

use crate::World;
use crate::bucket::original;
use crate::fleet::{MEMORY_BYTES_MAX, NODES};
use crate::model::{PICTURES, REVALIDATE_AFTER};
use crate::picture::Identity;
use crate::visitors::{VARIANTS, Visitor};

/// How long a process may still fail: circuits close, leases of the dead are taken over.
const RECOVERY: Duration = Duration::from_secs(20);

pub async fn inspect(world: &World) {
    world.model.settle(&world.bucket).await;
    tokio::time::sleep(REVALIDATE_AFTER * 2).await;
    println!("calm; looking at everything");
    everything_is_the_newest(world).await;
    for node in 0..NODES {
        world.fleet.weigh(node).await;
    }
    let peak = *world.fleet.memory_peak.lock().unwrap();
    println!("the most memory a process had: {:.0} MiB of {:.0}", peak / 1048576.0, MEMORY_BYTES_MAX / 1048576.0);
    if peak > MEMORY_BYTES_MAX {
        world.report.wrong(format!("a process had {peak} bytes of memory"));
    }
    for node in 0..NODES {
        if !world.fleet.terminate(node).await {
            world.report.wrong(format!("node {node} did not end well on SIGTERM"));
        }
    }
    world.fleet.panics().into_iter().for_each(|line| world.report.wrong(line));
    the_bucket_is_as_it_should_be(world).await;
    for what in ["storm: the S3 server killed", "storm: a process killed", "answer: 200 OK, resized; hit"] {
        world.report.need(what);
    }
}

/// Each variant of each picture from each process, as soon as it answers; and it has to, now.
async fn everything_is_the_newest(world: &World) {
    let visitor = Visitor::new(world);
    for node in 0..NODES {
        let place = world.fleet.place(node).unwrap();
        for picture in 0..PICTURES {
            world.model.forgotten(picture, &place, world.model.current(picture));
            for variant in VARIANTS {
                let url = format!("{}/p{picture}{}", place.url, variant.0);
                let start = Instant::now();
                // What was stale, or failed, is looked after when it is asked for again.
                while !is_sound(&visitor.client, &url).await {
                    if start.elapsed() > RECOVERY {
                        world.report.wrong(format!("node {node} does not recover: {url}"));
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                visitor.look(&place, picture, variant).await;
            }
        }
    }
}

async fn is_sound(client: &Client, url: &str) -> bool {
    let Ok(response) = client.head(url).send().await else { return false };
    let cache = response.headers().get("cache-status").map_or("", |value| value.to_str().unwrap());
    response.status() < StatusCode::BAD_REQUEST && !cache.contains("stale")
}

async fn the_bucket_is_as_it_should_be(world: &World) {
    let mut after = None;
    loop {
        let page = world.bucket.variants.list("", after.as_deref(), 1000).await.unwrap();
        for listed in page.objects {
            let key = listed.key.as_str();
            if key.ends_with(".lease") {
                world.report.count("bucket: a lease of a process that was killed");
            } else if key.starts_with("resized-probe/") {
                world.report.count("bucket: a probe of a process that was killed");
            } else {
                world.report.count("bucket: variants");
                if let Err(problem) = variant_is_right(world, &listed.key).await {
                    world.report.wrong(format!("in the bucket, {key}: {problem}"));
                }
            }
        }
        after = page.next;
        if after.is_none() {
            return;
        }
    }
}

async fn variant_is_right(world: &World, key: &resized::variant::ObjectKey) -> Result<(), String> {
    let picture = key.as_str().strip_prefix('p').and_then(|rest| rest.split_once(".jpg/")?.0.parse().ok());
    let picture: usize = picture.ok_or("whose is it?")?;
    let (meta, bytes) = world.bucket.variants.get_bounded(key, 1 << 20).await.unwrap().ok_or("gone")?;
    let original = world.bucket.originals.head(&original(picture)).await.unwrap().ok_or("its original is gone")?;
    let metadata = |name: &str| meta.metadata.iter().find(|(named, _)| named == name).map(|(_, value)| value.as_str());
    if metadata("resized-original-etag") != Some(&original.etag) {
        return Err(format!("made of {:?}, its original is {}", metadata("resized-original-etag"), original.etag));
    }
    let fingerprint: String = digest(&SHA256, &bytes).as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    if metadata("resized-fingerprint") != Some(&fingerprint) {
        return Err(format!("torn: {:?} is not {fingerprint}", metadata("resized-fingerprint")));
    }
    let (identity, width, height) = Identity::read(&bytes)?;
    let current = Identity { number: u32::try_from(picture).unwrap(), version: world.model.current(picture) };
    if identity != current {
        return Err(format!("{identity:?}, not {current:?}"));
    }
    let size = key.as_str().rsplit('/').next().unwrap().split(['_', '.']).next().unwrap().to_owned();
    if size != format!("{width}x{height}") {
        return Err(format!("{width} x {height}"));
    }
    Ok(())
}
