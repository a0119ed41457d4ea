//! Makes one variant of the queue.

use std::time::Duration;

use super::queue::LateJob;
use crate::support::error_chain::chain;
use crate::variant::Variant;
use crate::variants::batch::idle::{MadeIdle, make_idle};
use crate::variants::error::Error;
use crate::variants::make::{ATTEMPTS, EnsureStoredError, FoundOrClaimed, VariantMaker};
use crate::variants::rendition::delivery::fingerprint;
use crate::variants::store::lookup::{Fetch, META_NOT_SMALLER, is_made_from_etag};
use crate::variants::store::write_back::{VariantWrite, WriteOutcome};
use crate::variants::timings::Timings;

/// How long a variant that failed is not tried again.
const RETRY_PERIOD: Duration = Duration::from_secs(60);

/// The same after an error that another attempt would meet again.
const LASTING_RETRY_PERIOD: Duration = Duration::from_secs(3600);

/// Result of a job of the queue.
#[derive(Debug)]
pub(super) enum LateOutcome {
    /// It was made and stored.
    Made { saved_bytes: u64, cpu_time: Duration },
    /// It was stored with the mark that it is not smaller than the interim variant.
    NotSmaller { cpu_time: Duration },
    /// The store has it already.
    AlreadyStored,
    /// The original was purged while it was made.
    Purged,
    /// It would exceed a limit of `[rates]` before this time has passed.
    Limited(Duration),
    /// It could not be made or stored, and may be tried again after this time.
    Failed(Duration),
}

impl LateOutcome {
    pub(super) fn is_stored(&self) -> bool {
        matches!(self, Self::Made { .. } | Self::NotSmaller { .. } | Self::AlreadyStored)
    }

    /// The time after which a failed variant may be tried again.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limited(time) | Self::Failed(time) => Some(*time),
            Self::Made { .. } | Self::NotSmaller { .. } | Self::AlreadyStored | Self::Purged => None,
        }
    }
}

/// Marks a variant that does not have fewer bytes than `interim`, if the number of those is known. Returns true if it is smaller.
pub(in crate::variants) fn mark_unless_smaller(
    write: &mut VariantWrite,
    interim: &Variant,
    interim_bytes: Option<u64>,
) -> bool {
    let is_smaller = interim_bytes.is_none_or(|interim| (write.bytes.len() as u64) < interim);
    if !is_smaller {
        let format = interim.encoding.format().extension();
        write.attributes.metadata.push((META_NOT_SMALLER.to_owned(), format.to_owned()));
    }
    is_smaller
}

impl VariantMaker {
    /// Makes the variant, unless the store has a current one, and waits until the store has confirmed the write.
    pub(super) async fn make_late(&self, job: &LateJob) -> LateOutcome {
        // The future is large, so it is boxed.
        match Box::pin(self.try_make_late(job)).await {
            Ok(outcome) => outcome,
            Err(EnsureStoredError::Purged) => LateOutcome::Purged,
            Err(EnsureStoredError::Variant(Error::RateLimited(limit))) => LateOutcome::Limited(limit.retry_after),
            Err(error) => {
                tracing::warn!(key = %job.variant.storage_key(), error = chain(&error), "variant not made later");
                let is_lasting = matches!(&error, EnsureStoredError::Variant(error) if error.is_lasting());
                LateOutcome::Failed(if is_lasting { LASTING_RETRY_PERIOD } else { RETRY_PERIOD })
            }
        }
    }

    async fn try_make_late(&self, job: &LateJob) -> Result<LateOutcome, EnsureStoredError> {
        let (key, mut timings) = (job.variant.storage_key(), Timings::default());
        for _ in 0..ATTEMPTS {
            let claimed = self.find_or_claim(&key, &job.variant, (Fetch::Metadata, None), &mut timings).await?;
            let FoundOrClaimed::Claimed(task) = claimed else { return Ok(LateOutcome::AlreadyStored) };
            let MadeIdle { made, cpu_time } = make_idle(&self.runner, &job.variant, job.client).await?;
            let bytes = made.bytes.len() as u64;
            let interim_bytes = self.interim_bytes(job, &made.original_etag).await;
            let mut write = self.prepare_write(&key, &job.variant, &made, &fingerprint(&made.bytes), task);
            let is_smaller = mark_unless_smaller(&mut write, &job.interim, interim_bytes);
            write.bytes = self.resources().variant_memory.charge_made(made.bytes, made.memory).await?;
            match self.resources().write_back.write(write).await? {
                WriteOutcome::Stored if is_smaller => {
                    let saved_bytes = interim_bytes.map_or(0, |interim| interim - bytes);
                    return Ok(LateOutcome::Made { saved_bytes, cpu_time });
                }
                WriteOutcome::Stored => return Ok(LateOutcome::NotSmaller { cpu_time }),
                // The stored variant may be of another version of the original.
                WriteOutcome::LostRace => {}
                WriteOutcome::Invalidated => return Ok(LateOutcome::Purged),
            }
        }
        Err(Error::Overloaded.into())
    }

    /// Bytes of the interim variant of the original with this ETag; `None` if they are not known. A store that fails does not
    /// keep the variant from being used.
    async fn interim_bytes(&self, job: &LateJob, original_etag: &str) -> Option<u64> {
        if let Some((bytes, etag)) = &job.interim_bytes
            && **etag == *original_etag
        {
            return Some(*bytes);
        }
        self.stored_bytes(&job.interim, original_etag).await
    }

    /// Bytes of a stored variant of the original with this ETag; `None` if there is none, or the store failed.
    pub(in crate::variants) async fn stored_bytes(&self, variant: &Variant, original_etag: &str) -> Option<u64> {
        let stored = self.stored.variants.head(&variant.storage_key()).await.ok()??;
        is_made_from_etag(&stored, original_etag).then_some(stored.bytes)
    }
}
