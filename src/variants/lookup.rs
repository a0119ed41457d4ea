//! What the stores know already: is the variant there, and is it made of the original as it is now?

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::make::{META_FINGERPRINT, META_ORIGINAL_ETAG, Maker};
use super::rendition::{Answer, Detail, Provenance, Rendition, Steps, fingerprint};
use crate::config::Mode;
use crate::origin::{ObjectMeta, Precondition, StoreError};
use crate::proxy::error::Failure;
use crate::resize::sniff;
use crate::support::error_chain::chain;
use crate::variant::{ObjectKey, Variant};

/// Size of a stored variant. This program stores no larger ones, so a larger object is made again.
const VARIANT_BYTES_MAX: u64 = 32 << 20;

/// What the variants' store says.
pub(crate) enum Lookup {
    Found(Answer),
    /// Not there, or not usable; and on what condition the new one may be written.
    Make(Precondition),
}

/// A stored variant, its bytes if they are sent, and what its original is now, if that may be another.
struct Found {
    meta: ObjectMeta,
    bytes: Option<Bytes>,
    original: Option<Result<Option<ObjectMeta>, StoreError>>,
}

impl Maker {
    /// HEAD for a redirect, GET for the bytes; and if it is there, the original's HEAD beside its bytes, unless originals are
    /// immutable. What is not there costs no look at the original: making it reads that anyway. A store that fails here does
    /// not fail the request: the variant is made.
    pub(crate) async fn look_up(
        &self,
        key: &ObjectKey,
        variant: &Variant,
        steps: &mut Steps,
    ) -> Result<Lookup, Failure> {
        let as_of = Instant::now();
        let found = steps.time("lookup", self.stored(key, variant)).await;
        let (meta, bytes, original) = match found {
            Ok(Some(Found { meta, bytes, original })) => (meta, bytes, original),
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
        let original_etag = made_of.into();
        let origin = Provenance { detail: Detail::Stored, steps: steps.clone(), original_etag, as_of };
        let answer = match bytes {
            None => self.location(key, &version(&meta), origin)?,
            Some(bytes) => {
                let media_type = variant.encoding.format().media_type();
                let fingerprint = fingerprint(&bytes);
                let is_sound = metadata(&meta, META_FINGERPRINT).is_none_or(|stored| *stored == fingerprint);
                if !is_sound || sniff(&bytes) != Some(media_type) {
                    tracing::warn!(%key, "what is stored under this key is no such variant; it is made again");
                    return Ok(Lookup::Make(Precondition::Matches(meta.etag)));
                }
                let last_modified = meta.last_modified;
                let rendition = Rendition::new(&self.policy, media_type, bytes, &fingerprint, last_modified, origin)?;
                Answer::Rendition(Arc::new(rendition))
            }
        };
        // What the store could not say is asked again soon.
        Ok(Lookup::Found(if is_unattended { answer.stale(&self.policy, steps.clone()) } else { answer }))
    }

    /// What is stored under `key`, with the original as it is now.
    async fn stored(&self, key: &ObjectKey, variant: &Variant) -> Result<Option<Found>, StoreError> {
        let original = self.original_now(variant);
        match self.mode {
            Mode::Redirect => {
                let Some(meta) = self.variants.head(key).await? else { return Ok(None) };
                Ok(Some(Found { meta, bytes: None, original: original.await }))
            }
            Mode::Stream => {
                let Some(object) = self.variants.get(key, None).await? else { return Ok(None) };
                let (bytes, original) = tokio::join!(object.collect(VARIANT_BYTES_MAX), original);
                let (meta, bytes) = bytes?;
                Ok(Some(Found { meta, bytes: Some(bytes), original }))
            }
        }
    }

    /// What the original is now; `None` if it is what it ever was.
    async fn original_now(&self, variant: &Variant) -> Option<Result<Option<ObjectMeta>, StoreError>> {
        if self.immutable { None } else { Some(self.originals.head(&variant.original).await) }
    }

    /// Whether a stored variant was made of the original as it is.
    pub(crate) fn is_made_of(&self, stored: &ObjectMeta, original: &ObjectMeta) -> bool {
        self.immutable || metadata(stored, META_ORIGINAL_ETAG) == Some(&*original.etag)
    }

    /// Why nothing is made of an original, if that is known before it is read.
    pub(crate) fn refusal(&self, original: &ObjectMeta) -> Option<String> {
        let is_too_large = original.bytes > self.original_bytes_max;
        is_too_large.then(|| Failure::too_large(original.bytes, self.original_bytes_max).detail().to_owned())
    }

    /// Whether what memory has is made of the original as it is now, and is where a redirect says.
    pub(crate) async fn is_current(
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
}

fn metadata<'a>(meta: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    meta.metadata.iter().find(|(named, _)| named == name).map(|(_, value)| value.as_str())
}

/// What tells a stored variant from what was there before: its fingerprint, or else its ETag's letters and digits.
fn version(meta: &ObjectMeta) -> String {
    let version = metadata(meta, META_FINGERPRINT).unwrap_or(&meta.etag);
    version.chars().filter(char::is_ascii_alphanumeric).take(32).collect()
}
