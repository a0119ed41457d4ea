//! Builds deliveries from the bytes of a variant or from its key in the store.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use crate::origin::Store;
use crate::support::hex;
use crate::variant::{ObjectKey, Variant};
use crate::variants::error::Error;
use crate::variants::memory::VariantMemory;
use crate::variants::rendition::{
    Freshness, PrebuildHeaders, Provenance, Redirect, Rendition, RenditionFacts, StoredRendition, Validators,
};

/// Prebuilds headers and sets the initial freshness.
#[derive(Debug)]
pub(in crate::variants) struct DeliveryBuilder {
    pub(in crate::variants) headers: Arc<dyn PrebuildHeaders>,
    pub(in crate::variants) freshness: Freshness,
    pub(in crate::variants) store: Store,
    pub(in crate::variants) memory: VariantMemory,
}

/// The bytes of a variant with their [`fingerprint`].
pub(in crate::variants) struct VariantBytes {
    pub(in crate::variants) bytes: Bytes,
    pub(in crate::variants) fingerprint: String,
    pub(in crate::variants) last_modified: SystemTime,
}

/// A stored variant that is too large for memory.
pub(in crate::variants) struct LargeVariant {
    pub(in crate::variants) bytes: u64,
    pub(in crate::variants) fingerprint: String,
    pub(in crate::variants) store_etag: Box<str>,
    pub(in crate::variants) last_modified: SystemTime,
}

/// Hexadecimal form of the first 128 bits of the SHA-256 of `bytes`. It serves as the strong ETag of a rendition,
/// because it is the same on every node and after every restart.
pub(in crate::variants) fn fingerprint(bytes: &[u8]) -> String {
    hex::encode(&ring::digest::digest(&ring::digest::SHA256, bytes).as_ref()[..16])
}

impl DeliveryBuilder {
    /// A rendition of `variant` from its bytes.
    pub(in crate::variants) fn rendition(
        &self,
        variant: &Variant,
        VariantBytes { bytes, fingerprint, last_modified }: VariantBytes,
        provenance: Provenance,
    ) -> Result<Rendition, Error> {
        let quoted = format!("\"{fingerprint}\"");
        let etag = quoted.parse::<headers::ETag>().map_err(|_| Error::Internal)?;
        let media_type = variant.encoding.format().media_type();
        let facts =
            RenditionFacts { media_type, bytes: bytes.len() as u64, is_streamed: false, etag: &quoted, last_modified };
        Ok(Rendition {
            headers: self.headers.rendition(&facts)?,
            bytes,
            validators: Validators { etag, last_modified: Some(last_modified) },
            retention: self.freshness.since(provenance.checked_at),
            provenance,
        })
    }

    /// A rendition of `variant` that is streamed from the object `key`. Its validators are those of the same rendition in
    /// memory.
    pub(in crate::variants) fn stored(
        &self,
        key: &ObjectKey,
        variant: &Variant,
        LargeVariant { bytes, fingerprint, store_etag, last_modified }: LargeVariant,
        provenance: Provenance,
    ) -> Result<StoredRendition, Error> {
        let quoted = format!("\"{fingerprint}\"");
        let etag = quoted.parse::<headers::ETag>().map_err(|_| Error::Internal)?;
        let media_type = variant.encoding.format().media_type();
        let facts = RenditionFacts { media_type, bytes, is_streamed: true, etag: &quoted, last_modified };
        Ok(StoredRendition {
            headers: self.headers.rendition(&facts)?,
            key: key.clone(),
            bytes,
            store_etag,
            validators: Validators { etag, last_modified: Some(last_modified) },
            permit: self.memory.try_acquire(0).map(Arc::new),
            retention: self.freshness.since(provenance.checked_at),
            provenance,
        })
    }

    /// A redirect to the public URL of the object `key`. The version in the query prevents caches from serving a copy
    /// of an older variant.
    pub(in crate::variants) fn redirect(
        &self,
        key: &ObjectKey,
        version: &str,
        provenance: Provenance,
    ) -> Result<Redirect, Error> {
        let base = self.store.public_url(key).ok_or(Error::Internal)?;
        Ok(Redirect {
            headers: self.headers.redirect(&format!("{base}?v={version}"))?,
            version: version.into(),
            permit: self.memory.try_acquire(0).map(Arc::new),
            retention: self.freshness.since(provenance.checked_at),
            provenance,
        })
    }
}
