//! Looks a variant up in its store and checks that its original is unchanged.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::Instant;

use crate::config::VARIANT_BYTES_MAX;
use crate::origin::{Object, ObjectMeta, Precondition, Store, StoreError};
use crate::resize::sniff;
use crate::support::error_chain::chain;
use crate::variant::{Format, ObjectKey, Variant};
use crate::variants::error::Error;
use crate::variants::memory::VariantMemory;
use crate::variants::rendition::Delivery;
use crate::variants::rendition::delivery::{LargeVariant, VariantBytes, fingerprint};
use crate::variants::timings::Timings;

/// Metadata of a stored variant: ETag of its original, pipeline version, fingerprint of its bytes, a mark that its original has
/// a gain map, and the extension of the format whose variant does not have more bytes.
pub(in crate::variants) const META_ORIGINAL_ETAG: &str = "resized-original-etag";
pub(in crate::variants) const META_PIPELINE: &str = "resized-pipeline";
pub(in crate::variants) const META_FINGERPRINT: &str = "resized-fingerprint";
pub(in crate::variants) const META_GAIN_MAP: &str = "resized-gain-map";
pub(in crate::variants) const META_NOT_SMALLER: &str = "resized-not-smaller-than";

/// Number of bytes at the start of a large variant that are read to detect its media type.
const SNIFF_BYTES: usize = 64;

/// The variants' store, and the originals' store, which shows if a stored variant is current.
#[derive(Debug)]
pub(in crate::variants) struct StoredVariants {
    pub(in crate::variants) originals: Store,
    pub(in crate::variants) variants: Store,
    /// True if originals never change under their keys (`originals.immutable`): then they are not checked.
    pub(in crate::variants) immutable: bool,
    pub(in crate::variants) memory: VariantMemory,
}

/// How much of a stored variant a lookup reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::variants) enum Fetch {
    Bytes,
    Metadata,
}

/// Result of a lookup.
pub(in crate::variants) enum Lookup {
    Found(StoredVariant),
    /// There is no usable variant; a new one may be written under this precondition.
    Missing(Precondition),
}

/// A variant in its store.
pub(in crate::variants) struct StoredVariant {
    pub(in crate::variants) body: StoredBody,
    /// Value of the `?v=` cache buster.
    pub(in crate::variants) version: String,
    /// ETag of the original that it was made from; empty if it is not known.
    pub(in crate::variants) original_etag: Box<str>,
    /// A time before the original was checked.
    pub(in crate::variants) checked_at: Instant,
    /// False if the originals' store failed, so that the original may have changed.
    pub(in crate::variants) is_confirmed: bool,
    /// True if the original has a gain map, and gain maps were kept when the variant was made.
    pub(in crate::variants) has_gain_map: bool,
    /// The format that negotiation uses instead, because its variant does not have more bytes.
    pub(in crate::variants) not_smaller_than: Option<Format>,
}

/// The body of a stored variant.
pub(in crate::variants) enum StoredBody {
    /// After [`Fetch::Metadata`].
    NotRead,
    Read(VariantBytes),
    /// Too large for memory.
    Large(LargeVariant),
}

/// The bytes of a stored variant that were read.
enum ReadBytes {
    Whole(Bytes),
    /// The first bytes of a body that is too large for memory.
    Start(Bytes),
}

/// A stored object and the result of checking its original; `None` if originals are not checked.
struct Response {
    meta: ObjectMeta,
    bytes: Option<ReadBytes>,
    original: Option<Result<Option<ObjectMeta>, StoreError>>,
}

/// Why a request for a stored variant failed.
enum RequestError {
    Store(StoreError),
    /// There is no memory for its bytes.
    Memory(Error),
}

