//! A batch under way: its original is read once, decoded once, and made into what everyone waits for.

use std::sync::Arc;
use std::time::Instant;

use super::batch::{Batch, Batches, Boarded, Made};
use super::make::{Maker, Original};
use super::memory_budget::{Refusal, Ticket};
use super::rendition::Steps;
use crate::observability::metrics::WaitKind;
use crate::observability::traces;
use crate::origin::StoreError;
use crate::proxy::error::Failure;
use crate::resize::{Header, RenderError, RenderRequest};
use crate::variant::{ObjectKey, Variant};

impl Maker {
    /// The variant's bytes, made together with whatever other variants of its original are asked for meanwhile.
    pub(crate) async fn together(self: &Arc<Self>, variant: &Variant, steps: &mut Steps) -> Result<Made, Failure> {
        let (awaited, boarded) = self.works.batches.board(variant, &self.purges);
        let made = match boarded {
            Boarded::Opened(batch) => {
                let this = self.clone();
                self.tasks.spawn(async move { this.run(batch).await });
                awaited.await
            }
            Boarded::Joined(span) => traces::wait_span(&span, awaited).await,
        };
        let mut made = made.map_err(|_| Failure::Internal)??;
        steps.append(&mut made.steps);
        Ok(made)
    }

    /// The whole batch, within a flight's time; everyone in it is answered.
    async fn run(self: Arc<Self>, batch: Arc<Batch>) {
        let _ended = Ended { batches: &self.works.batches, batch: &batch };
        let made = tokio::time::timeout(self.flight_time, self.make_all(&batch)).await;
        // Before anybody is told of a failure: who comes after that tries anew.
        self.works.batches.close(&batch);
        match made {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => batch.fail(&failure),
            Err(_) => batch.fail(&Failure::StoreSlow),
        }
    }

    async fn make_all(self: &Arc<Self>, batch: &Arc<Batch>) -> Result<(), Failure> {
        let mut steps = Steps::default();
        let original = Arc::new(steps.time("original", self.download(&batch.original)).await?);
        let header = Header::read(&original.bytes, &self.limits).map_err(|error| Failure::of_render(&error.into()))?;
        loop {
            let mut wanted = batch.wanted();
            if wanted.is_empty() {
                self.works.batches.close(batch);
                // One may have come meanwhile.
                wanted = batch.wanted();
            }
            let Some(first) = wanted.first() else { return Ok(()) };
            // All at once, unless only fewer can be.
            let bytes = match header.working_bytes(&wanted) {
                bytes if bytes <= self.works.pixels.bytes_max() => bytes,
                _ => header.working_bytes(&[*first]),
            };
            let mut steps = steps.clone();
            let ticket = match steps.time("queue", self.pixel_ticket(bytes)).await {
                Err(failure @ Failure::Unprocessable(_)) => {
                    batch.refuse_first(failure);
                    continue;
                }
                ticket => ticket?,
            };
            self.decode_once(batch, &original, &header, (bytes, ticket), steps).await?;
        }
    }

    /// Makes those who wait when a thread is free, as many as the ticket is enough for. Original and ticket go with the
    /// job: if the batch's time is over, it still uses them.
    async fn decode_once(
        self: &Arc<Self>,
        batch: &Arc<Batch>,
        original: &Arc<Original>,
        header: &Header,
        (bytes, ticket): (u64, Ticket),
        steps: Steps,
    ) -> Result<(), Failure> {
        let places = Arc::new(std::sync::OnceLock::new());
        let take = {
            let (this, batch, header, places) = (self.clone(), batch.clone(), header.clone(), places.clone());
            move || {
                this.works.batches.close(&batch);
                let taken = batch.take(|wanted| header.working_bytes(wanted) <= bytes);
                let (taken, wanted): (Vec<usize>, Vec<_>) = taken.into_iter().unzip();
                let _ = places.set(taken);
                wanted
            }
        };
        let done = {
            let (batch, original, queued) = (batch.clone(), original.clone(), Instant::now());
            move |n: usize, made: Result<_, RenderError>| {
                let Some(place) = places.get().and_then(|places| places.get(n)) else { return };
                let mut steps = steps.clone();
                steps.note("render", queued.elapsed());
                let made = made.map(|bytes| Made {
                    bytes,
                    original_etag: original.etag.clone(),
                    as_of: batch.as_of,
                    began: batch.began,
                    steps,
                });
                batch.answer(*place, made.map_err(|error| Failure::of_render(&error)));
            }
        };
        let tickets = (ticket, original.clone());
        let request = RenderRequest { original: original.bytes.clone(), header: header.clone(), limits: self.limits };
        let rendered = self.works.resizer.render_each(request, take, done, tickets);
        traces::in_span("render", rendered).await.map_err(|error| Failure::of_render(&error))
    }

    pub(crate) async fn download_ticket(&self, length: u64) -> Result<Ticket, Failure> {
        let start = Instant::now();
        let ticket = self.works.downloads.ticket(length).await;
        self.works.times.record_wait(WaitKind::Download, start.elapsed());
        ticket.map_err(|refusal| match refusal {
            Refusal::TooLarge { bytes_max } => Failure::too_large(length, bytes_max),
            Refusal::Overloaded => Failure::Overloaded,
        })
    }

    pub(crate) async fn pixel_ticket(&self, bytes: u64) -> Result<Ticket, Failure> {
        let start = Instant::now();
        let ticket = self.works.pixels.ticket(bytes).await;
        self.works.times.record_wait(WaitKind::Pixels, start.elapsed());
        ticket.map_err(|refusal| match refusal {
            Refusal::TooLarge { bytes_max } => Failure::Unprocessable(
                format!("the original needs more than the {bytes_max} bytes of work.pixel_memory").into(),
            ),
            Refusal::Overloaded => Failure::Overloaded,
        })
    }

    /// The original's bytes, counted as they come; the ticket is taken when their number is known and before they are.
    async fn download(&self, key: &ObjectKey) -> Result<Original, Failure> {
        let failed = |error: StoreError| Failure::of_store("original", &error);
        let Some(object) = self.originals.get(key, None).await.map_err(failed)? else {
            return Err(Failure::NotFound(format!("there is no original {:?}", key.as_str()).into()));
        };
        let length = object.meta.bytes;
        if length > self.original_bytes_max {
            return Err(Failure::too_large(length, self.original_bytes_max));
        }
        let ticket = self.download_ticket(length).await?;
        let bytes = object.body.collect().await.map_err(failed)?;
        Ok(Original { bytes, etag: object.meta.etag, _ticket: ticket })
    }
}

/// Sees that nobody joins a batch that has ended, or waits for it, however it ended.
struct Ended<'a> {
    batches: &'a Batches,
    batch: &'a Arc<Batch>,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.batches.close(self.batch);
        self.batch.fail(&Failure::Internal);
    }
}
