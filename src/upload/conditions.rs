//! What the header of an upload asks for: when it may be written, and what its bytes have to be.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, IF_MATCH, IF_NONE_MATCH};

use super::error::Refusal;
use super::receive::Hashes;
use crate::config::Overwrite;
use crate::origin::Precondition;
use crate::support::hex;

/// When the original may be written.
#[derive(Debug, Clone)]
pub(super) struct Conditions {
    clients: Option<Precondition>,
    overwrite: Overwrite,
}

/// Hashes that the client sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Digests {
    sha256: Option<Vec<u8>>,
    md5: Option<Vec<u8>>,
}

impl Conditions {
    /// # Errors
    /// Conditions that cannot be kept: more than one ETag, or both headers.
    pub(super) fn read(headers: &HeaderMap, overwrite: Overwrite) -> Result<Self, Refusal> {
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default().trim());
        let unusable = || Refusal::BadRequest("send If-None-Match: *, or If-Match with one strong ETag".into());
        let clients = match (text(IF_MATCH), text(IF_NONE_MATCH)) {
            (None, None) => None,
            (None, Some("*")) => Some(Precondition::Absent),
            (Some(etag), None) if etag.starts_with('"') && etag.ends_with('"') && etag.matches('"').count() == 2 => {
                Some(Precondition::Matches(etag.into()))
            }
            _ => return Err(unusable()),
        };
        if overwrite == Overwrite::Never && matches!(clients, Some(Precondition::Matches(_))) {
            return Err(Refusal::Conflict);
        }
        Ok(Self { clients, overwrite })
    }

    pub(super) fn are_the_clients(&self) -> bool {
        self.clients.is_some()
    }

    /// Generated keys never replace anything.
    pub(super) fn precondition(&self, is_generated: bool) -> Precondition {
        match (&self.clients, self.overwrite) {
            (_, _) if is_generated => Precondition::Absent,
            (Some(clients), _) => clients.clone(),
            (None, Overwrite::Never) => Precondition::Absent,
            (None, Overwrite::Always) => Precondition::None,
        }
    }
}

/// What can be refused before any of the body is read, so that a client that sent `Expect: 100-continue` sends none.
pub(super) fn check_header(headers: &HeaderMap, bytes_max: u64) -> Result<(), Refusal> {
    if headers.get(CONTENT_ENCODING).is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Refusal::Type("send the picture itself, without Content-Encoding".into()));
    }
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    // A form has its boundaries and other fields besides; the file itself is counted as it comes.
    let most = bytes_max.saturating_add(super::form::EXTRA_BYTES_MAX);
    let most = if super::form::boundary(headers).is_some() { most } else { bytes_max };
    if length.is_some_and(|length| length > most) {
        return Err(Refusal::TooLarge { bytes_max });
    }
    Ok(())
}

impl Digests {
    /// The one that a ticket has.
    pub(super) fn of_sha256(sha256: Option<&str>) -> Self {
        Self { sha256: sha256.and_then(unhex_sha256), md5: None }
    }

    /// `Content-MD5` (RFC 1864), `Digest` (RFC 3230), `Content-Digest` and `Repr-Digest` (RFC 9530); algorithms not known here are passed over.
    ///
    /// # Errors
    /// A value that is not Base64, or that is not as long as its algorithm makes it.
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, Refusal> {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?").to_owned());
        let mut digests = Self::default();
        if let Some(md5) = text("content-md5") {
            digests.md5 = Some(decode(&md5, 16)?);
        }
        let lists = ["digest", "content-digest", "repr-digest"].into_iter().filter_map(text);
        for member in lists.flat_map(|list| list.split(',').map(|member| member.trim().to_owned()).collect::<Vec<_>>())
        {
            let Some((algorithm, value)) = member.split_once('=') else {
                return Err(Refusal::BadRequest("a digest is written as algorithm=value".into()));
            };
            // Structured fields have their bytes between colons.
            let value = value.trim_matches(':');
            match algorithm.to_ascii_lowercase().as_str() {
                "sha-256" => digests.sha256 = Some(decode(value, 32)?),
                "md5" => digests.md5 = Some(decode(value, 16)?),
                _ => {}
            }
        }
        Ok(digests)
    }

    /// # Errors
    /// The bytes that came are others than the client meant to send.
    pub(super) fn check(&self, hashes: &Hashes) -> Result<(), Refusal> {
        let agrees = |sent: &Option<Vec<u8>>, is: &Vec<u8>| sent.as_ref().is_none_or(|sent| sent == is);
        if agrees(&self.sha256, &hashes.sha256) && agrees(&self.md5, &hashes.md5) {
            return Ok(());
        }
        Err(Refusal::BadRequest("the bytes that came have another digest than the header says; send them again".into()))
    }
}

/// A SHA-256 in hexadecimal digits.
pub(super) fn unhex_sha256(text: &str) -> Option<Vec<u8>> {
    hex::decode::<32>(text).map(Vec::from)
}

fn decode(value: &str, bytes: usize) -> Result<Vec<u8>, Refusal> {
    let decoded = STANDARD.decode(value.trim()).ok().filter(|decoded| decoded.len() == bytes);
    decoded
        .ok_or_else(|| Refusal::BadRequest("a digest is not the Base64 of as many bytes as its algorithm has".into()))
}
