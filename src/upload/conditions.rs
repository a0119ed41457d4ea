//! Checks the header of an upload: the preconditions of the write, and limits that are checked before the body is read.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, IF_MATCH, IF_NONE_MATCH};

use super::error::UploadError;
use super::form;
use crate::config::Overwrite;
use crate::origin::Precondition;

/// Conditions for writing the original.
#[derive(Debug, Clone)]
pub(super) struct WriteConditions {
    /// Precondition in the header of the request.
    requested: Option<Precondition>,
    overwrite: Overwrite,
}

impl WriteConditions {
    /// Reads `If-Match` and `If-None-Match`.
    ///
    /// # Errors
    /// Both headers are set, or their values are not supported.
    pub(super) fn from_headers(headers: &HeaderMap, overwrite: Overwrite) -> Result<Self, UploadError> {
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default().trim());
        let requested = match (text(IF_MATCH), text(IF_NONE_MATCH)) {
            (None, None) => None,
            (None, Some("*")) => Some(Precondition::Absent),
            (Some(etag), None) if is_strong_etag(etag) => Some(Precondition::Matches(etag.into())),
            _ => {
                let detail = "send If-None-Match: *, or If-Match with one strong ETag";
                return Err(UploadError::BadRequest(detail.into()));
            }
        };
        if overwrite == Overwrite::Never && matches!(requested, Some(Precondition::Matches(_))) {
            return Err(UploadError::Conflict);
        }
        Ok(Self { requested, overwrite })
    }

    /// True if the client sent a precondition.
    pub(super) fn are_requested(&self) -> bool {
        self.requested.is_some()
    }

    /// Returns the precondition of the write. A generated key never replaces an object.
    pub(super) fn precondition(&self, is_generated: bool) -> Precondition {
        match (&self.requested, self.overwrite) {
            (_, _) if is_generated => Precondition::Absent,
            (Some(requested), _) => requested.clone(),
            (None, Overwrite::Never) => Precondition::Absent,
            (None, Overwrite::Always) => Precondition::None,
        }
    }
}

/// Rejects an upload before its body is read, so that a client that sent `Expect: 100-continue` need not send the body.
pub(super) fn check_headers(headers: &HeaderMap, bytes_max: u64) -> Result<(), UploadError> {
    if headers.get(CONTENT_ENCODING).is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(UploadError::UnsupportedType("send the image itself, without Content-Encoding".into()));
    }
    // The file in a form is counted while it is received.
    let overhead = if form::boundary(headers).is_some() { form::OVERHEAD_BYTES_MAX } else { 0 };
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > bytes_max.saturating_add(overhead)) {
        return Err(UploadError::TooLarge { bytes_max });
    }
    Ok(())
}

fn is_strong_etag(etag: &str) -> bool {
    etag.starts_with('"') && etag.ends_with('"') && etag.matches('"').count() == 2
}
