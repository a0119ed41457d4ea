//! Checks the bytes of an upload against the digests that the client sent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;

use super::error::UploadError;
use crate::support::hex;

/// Digests of the bytes that were received.
#[derive(Debug)]
pub(super) struct ComputedDigests {
    pub(super) sha256: [u8; 32],
    pub(super) md5: [u8; 16],
}

/// Digests that the client sent, if any.
#[derive(Debug, Clone, Default)]
pub(super) struct ExpectedDigests {
    sha256: Option<[u8; 32]>,
    md5: Option<[u8; 16]>,
}

impl ExpectedDigests {
    /// Reads the hexadecimal digest of an upload grant.
    pub(super) fn from_sha256(sha256: Option<&str>) -> Self {
        Self { sha256: sha256.and_then(hex::decode), md5: None }
    }

    /// Reads `Content-MD5` (RFC 1864), `Content-Digest` and `Repr-Digest` (RFC 9530). Algorithms other
    /// than SHA-256 and MD5 are ignored.
    ///
    /// # Errors
    /// A value is not Base64, or its length is wrong for its algorithm.
    pub(super) fn from_headers(headers: &HeaderMap) -> Result<Self, UploadError> {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?").to_owned());
        let mut digests = Self::default();
        if let Some(md5) = text("content-md5") {
            digests.md5 = Some(decode(&md5)?);
        }
        for list in ["content-digest", "repr-digest"].into_iter().filter_map(text) {
            for member in list.split(',') {
                digests.add(member.trim())?;
            }
        }
        Ok(digests)
    }

    fn add(&mut self, member: &str) -> Result<(), UploadError> {
        let Some((algorithm, value)) = member.split_once('=') else {
            return Err(UploadError::BadRequest("write a digest as algorithm=value".into()));
        };
        // Structured fields enclose bytes in colons.
        let value = value.trim_matches(':');
        match algorithm.to_ascii_lowercase().as_str() {
            "sha-256" => self.sha256 = Some(decode(value)?),
            "md5" => self.md5 = Some(decode(value)?),
            _ => {}
        }
        Ok(())
    }

    /// # Errors
    /// The received bytes have a different digest.
    pub(super) fn check(&self, computed: &ComputedDigests) -> Result<(), UploadError> {
        if self.sha256.is_none_or(|sha256| sha256 == computed.sha256) && self.md5.is_none_or(|md5| md5 == computed.md5)
        {
            return Ok(());
        }
        Err(UploadError::BadRequest("the received bytes do not match the digest that was sent; send them again".into()))
    }
}

fn decode<const N: usize>(value: &str) -> Result<[u8; N], UploadError> {
    let bytes = STANDARD.decode(value.trim()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| UploadError::BadRequest(format!("the digest is not {N} bytes in Base64")))
}
