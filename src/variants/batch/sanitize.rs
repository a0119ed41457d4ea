//! Sanitized SVG originals, which are sent as they are otherwise. They are neither stored nor cached.

use std::net::IpAddr;

use bytes::Bytes;

use crate::resize::{JobOwner, Lane, PixelsError, sanitizing_bytes};
use crate::variant::ObjectKey;
use crate::variants::batch::run::{BatchRunner, DOWNLOAD_TIME_MAX};
use crate::variants::error::Error;

/// An SVG original without scripts.
#[derive(Debug)]
pub struct SanitizedSvg {
    pub bytes: Bytes,
    /// The ETag of the original.
    pub original_etag: Box<str>,
}

/// Sanitizes an original with the memory budgets, the threads and the limits of variants.
pub(in crate::variants) async fn sanitize_svg(
    runner: &BatchRunner,
    key: &ObjectKey,
    client: IpAddr,
) -> Result<SanitizedSvg, Error> {
    let made = tokio::time::timeout(runner.flight_timeout, read_and_sanitize(runner, key, client)).await;
    made.unwrap_or(Err(Error::FlightTimeout))
}

async fn read_and_sanitize(runner: &BatchRunner, key: &ObjectKey, client: IpAddr) -> Result<SanitizedSvg, Error> {
    let failed = |error: PixelsError| Error::from_pixels(&error);
    let download = tokio::time::timeout(DOWNLOAD_TIME_MAX, runner.download(key));
    let original = download.await.map_err(|_| Error::FlightTimeout)??;
    let working_bytes = sanitizing_bytes(original.bytes.len() as u64).map_err(failed)?;
    let resizer = &runner.resources.resizer;
    let turn = resizer.turn(Lane::Fast, JobOwner::from_client(Some(client))).await;
    let turn = turn.map_err(|error| Error::from_render(&error))?;
    let memory = runner.acquire_pixel_memory(working_bytes).await?;
    let (bytes, original_etag) = (original.bytes.clone(), original.etag.clone());
    let sanitized = resizer.sanitize_svg((Lane::Fast, turn), bytes, runner.limits, (original, memory)).await;
    let bytes = sanitized.map_err(|error| Error::from_render(&error))?;
    let permit = runner.resources.variant_memory.acquire(bytes.len() as u64).await?;
    Ok(SanitizedSvg { bytes: permit.attach(bytes), original_etag })
}