impl From<StoreError> for RequestError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl StoredVariants {
    /// Looks up the object `key` and, at the same time, the original. A missing variant costs no request for the
    /// original, because making the variant reads the original anyway. If the variants' store fails, the variant counts
    /// as missing, so that it is made and the request succeeds.
    pub(in crate::variants) async fn lookup(
        &self,
        key: &ObjectKey,
        variant: &Variant,
        fetch: Fetch,
        timings: &mut Timings,
    ) -> Result<Lookup, Error> {
        let checked_at = Instant::now();
        let response = timings.time("lookup", self.request(key, variant, fetch)).await;
        let Response { meta, bytes, original } = match response {
            Ok(Some(response)) => response,
            Ok(None) => return Ok(Lookup::Missing(Precondition::Absent)),
            Err(RequestError::Memory(error)) => return Err(error),
            Err(RequestError::Store(error)) => {
                tracing::warn!(%key, error = chain(&error), "lookup in the variants' store failed; making the variant");
                return Ok(Lookup::Missing(Precondition::Absent));
            }
        };
        let original_etag = metadata(&meta, META_ORIGINAL_ETAG).unwrap_or_default();
        let is_confirmed = match original {
            Some(Ok(original)) if original.as_ref().is_none_or(|original| *original.etag != *original_etag) => {
                return Ok(Lookup::Missing(Precondition::Matches(meta.etag)));
            }
            Some(Err(_)) => false,
            Some(Ok(_)) | None => true,
        };
        let body = match bytes {
            None => StoredBody::NotRead,
            Some(bytes) => match checked(bytes, &meta, variant) {
                Some(body) => body,
                None => {
                    tracing::warn!(%key, "stored variant is corrupt; making it again");
                    return Ok(Lookup::Missing(Precondition::Matches(meta.etag)));
                }
            },
        };
        let (version, original_etag) = (version(&meta), original_etag.into());
        let has_gain_map = metadata(&meta, META_GAIN_MAP).is_some();
        let not_smaller_than = not_smaller_than(&meta);
        let stored =
            StoredVariant { body, version, original_etag, checked_at, is_confirmed, has_gain_map, not_smaller_than };
        Ok(Lookup::Found(stored))
    }

    async fn request(
        &self,
        key: &ObjectKey,
        variant: &Variant,
        fetch: Fetch,
    ) -> Result<Option<Response>, RequestError> {
        let original = self.check_original(variant);
        match fetch {
            Fetch::Metadata => {
                let Some(meta) = self.variants.head(key).await? else { return Ok(None) };
                Ok(Some(Response { meta, bytes: None, original: original.await }))
            }
            Fetch::Bytes => {
                let Some(object) = self.variants.get(key, None).await? else { return Ok(None) };
                let (bytes, original) = tokio::join!(self.read(object), original);
                let (meta, bytes) = bytes?;
                Ok(Some(Response { meta, bytes: Some(bytes), original }))
            }
        }
    }

    /// Reads the body of a stored variant, or the start of a large one. Its memory is reserved before, and the bytes hold
    /// the permit.
    async fn read(&self, object: Object) -> Result<(ObjectMeta, ReadBytes), RequestError> {
        let Object { meta, mut body } = object;
        if meta.bytes > VARIANT_BYTES_MAX {
            let error = StoreError::TooLarge { bytes: meta.bytes, bytes_max: VARIANT_BYTES_MAX };
            return Err(RequestError::Store(error));
        }
        // Without its fingerprint, the ETag of a variant is known only from its bytes.
        if self.memory.is_large(meta.bytes) && recorded_fingerprint(&meta).is_some() {
            let mut start = Vec::new();
            while start.len() < SNIFF_BYTES
                && let Some(chunk) = body.next().await
            {
                let chunk = chunk?;
                start.extend_from_slice(&chunk[..chunk.len().min(SNIFF_BYTES)]);
            }
            return Ok((meta, ReadBytes::Start(start.into())));
        }
        let permit = self.memory.acquire(meta.bytes).await.map_err(RequestError::Memory)?;
        let bytes = body.collect().await?;
        Ok((meta, ReadBytes::Whole(permit.attach(bytes))))
    }

