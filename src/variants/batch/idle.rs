//! Makes a variant that no client waits for, while no client waits for another.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::resize::{Lane, OutputSpec, PixelsError, RenderRequest, Rendered};
use crate::support::memory::MemoryShare;
use crate::variant::Variant;
use crate::variants::batch::MadeVariant;
use crate::variants::batch::job::REFUSED_FACTOR;
use crate::variants::batch::run::{BatchRunner, DOWNLOAD_TIME_MAX};
use crate::variants::error::Error;
use crate::variants::resources::SharedResources;
use crate::variants::timings::Timings;

/// A variant, and the CPU time that it took.
#[derive(Debug)]
pub(in crate::variants) struct MadeIdle {
    pub(in crate::variants) made: MadeVariant,
    pub(in crate::variants) cpu_time: Duration,
}

/// Makes a variant alone, with the limits and budgets of jobs of the slow lane, on a thread that has nothing else to do.
/// Its CPU time is charged to its original and to `client`. No request can join.
pub(in crate::variants) async fn make_idle(
    runner: &BatchRunner,
    variant: &Variant,
    client: IpAddr,
) -> Result<MadeIdle, Error> {
    let SharedResources { resizer, rate_limits, invalidations, slow_lane, variant_memory, .. } = &runner.resources;
    rate_limits.check_new_variant(&variant.original, client)?;
    let (epoch, checked_at) = (invalidations.current(), tokio::time::Instant::now());
    let download = tokio::time::timeout(DOWNLOAD_TIME_MAX, runner.download(&variant.original));
    let original = download.await.map_err(|_| Error::FlightTimeout)??;
    let header = runner.read_header(&original.bytes).await?;
    runner.gain_maps.record(&variant.original, header.has_gain_map());
    if header.has_gain_map() {
        return Err(Error::HasGainMap);
    }
    let outputs = vec![OutputSpec { geometry: variant.geometry, encoding: variant.encoding }];
    let (estimate, limit) = (resizer.estimate(&header, &outputs, &runner.limits), runner.limits.render_time);
    if estimate > limit.saturating_mul(REFUSED_FACTOR) {
        return Err(Error::from_pixels(&PixelsError::TooExpensive { estimate, limit }));
    }
    let turn = resizer.idle_turn().await.map_err(|error| Error::from_render(&error))?;
    let bytes = header.working_bytes(&outputs);
    let share = slow_lane.pixels.acquire(bytes).await;
    let pixel_memory = runner.acquire_pixel_memory(bytes).await?;
    rate_limits.charge(&variant.original, client, estimate)?;
    let (sender, receiver) = oneshot::channel();
    let (mut sender, memory) = (Some(sender), variant_memory.clone());
    let on_made = move |Rendered { bytes, cpu_time, .. }: Rendered| {
        let bytes = bytes.map_err(|error| Error::from_render(&error)).and_then(|bytes| {
            // The permit for pixels covers the bytes only until the job ends.
            let memory = memory.try_acquire_made(bytes.len() as u64);
            Ok((bytes, memory.ok_or(Error::MemoryFull(MemoryShare::Variants))?))
        });
        if let Some(sender) = sender.take() {
            // Sending fails if the server shuts down.
            let _ = sender.send((bytes, cpu_time));
        }
    };
    let original_etag = original.etag.clone();
    let request = RenderRequest { original: original.bytes.clone(), header, limits: runner.limits };
    let held = (original, share, pixel_memory);
    let (mut timings, queued_at) = (Timings::default(), Instant::now());
    let rendered = resizer.render_each((Lane::Idle, turn), request, || outputs, on_made, held).await;
    rendered.map_err(|error| Error::from_render(&error))?;
    let (made, cpu_time) = receiver.await.map_err(|_| Error::Internal)?;
    rate_limits.correct(&variant.original, client, estimate, cpu_time);
    timings.record("render", queued_at.elapsed());
    let (bytes, memory) = made?;
    let made = MadeVariant { bytes, memory, original_etag, epoch, checked_at, has_gain_map: false, timings };
    Ok(MadeIdle { made, cpu_time })
}
