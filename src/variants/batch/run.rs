//! Runs a batch: reads its original once, decodes it once and makes the variants of all members.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::observability::metrics::WaitKind;
use crate::observability::traces;
use crate::origin::{READS_MAX, Store, StoreError};
use crate::resize::{HEADER_BYTES_MAX, Header, Lane, Limits, RenderRequest, Rendered, read_header};
use crate::support::memory::{BudgetError, MemoryPermit, MemoryShare};
use crate::variant::{ObjectKey, Variant};
use crate::variants::batch::job::{Job, JobPermits};
use crate::variants::batch::{Batch, Batches, ClaimedMember, Demand, MadeVariant, Membership};
use crate::variants::error::Error;
use crate::variants::gain_maps::GainMapOriginals;
use crate::variants::resources::SharedResources;
use crate::variants::timings::Timings;

/// Makes variants from originals, under the memory budgets and on the resize threads.
#[derive(Debug)]
pub(in crate::variants) struct BatchRunner {
    pub(in crate::variants) originals: Store,
    pub(in crate::variants) resources: SharedResources,
    pub(in crate::variants) gain_maps: GainMapOriginals,
    pub(in crate::variants) limits: Limits,
    pub(in crate::variants) original_bytes_max: u64,
    /// Estimated CPU time above which a variant is made in the slow lane.
    pub(in crate::variants) slow_after: Duration,
    pub(in crate::variants) flight_timeout: Duration,
}

/// A downloaded original with the permit for its memory.
pub(super) struct Original {
    pub(super) bytes: Bytes,
    pub(super) etag: Box<str>,
    _permit: MemoryPermit,
}

/// Maximum time for downloading an original. Most stores have shorter timeouts, but a folder on a network may not answer.
pub(super) const DOWNLOAD_TIME_MAX: Duration = Duration::from_secs(300);

