//! What the stores know already: is the variant there, and is it made of the original as it is now?

use std::sync::Arc;

use super::super::problem::{Failure, chain};
use super::super::purges::Moment;
use super::super::rendition::{Answer, Detail, Provenance, Rendition, Steps};
use super::{META_FINGERPRINT, META_ORIGINAL_ETAG, Maker};
use crate::config::Mode;
use crate::origin::{Meta, Precondition, StoreError};
use crate::resize::sniff;
use crate::variant::{ObjectKey, Variant};

/// What the variants' store says.
pub(super) enum Lookup {
    Found(Answer),
    /// Not there, or not usable; and on what condition the new one may be written.
    Make(Precondition),
}

impl Maker {
    /// HEAD for a redirect, GET for the bytes; and beside it the original's HEAD, unless originals are immutable. A store
    /// that fails here does not fail the request: the variant is made.
    pub(super) async fn look_up(
        &self,
        key: &ObjectKey,
        variant: &Variant,
        steps: &mut Steps,
    ) -> Result<Lookup, Failure> {
        let stored = async {
            match self.mode {
                Mode::Redirect => self.variants.head(key).await.map(|meta| meta.map(|meta| (meta, None))),
                Mode::Stream => {
                    let object = self.variants.get_bounded(key, self.variant_bytes_max).await;
                    object.map(|object| object.map(|(meta, bytes)| (meta, Some(bytes))))
                }
            }
        };
        let (found, original) = steps.time("lookup", beside(stored, self.original_now(variant))).await;
        let (meta, bytes) = match found {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Lookup::Make(Precondition::Absent)),
            Err(error) => {
                tracing::warn!(%key, error = chain(&error), "the variants' store failed a lookup; the variant is made");
                return Ok(Lookup::Make(Precondition::Absent));
            }
        };
        let made_of = metadata(&meta, META_ORIGINAL_ETAG).unwrap_or_default();
        let is_unattended = match original {
            Some(Ok(original)) if original.as_ref().is_none_or(|original| *original.etag != *made_of) => {
                return Ok(Lookup::Make(Precondition::Matches(meta.etag)));
            }
            Some(Err(_)) => true,
            Some(Ok(_)) | None => false,
        };
        let origin = Provenance { detail: Detail::Stored, steps: steps.clone(), original_etag: made_of.into() };
        let answer = match bytes {
            None => self.location(key, &version(&meta), origin)?,
            Some(bytes) => {
                let media_type = variant.encoding.format().media_type();
                if sniff(&bytes) != Some(media_type) {
                    tracing::warn!(%key, "what is stored under this key is no such variant; it is made again");
                    return Ok(Lookup::Make(Precondition::Matches(meta.etag)));
                }
                let rendition = Rendition::new(&self.policy, media_type, bytes, meta.last_modified, origin)?;
                Answer::Rendition(Arc::new(rendition))
            }
        };
        // What the store could not say is asked again soon.
        Ok(Lookup::Found(if is_unattended { answer.stale(&self.policy, steps.clone()) } else { answer }))
    }

    /// What the original is now; `None` if it is what it ever was.
    async fn original_now(&self, variant: &Variant) -> Option<Result<Option<Meta>, StoreError>> {
        if self.immutable { None } else { Some(self.originals.head(&variant.original).await) }
    }

    /// Whether what memory has is made of the original as it is now, and is where a redirect says.
    pub(super) async fn is_current(
        &self,
        stale: &Answer,
        key: &ObjectKey,
        variant: &Variant,
        steps: &mut Steps,
    ) -> Result<bool, Failure> {
        let original = self.originals.head(&variant.original);
        let stored = async {
            match stale {
                Answer::Location(location) => {
                    let meta = self.variants.head(key).await?;
                    Ok(meta.is_some_and(|meta| version(&meta) == *location.version))
                }
                Answer::Rendition(_) | Answer::Failed { .. } => Ok(true),
            }
        };
        let asked = steps.time("revalidate", async { tokio::try_join!(original, stored) }).await;
        let (meta, is_stored) = asked.map_err(|error| Failure::of_store("original", &error))?;
        Ok(is_stored && meta.is_some_and(|meta| stale.original_etag() == Some(&meta.etag)))
    }

    /// Whether the original is another one than that with `etag`, which was read after `as_of`.
    pub(super) async fn has_changed(
        &self,
        original: &ObjectKey,
        etag: &str,
        as_of: Moment,
        steps: &mut Steps,
    ) -> Result<bool, StoreError> {
        if self.immutable {
            return Ok(self.purges.since(as_of, original));
        }
        let meta = steps.time("recheck", self.originals.head(original)).await?;
        Ok(meta.is_none_or(|meta| *meta.etag != *etag))
    }
}

/// Waits for what is wanted; for what goes beside it only if `wanted` found something that it is needed for.
async fn beside<T, U>(
    wanted: impl Future<Output = Result<Option<T>, StoreError>>,
    beside: impl Future<Output = Option<U>>,
) -> (Result<Option<T>, StoreError>, Option<U>) {
    let (mut wanted, mut beside) = (std::pin::pin!(wanted), std::pin::pin!(beside));
    tokio::select! {
        found = &mut wanted => match found {
            Ok(Some(_)) => (found, beside.await),
            Ok(None) | Err(_) => (found, None),
        },
        other = &mut beside => (wanted.await, other),
    }
}

fn metadata<'a>(meta: &'a Meta, name: &str) -> Option<&'a str> {
    meta.metadata.iter().find(|(named, _)| named == name).map(|(_, value)| value.as_str())
}

/// What tells a stored variant from what was there before: its fingerprint, or else its ETag's letters and digits.
fn version(meta: &Meta) -> String {
    let version = metadata(meta, META_FINGERPRINT).unwrap_or(&meta.etag);
    version.chars().filter(char::is_ascii_alphanumeric).take(32).collect()
}
