//! Previews: variants of originals that the operator sends. A preview reads and writes no store and is not cached.

use std::time::Instant;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::resize::{JobOwner, OutputSpec, RenderRequest, Rendered};
use crate::variant::Variant;
use crate::variants::batch::run::BatchRunner;
use crate::variants::error::Error;
use crate::variants::timings::Timings;

/// A variant that was made from bytes in the request.
#[derive(Debug)]
pub struct Preview {
    pub bytes: Bytes,
    pub timings: Timings,
}

impl BatchRunner {
    /// Makes a variant from `original` with the limits, memory budgets and threads of all other variants.
    pub(in crate::variants) async fn preview(&self, variant: &Variant, original: Bytes) -> Result<Preview, Error> {
        let made = tokio::time::timeout(self.flight_timeout, self.make_preview(variant, original)).await;
        made.unwrap_or(Err(Error::Overloaded))
    }

    async fn make_preview(&self, variant: &Variant, original: Bytes) -> Result<Preview, Error> {
        let mut timings = Timings::default();
        let length = original.len() as u64;
        if length > self.original_bytes_max {
            return Err(Error::original_too_large(length, self.original_bytes_max));
        }
        let download_memory = self.acquire_download_memory(length).await?;
        let header = self.read_header(&original).await?;
        let outputs = vec![OutputSpec { geometry: variant.geometry, encoding: variant.encoding }];
        let lane = self.lane(&header, outputs[0]);
        let resizer = &self.resources.resizer;
        let turn = timings.time("queue", resizer.turn(lane, JobOwner::Operator)).await;
        let turn = turn.map_err(|error| Error::from_render(&error))?;
        let pixel_memory = timings.time("queue", self.acquire_pixel_memory(header.working_bytes(&outputs))).await?;
        let (sender, receiver) = oneshot::channel();
        let (mut sender, queued_at) = (Some(sender), Instant::now());
        let on_made = move |Rendered { bytes, .. }| {
            if let Some(sender) = sender.take() {
                // Sending fails if the operator has disconnected.
                let _ = sender.send((bytes, queued_at.elapsed()));
            }
        };
        let request = RenderRequest { original, header, limits: self.limits };
        let held = (download_memory, pixel_memory);
        let rendered = resizer.render_each((lane, turn), request, || outputs, on_made, held);
        rendered.await.map_err(|error| Error::from_render(&error))?;
        let (made, time) = receiver.await.map_err(|_| Error::Internal)?;
        timings.record("render", time);
        let bytes = made.map_err(|error| Error::from_render(&error))?;
        let permit = self.resources.variant_memory.acquire(bytes.len() as u64).await?;
        Ok(Preview { bytes: permit.attach(bytes), timings })
    }
}
