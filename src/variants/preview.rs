//! A variant of bytes that somebody has at hand: no store is read or written, and nothing is remembered.

use std::time::Instant;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::make::Maker;
use super::rendition::Steps;
use crate::proxy::error::Failure;
use crate::resize::{Header, OutputSpec, RenderRequest};
use crate::variant::Variant;

impl Maker {
    /// The variant's bytes, made of `original` under the same tickets and limits and on the same threads as all others.
    pub(crate) async fn alone(&self, variant: &Variant, original: Bytes) -> Result<(Bytes, Steps), Failure> {
        let made = tokio::time::timeout(self.flight_time, self.make_alone(variant, original)).await;
        made.unwrap_or(Err(Failure::Overloaded))
    }

    async fn make_alone(&self, variant: &Variant, original: Bytes) -> Result<(Bytes, Steps), Failure> {
        let mut steps = Steps::default();
        let length = original.len() as u64;
        if length > self.original_bytes_max {
            return Err(Failure::too_large(length, self.original_bytes_max));
        }
        let memory = self.download_ticket(length).await?;
        let header = Header::read(&original, &self.limits).map_err(|error| Failure::of_render(&error.into()))?;
        let wanted = vec![OutputSpec { geometry: variant.geometry, encoding: variant.encoding }];
        let pixels = steps.time("queue", self.pixel_ticket(header.working_bytes(&wanted))).await?;
        let (tell, told) = oneshot::channel();
        let (mut tell, queued) = (Some(tell), Instant::now());
        let done = move |_, made| {
            if let Some(tell) = tell.take() {
                // Whoever asked may have gone.
                let _ = tell.send((made, queued.elapsed()));
            }
        };
        let request = RenderRequest { original, header, limits: self.limits };
        let rendered = self.works.resizer.render_each(request, || wanted, done, (memory, pixels));
        rendered.await.map_err(|error| Failure::of_render(&error))?;
        let (made, time) = told.await.map_err(|_| Failure::Internal)?;
        steps.note("render", time);
        Ok((made.map_err(|error| Failure::of_render(&error))?, steps))
    }
}