impl BatchRunner {
    /// Makes a variant, together with other variants of its original that are requested at the same time.
    pub(in crate::variants) async fn make(
        self: &Arc<Self>,
        variant: &Variant,
        demand: Demand,
        timings: &mut Timings,
    ) -> Result<MadeVariant, Error> {
        let SharedResources { batches, invalidations, tasks, .. } = &self.resources;
        let (pending, membership) = batches.join_or_open(variant, demand, invalidations);
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

    /// Runs the whole batch. Every member gets a reply.
    async fn run(self: Arc<Self>, batch: Arc<Batch>) {
        let _guard = BatchGuard { batches: &self.resources.batches, batch: &batch };
        let made = self.make_all(&batch).await;
        // The batch is closed before its members get the error, so that a retry does not join it.
        self.resources.batches.close(&batch);
        if let Err(error) = made {
            batch.fail(&error);
        }
    }

    /// Every wait has a limit: that for memory by its budget, and those for the lanes by their queues, whose jobs are
    /// limited in CPU time. The work may take longer than its requests wait.
    async fn make_all(self: &Arc<Self>, batch: &Arc<Batch>) -> Result<(), Error> {
        let mut timings = Timings::default();
        let download = tokio::time::timeout(DOWNLOAD_TIME_MAX, self.download(&batch.original));
        let original = timings.time("original", download).await.map_err(|_| Error::FlightTimeout)??;
        let original = Arc::new(original);
        let header = self.read_header(&original.bytes).await?;
        self.gain_maps.record(&batch.original, header.has_gain_map());
        let mut is_open = true;
        loop {
            if header.has_gain_map() {
                batch.keep_gain_map();
            }
            let job = match self.next_job(batch, &header) {
                // Requests that arrive while the job waits for the slow lane open another batch.
                Some(Job { lane: Lane::Slow, .. }) | None if is_open => {
                    self.resources.batches.close(batch);
                    is_open = false;
                    // A request may have joined before the batch was closed.
                    continue;
                }
                Some(job) => job,
                None => return Ok(()),
            };
            let mut timings = timings.clone();
            let permits = self.acquire_permits((job.lane, job.client.owner()), job.bytes, &original);
            let permits = match timings.time("queue", permits).await {
                Err(error @ Error::Unprocessable(_)) => {
                    // The memory is that of all outputs or, if that is too much, of the first.
                    job.outputs.first().into_iter().for_each(|output| batch.reject(*output, &error));
                    continue;
                }
                permits => permits?,
            };
            self.decode_once(batch, &original, &header, (job, permits), timings).await?;
        }
    }

    /// Decodes the original once. On its thread, the job claims as many waiting members as the permit allows. The job
    /// owns the original and the permits, because it continues to use them if the batch is canceled.
    async fn decode_once(
        self: &Arc<Self>,
        batch: &Arc<Batch>,
        original: &Arc<Original>,
        header: &Header,
        (job, permits): (Job, JobPermits),
        timings: Timings,
    ) -> Result<(), Error> {
        let claimed = Arc::new(OnceLock::<Vec<ClaimedMember>>::new());
        let claim = {
            let (this, batch, header, claimed) = (self.clone(), batch.clone(), header.clone(), claimed.clone());
            move || {
                this.resources.batches.close(&batch);
                let members = this.claim(&batch, &header, job.lane, job.bytes);
                let outputs = members.iter().map(|member| member.output).collect();
                let _ = claimed.set(members);
                outputs
            }
        };
        let on_made = {
            let (this, batch, original) = (self.clone(), batch.clone(), original.clone());
            let has_gain_map = header.has_gain_map();
            let queued_at = Instant::now();
            move |Rendered { index, bytes, cpu_time }: Rendered| {
                let Some(member) = claimed.get().and_then(|claimed| claimed.get(index)) else { return };
                this.correct_charge(&batch, member, cpu_time);
                let mut timings = timings.clone();
                timings.record("render", queued_at.elapsed());
                let made = bytes.map_err(|error| Error::from_render(&error)).and_then(|bytes| {
                    // The permit for pixels covers the bytes only until the next variant is encoded.
                    let memory = this.resources.variant_memory.try_acquire_made(bytes.len() as u64);
                    Ok(MadeVariant {
                        memory: memory.ok_or(Error::MemoryFull(MemoryShare::Variants))?,
                        bytes,
                        original_etag: original.etag.clone(),
                        epoch: batch.epoch,
                        checked_at: batch.opened_at,
                        has_gain_map,
                        timings,
                    })
                });
                batch.reply(member.index, made);
            }
        };
        let held = (permits.memory, original.clone());
        let request = RenderRequest { original: original.bytes.clone(), header: header.clone(), limits: self.limits };
        let rendered = self.resources.resizer.render_each((job.lane, permits.turn), request, claim, on_made, held);
        traces::in_span("render", rendered).await.map_err(|error| Error::from_render(&error))
    }

    pub(in crate::variants) async fn acquire_download_memory(&self, length: u64) -> Result<MemoryPermit, Error> {
        let start = Instant::now();
        let permit = self.resources.memory.budget(MemoryShare::Downloads).acquire(length).await;
        self.resources.resize_metrics.record_wait(WaitKind::Download, start.elapsed());
        permit.map_err(|error| match error {
            BudgetError::TooLarge { bytes_max } => Error::original_too_large(length, bytes_max),
            BudgetError::Overloaded => Error::MemoryFull(MemoryShare::Downloads),
        })
    }

    /// Reads the header under a permit for the memory that it may take.
    pub(in crate::variants) async fn read_header(&self, original: &Bytes) -> Result<Header, Error> {
        let bytes = HEADER_BYTES_MAX.min(self.resources.memory.budget(MemoryShare::Pixels).bytes_max());
        let _permit = self.acquire_pixel_memory(bytes).await?;
        read_header(original.clone(), self.limits).await.map_err(|error| Error::from_render(&error))
    }

    pub(in crate::variants) async fn acquire_pixel_memory(&self, bytes: u64) -> Result<MemoryPermit, Error> {
        let start = Instant::now();
        let permit = self.resources.memory.budget(MemoryShare::Pixels).acquire(bytes).await;
        self.resources.resize_metrics.record_wait(WaitKind::Pixels, start.elapsed());
        permit.map_err(|error| match error {
            BudgetError::TooLarge { bytes_max } => Error::Unprocessable(
                format!("decoding the original needs more than {bytes_max} bytes of memory (work.pixel_memory)").into(),
            ),
            BudgetError::Overloaded => Error::MemoryFull(MemoryShare::Pixels),
        })
    }

    /// Downloads the original, again if it is replaced meanwhile. The permit is taken when the length is known, before
    /// the body is read.
    pub(super) async fn download(&self, key: &ObjectKey) -> Result<Original, Error> {
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
