//! A flight: find the variant in its store, or make it and write it back.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::OpenError;
use super::budget::{Budget, Refusal, Ticket};
use super::policy::Policy;
use super::problem::{Failure, chain};
use super::rendition::{Answer, Detail, Location, Provenance, Rendition, Steps, fingerprint};
use super::write_back::{Write, WriteBack};
use crate::config::{Config, Mode};
use crate::origin::{Attributes, Meta, Precondition, Store, StoreError};
use crate::resize::{Header, Limits, PIPELINE, Resizer, sniff};
use crate::tasks::Tasks;
use crate::variant::{ObjectKey, Variant};

/// Everything that a flight needs.
#[derive(Debug)]
pub(super) struct Maker {
    originals: Store,
    variants: Store,
    write_back: WriteBack,
    resizer: Resizer,
    downloads: Budget,
    pixels: Budget,
    policy: Arc<Policy>,
    mode: Mode,
    limits: Limits,
    original_bytes_max: u64,
    variant_bytes_max: u64,
    flight_time: Duration,
    failures_remembered: Duration,
}

/// The metadata that a stored variant carries.
const META_ORIGINAL_ETAG: &str = "resized-original-etag";
const META_PIPELINE: &str = "resized-pipeline";
const META_FINGERPRINT: &str = "resized-fingerprint";

/// What the variants' store says.
enum Lookup {
    Found(Answer),
    /// Not there, or not usable; and on what condition the new one may be written.
    Make(Precondition),
}

/// A downloaded original and its right to the memory.
struct Original {
    bytes: Bytes,
    etag: Box<str>,
    ticket: Ticket,
}

impl Maker {
    pub(super) fn new(
        config: &Config,
        originals: Store,
        variants: Store,
        policy: Arc<Policy>,
        tasks: Tasks,
    ) -> Result<Self, OpenError> {
        let work = &config.work;
        let budget = |bytes: u64| Budget::new(bytes, work.queue_length.get(), work.queue_time);
        Ok(Self {
            write_back: WriteBack::new(variants.clone(), work.write_back_memory.as_u64(), tasks),
            resizer: Resizer::start(work.threads, work.queue_length).map_err(OpenError::Threads)?,
            downloads: budget(work.download_memory.as_u64()),
            pixels: budget(work.pixel_memory.as_u64()),
            mode: config.answers.mode,
            limits: Limits::from(&config.limits),
            original_bytes_max: config.limits.original_bytes.as_u64(),
            variant_bytes_max: config.limits.variant_bytes.as_u64(),
            flight_time: work.flight_time,
            failures_remembered: config.cache.failures,
            originals,
            variants,
            policy,
        })
    }

    /// The whole flight, within its time.
    pub(super) async fn make(self: Arc<Self>, variant: Variant) -> Answer {
        let failure = match tokio::time::timeout(self.flight_time, self.find_or_make(&variant)).await {
            Ok(Ok(answer)) => return answer,
            Ok(Err(failure)) => failure,
            Err(_) => {
                tracing::error!(original = %variant.original, "a flight took longer than work.flight_time");
                Failure::StoreSlow
            }
        };
        Answer::Failed { failure, remembered: self.failures_remembered }
    }

    async fn find_or_make(&self, variant: &Variant) -> Result<Answer, Failure> {
        let key = variant.storage_key();
        let mut steps = Steps::default();
        let precondition = match self.look_up(&key, variant, &mut steps).await? {
            Lookup::Found(answer) => return Ok(answer),
            Lookup::Make(precondition) => precondition,
        };
        let original = steps.time("original", self.download(&variant.original)).await?;
        let etag = original.etag.clone();
        let bytes = self.render(original, variant, &mut steps).await?;
        let attributes = self.attributes(variant, &etag, &bytes);
        let write = Write { key, bytes: bytes.clone(), attributes, precondition };
        self.finish(variant, bytes, write, steps).await
    }

