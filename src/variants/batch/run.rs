//! Runs a batch: reads its original once, decodes it once and makes the variants of all members.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::observability::metrics::WaitKind;
use crate::observability::traces;
use crate::origin::{READS_MAX, Store, StoreError};
use crate::resize::{Header, Limits, RenderError, RenderRequest};
use crate::support::memory::{BudgetError, MemoryPermit, MemoryShare};
use crate::variant::{ObjectKey, Variant};
use crate::variants::batch::{Batch, Batches, MadeVariant, Membership};
use crate::variants::error::Error;
use crate::variants::resources::SharedResources;
use crate::variants::timings::Timings;

/// Makes variants from originals, under the memory budgets and on the resize threads.
#[derive(Debug)]
pub(in crate::variants) struct BatchRunner {
    pub(in crate::variants) originals: Store,
    pub(in crate::variants) resources: SharedResources,
    pub(in crate::variants) limits: Limits,
    pub(in crate::variants) original_bytes_max: u64,
    pub(in crate::variants) flight_timeout: Duration,
}

/// A downloaded original with the permit for its memory.
struct Original {
    bytes: Bytes,
    etag: Box<str>,
    _permit: MemoryPermit,
}

/// A permit for pixel memory, and its number of bytes.
struct PixelMemory {
    bytes: u64,
    permit: MemoryPermit,
}

impl BatchRunner {
    /// Makes a variant, together with other variants of its original that are requested at the same time.
    pub(in crate::variants) async fn make(
        self: &Arc<Self>,
        variant: &Variant,
        timings: &mut Timings,
    ) -> Result<MadeVariant, Error> {
        let SharedResources { batches, invalidations, tasks, .. } = &self.resources;
        let (pending, membership) = batches.join_or_open(variant, invalidations);
        let made = match membership {
            Membership::Opened(batch) => {
                let this = self.clone();
                tasks.spawn(async move { this.run(batch).await });
                pending.await
            }
            Membership::Joined(span) => traces::wait_span(&span, pending).await,
        };
        let mut made = made.map_err(|_| Error::Internal)??;
        timings.append(&mut made.timings);
        Ok(made)
    }

    /// Runs the whole batch within the flight timeout. Every member gets a reply.
    async fn run(self: Arc<Self>, batch: Arc<Batch>) {
        let _guard = BatchGuard { batches: &self.resources.batches, batch: &batch };
        let made = tokio::time::timeout(self.flight_timeout, self.make_all(&batch)).await;
        // The batch is closed before its members get the error, so that a retry does not join it.
        self.resources.batches.close(&batch);
        match made {
            Ok(Ok(())) => {}
            Ok(Err(error)) => batch.fail(&error),
            Err(_) => batch.fail(&Error::FlightTimeout),
        }
    }

    async fn make_all(self: &Arc<Self>, batch: &Arc<Batch>) -> Result<(), Error> {
        let mut timings = Timings::default();
        let original = Arc::new(timings.time("original", self.download(&batch.original)).await?);
        let header = Header::read(&original.bytes, &self.limits).map_err(|error| Error::from_pixels(&error))?;
        loop {
            let mut pending = batch.pending();
            if pending.is_empty() {
                self.resources.batches.close(batch);
                // A request may have joined before the batch was closed.
                pending = batch.pending();
            }
            let Some(first) = pending.first() else { return Ok(()) };
            // If all outputs together exceed the budget, one of them is made at a time.
            let bytes = match header.working_bytes(&pending) {
                bytes if bytes <= self.resources.memory.budget(MemoryShare::Pixels).bytes_max() => bytes,
                _ => header.working_bytes(&[*first]),
            };
            let mut timings = timings.clone();
            let permit = match timings.time("queue", self.acquire_pixel_memory(bytes)).await {
                Err(error @ Error::Unprocessable(_)) => {
                    batch.reject_first(error);
                    continue;
                }
                permit => permit?,
            };
            self.decode_once(batch, &original, &header, PixelMemory { bytes, permit }, timings).await?;
        }
    }

