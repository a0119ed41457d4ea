//! Sanitizes SVG originals, with the memory budgets, the threads, the lanes and the limits of variants.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::resize::{JobOwner, Lane, PixelsError, Sanitized, sanitizing_bytes};
use crate::variant::ObjectKey;
use crate::variants::batch::job::JobPermits;
use crate::variants::batch::run::{BatchRunner, DOWNLOAD_TIME_MAX};
use crate::variants::error::Error;
use crate::variants::resources::SharedResources;

/// Reads an original and removes its scripts, and charges the CPU time to it and to `client`. The bytes are charged to
/// the share of variants. `None` if the original does not have this ETag anymore.
pub(in crate::variants) async fn sanitize_svg(
    runner: &BatchRunner,
    key: &ObjectKey,
    etag: &str,
    client: IpAddr,
) -> Result<Option<Bytes>, Error> {
    let SharedResources { resizer, rate_limits, variant_memory, .. } = &runner.resources;
    let failed = |error: PixelsError| Error::from_pixels(&error);
    // A client that is refused causes no download.
    rate_limits.check_new_variant(key, client)?;
    let download = tokio::time::timeout(DOWNLOAD_TIME_MAX, runner.download(key));
    let original = download.await.map_err(|_| Error::FlightTimeout)??;
    if *original.etag != *etag {
        return Ok(None);
    }
    let length = original.bytes.len() as u64;
    let working_bytes = sanitizing_bytes(length).map_err(failed)?;
    let estimate = resizer.sanitizing_estimate(length);
    let lane = if estimate > runner.slow_after { Lane::Slow } else { Lane::Fast };
    let owner = JobOwner::from_client(Some(client));
    let JobPermits { turn, memory } = runner.acquire_permits((lane, owner), working_bytes, &original).await?;
    rate_limits.charge(key, client, estimate)?;
    let bytes = original.bytes.clone();
    let sanitized = resizer.sanitize_svg((lane, turn), bytes, runner.limits, (original, memory)).await;
    let cpu_time = sanitized.as_ref().map_or(Duration::ZERO, |sanitized| sanitized.cpu_time);
    rate_limits.correct(key, client, estimate, cpu_time);
    let Sanitized { bytes, permits, .. } = sanitized.map_err(|error| Error::from_render(&error))?;
    let bytes = bytes.map_err(|error| Error::from_render(&error))?;
    // The bytes stay charged to the share of pixels until the share of variants has room.
    let (original, (mut pixels, slow)) = permits;
    drop((original, slow));
    pixels.shrink_to(bytes.len() as u64);
    let permit = variant_memory.acquire(bytes.len() as u64).await?;
    Ok(Some(permit.attach(bytes)))
}