    /// HEAD for a redirect, GET for the bytes. A store that fails here does not fail the request: the variant is made.
    async fn look_up(&self, key: &ObjectKey, variant: &Variant, steps: &mut Steps) -> Result<Lookup, Failure> {
        let found = match self.mode {
            Mode::Redirect => {
                steps.time("lookup", self.variants.head(key)).await.map(|meta| meta.map(|meta| (meta, None)))
            }
            Mode::Stream => {
                let bytes = self.variants.get_bounded(key, self.variant_bytes_max);
                steps.time("lookup", bytes).await.map(|object| object.map(|(meta, bytes)| (meta, Some(bytes))))
            }
        };
        let origin = Provenance { detail: Detail::Stored, steps: steps.clone() };
        match found {
            Ok(None) => Ok(Lookup::Make(Precondition::Absent)),
            Ok(Some((meta, None))) => Ok(Lookup::Found(self.location(key, &version(&meta), origin)?)),
            Ok(Some((meta, Some(bytes)))) => {
                let media_type = variant.encoding.format().media_type();
                if sniff(&bytes) != Some(media_type) {
                    tracing::warn!(%key, "what is stored under this key is no such variant; it is made again");
                    return Ok(Lookup::Make(Precondition::Matches(meta.etag)));
                }
                let rendition = Rendition::new(&self.policy, media_type, bytes, meta.last_modified, origin)?;
                Ok(Lookup::Found(Answer::Rendition(Arc::new(rendition))))
            }
            Err(error) => {
                tracing::warn!(%key, error = chain(&error), "the variants' store failed a lookup; the variant is made");
                Ok(Lookup::Make(Precondition::Absent))
            }
        }
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
        let ticket = self.downloads.ticket(length).await.map_err(|refusal| match refusal {
            Refusal::TooLarge { bytes_max } => Failure::too_large(length, bytes_max),
            Refusal::Overloaded => Failure::Overloaded,
        })?;
        let mut bytes = BytesMut::with_capacity(usize::try_from(length).unwrap_or_default());
        let mut body = object.body;
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk.map_err(failed)?);
        }
        Ok(Original { bytes: bytes.freeze(), etag: object.meta.etag, ticket })
    }

    /// Pixels, on the resize threads. Both tickets go with the job: if the flight's time is over, it still uses them.
    async fn render(&self, original: Original, variant: &Variant, steps: &mut Steps) -> Result<Bytes, Failure> {
        let failed = |error| Failure::of_render(&error);
        let Original { bytes, ticket: download, .. } = original;
        let header = Header::read(&bytes, &self.limits).map_err(failed)?;
        let working = self.pixels.ticket(header.working_bytes(variant.geometry));
        let pixels = steps.time("queue", working).await.map_err(|refusal| match refusal {
            Refusal::TooLarge { bytes_max } => Failure::Unprocessable(
                format!("the original needs more than the {bytes_max} bytes of work.pixel_memory").into(),
            ),
            Refusal::Overloaded => Failure::Overloaded,
        })?;
        let job =
            self.resizer.render(bytes, header, variant.geometry, variant.encoding, self.limits, (download, pixels));
        steps.time("render", job).await.map_err(failed)
    }

    /// Answers with the bytes and stores them behind the answer; or stores them and then says where they are.
    async fn finish(&self, variant: &Variant, bytes: Bytes, write: Write, mut steps: Steps) -> Result<Answer, Failure> {
        let media_type = variant.encoding.format().media_type();
        let rendition = |steps| Rendition::new(&self.policy, media_type, bytes.clone(), SystemTime::now(), made(steps));
        match self.mode {
            Mode::Stream => {
                self.write_back.later(write);
                Ok(Answer::Rendition(Arc::new(rendition(steps)?)))
            }
            Mode::Redirect => {
                let key = write.key.clone();
                match steps.time("store", self.write_back.now(write)).await {
                    Ok(()) => self.location(&key, &fingerprint(&bytes), made(steps)),
                    Err(error) => {
                        tracing::error!(%key, error = chain(&error), "a variant could not be stored; its bytes are sent");
                        Ok(Answer::Rendition(Arc::new(rendition(steps)?.passing(&self.policy))))
                    }
                }
            }
        }
    }

    /// The variant's public URL, stamped with its version: a copy of what it once was is never met under it.
    fn location(&self, key: &ObjectKey, version: &str, origin: Provenance) -> Result<Answer, Failure> {
        let url = self.variants.public_url(key).ok_or(Failure::Internal)?;
        let location = Location::new(&self.policy, &format!("{url}?v={version}"), origin)?;
        Ok(Answer::Location(Arc::new(location)))
    }

    fn attributes(&self, variant: &Variant, original_etag: &str, bytes: &[u8]) -> Attributes {
        Attributes {
            content_type: variant.encoding.format().media_type().to_owned(),
            cache_control: self.policy.cache_control.to_str().unwrap_or_default().to_owned(),
            metadata: vec![
                (META_ORIGINAL_ETAG.to_owned(), original_etag.to_owned()),
                (META_PIPELINE.to_owned(), PIPELINE.to_owned()),
                (META_FINGERPRINT.to_owned(), fingerprint(bytes)),
            ],
        }
    }

    /// Finishes the resize jobs that have begun and ends the threads.
    pub(super) fn stop(&self) {
        self.resizer.shutdown();
    }
}

fn made(steps: Steps) -> Provenance {
    Provenance { detail: Detail::Made, steps }
}

/// What tells a stored variant from what was there before: its fingerprint, or else its ETag's letters and digits.
fn version(meta: &Meta) -> String {
    let fingerprint = meta.metadata.iter().find(|(name, _)| name == META_FINGERPRINT).map(|(_, value)| value.as_str());
    fingerprint.unwrap_or(&meta.etag).chars().filter(char::is_ascii_alphanumeric).take(32).collect()
}