    async fn check_original(&self, variant: &Variant) -> Option<Result<Option<ObjectMeta>, StoreError>> {
        if self.immutable { None } else { Some(self.originals.head(&variant.original).await) }
    }

    /// True if [`Self::is_current`] can send its requests, because no circuit breaker would refuse them.
    pub(in crate::variants) fn can_check(&self, delivery: &Delivery) -> bool {
        let uses_variants = matches!(delivery, Delivery::Redirect(_));
        let is_refused = self.originals.refuses_requests() || (uses_variants && self.variants.refuses_requests());
        !is_refused
    }

    /// True if a delivery from memory was made from the current original and, if it is a redirect, still points to the
    /// stored variant. A store that has not answered within `timeout` counts as failing, but the check continues.
    pub(in crate::variants) async fn is_current(
        &self,
        delivery: &Delivery,
        key: &ObjectKey,
        variant: &Variant,
        timeout: Duration,
    ) -> Result<bool, StoreError> {
        let original = self.originals.head_expecting(&variant.original, timeout);
        let stored = async {
            match delivery {
                Delivery::Redirect(redirect) => {
                    let meta = self.variants.head_expecting(key, timeout).await?;
                    Ok(meta.is_some_and(|meta| version(&meta) == *redirect.version))
                }
                // A stream finds out itself.
                Delivery::Rendition(_) | Delivery::Stored(_) => Ok(true),
            }
        };
        let (original, is_stored) = tokio::try_join!(original, stored)?;
        Ok(is_stored && original.is_some_and(|original| *delivery.original_etag() == *original.etag))
    }
}

/// True if a stored variant was made from the original with the metadata `original`.
#[must_use]
pub fn is_made_from(stored: &ObjectMeta, original: &ObjectMeta) -> bool {
    is_made_from_etag(stored, &original.etag)
}

/// True if a stored variant was made from the original with this ETag.
pub(in crate::variants) fn is_made_from_etag(stored: &ObjectMeta, original_etag: &str) -> bool {
    metadata(stored, META_ORIGINAL_ETAG) == Some(original_etag)
}

/// The format that negotiation uses instead of a stored variant, because its variant does not have more bytes.
#[must_use]
pub fn not_smaller_than(stored: &ObjectMeta) -> Option<Format> {
    Format::from_extension(metadata(stored, META_NOT_SMALLER)?)
}

fn metadata<'a>(meta: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    meta.metadata.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// The bytes, if they are the variant that was stored. Of a large variant only the media type can be checked before it is
/// sent.
fn checked(bytes: ReadBytes, meta: &ObjectMeta, variant: &Variant) -> Option<StoredBody> {
    let (ReadBytes::Whole(start) | ReadBytes::Start(start)) = &bytes;
    sniff(start).filter(|media_type| *media_type == variant.encoding.format().media_type())?;
    let last_modified = meta.last_modified;
    match bytes {
        ReadBytes::Whole(bytes) => {
            let fingerprint = fingerprint(&bytes);
            let is_intact = metadata(meta, META_FINGERPRINT).is_none_or(|stored| *stored == fingerprint);
            is_intact.then_some(StoredBody::Read(VariantBytes { bytes, fingerprint, last_modified }))
        }
        ReadBytes::Start(_) => Some(StoredBody::Large(LargeVariant {
            bytes: meta.bytes,
            fingerprint: recorded_fingerprint(meta)?.to_owned(),
            store_etag: meta.etag.clone(),
            last_modified,
        })),
    }
}

/// The fingerprint in the metadata of a stored variant.
fn recorded_fingerprint(meta: &ObjectMeta) -> Option<&str> {
    let is_valid = |text: &&str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    metadata(meta, META_FINGERPRINT).filter(is_valid)
}

/// Value of the `?v=` cache buster: the fingerprint, or else the letters and digits of the ETag.
fn version(meta: &ObjectMeta) -> String {
    let version = metadata(meta, META_FINGERPRINT).unwrap_or(&meta.etag);
    version.chars().filter(char::is_ascii_alphanumeric).take(32).collect()
}