    /// Decodes the original once. When a thread becomes free, the job claims as many waiting members as the permit
    /// allows. The job owns the original and the permit, because it continues to use them if the batch times out.
    async fn decode_once(
        self: &Arc<Self>,
        batch: &Arc<Batch>,
        original: &Arc<Original>,
        header: &Header,
        memory: PixelMemory,
        timings: Timings,
    ) -> Result<(), Error> {
        let indices = Arc::new(OnceLock::new());
        let claim = {
            let (this, batch, header, indices) = (self.clone(), batch.clone(), header.clone(), indices.clone());
            move || {
                this.resources.batches.close(&batch);
                let claimed = batch.claim(|outputs| header.working_bytes(outputs) <= memory.bytes);
                let (claimed, outputs): (Vec<usize>, Vec<_>) = claimed.into_iter().unzip();
                let _ = indices.set(claimed);
                outputs
            }
        };
        let on_made = {
            let (batch, original, queued_at) = (batch.clone(), original.clone(), Instant::now());
            move |n: usize, made: Result<_, RenderError>| {
                let Some(index) = indices.get().and_then(|indices| indices.get(n)) else { return };
                let mut timings = timings.clone();
                timings.record("render", queued_at.elapsed());
                let made = made.map(|bytes| MadeVariant {
                    bytes,
                    original_etag: original.etag.clone(),
                    epoch: batch.epoch,
                    checked_at: batch.opened_at,
                    timings,
                });
                batch.reply(*index, made.map_err(|error| Error::from_render(&error)));
            }
        };
        let held = (memory.permit, original.clone());
        let request = RenderRequest { original: original.bytes.clone(), header: header.clone(), limits: self.limits };
        let rendered = self.resources.resizer.render_each(request, claim, on_made, held);
        traces::in_span("render", rendered).await.map_err(|error| Error::from_render(&error))
    }

    pub(in crate::variants) async fn acquire_download_memory(&self, length: u64) -> Result<MemoryPermit, Error> {
        let start = Instant::now();
        let permit = self.resources.memory.budget(MemoryShare::Downloads).acquire(length).await;
        self.resources.resize_metrics.record_wait(WaitKind::Download, start.elapsed());
        permit.map_err(|error| match error {
            BudgetError::TooLarge { bytes_max } => Error::original_too_large(length, bytes_max),
            BudgetError::Overloaded => Error::Overloaded,
        })
    }

    pub(in crate::variants) async fn acquire_pixel_memory(&self, bytes: u64) -> Result<MemoryPermit, Error> {
        let start = Instant::now();
        let permit = self.resources.memory.budget(MemoryShare::Pixels).acquire(bytes).await;
        self.resources.resize_metrics.record_wait(WaitKind::Pixels, start.elapsed());
        permit.map_err(|error| match error {
            BudgetError::TooLarge { bytes_max } => Error::Unprocessable(
                format!("decoding the original needs more than {bytes_max} bytes of memory (work.pixel_memory)").into(),
            ),
            BudgetError::Overloaded => Error::Overloaded,
        })
    }

    /// Downloads the original, again if it is replaced meanwhile. The permit is taken when the length is known, before
    /// the body is read.
    async fn download(&self, key: &ObjectKey) -> Result<Original, Error> {
        let failed = |error: StoreError| Error::from_store(&error);
        let mut attempts = 1..READS_MAX;
        loop {
            let object = self.originals.get(key, None).await.map_err(failed)?;
            let object = object.ok_or_else(|| Error::no_original(key.as_str()))?;
            if let Some(encoding) = &object.meta.content_encoding {
                return Err(Error::encoded_original(encoding));
            }
            let length = object.meta.bytes;
            if length > self.original_bytes_max {
                return Err(Error::original_too_large(length, self.original_bytes_max));
            }
            let permit = self.acquire_download_memory(length).await?;
            match object.body.collect().await {
                Err(StoreError::Replaced) if attempts.next().is_some() => {}
                bytes => {
                    return Ok(Original { bytes: bytes.map_err(failed)?, etag: object.meta.etag, _permit: permit });
                }
            }
        }
    }
}

/// Closes a batch when its run ends, even by a panic, and fails the members that have no reply.
struct BatchGuard<'a> {
    batches: &'a Batches,
    batch: &'a Arc<Batch>,
}

impl Drop for BatchGuard<'_> {
    fn drop(&mut self) {
        self.batches.close(self.batch);
        self.batch.fail(&Error::Internal);
    }
}
