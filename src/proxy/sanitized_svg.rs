//! Serves SVG originals without their scripts, from memory: the length and the validators of a sanitized file are not those
//! of its original.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_SECURITY_POLICY, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, Method, Response};

use super::error::RequestError;
use super::original::describe;
use super::request::preconditions::{BodySelection, evaluate};
use super::response::headers::ResponsePolicy;
use super::response::{Body, empty, full, respond, slice};
use crate::origin::ObjectMeta;
use crate::resize::sanitizing_bytes;
use crate::support::open_bodies::{BodyPermit, TooManyBodies};
use crate::variant::ObjectKey;
use crate::variants::{Error, Validators, Variants};

/// Media type of SVG (SVG 2, appendix D).
pub(super) const SVG: &str = "image/svg+xml";

/// Blocks the requests that the sanitizer leaves in style sheets, and all that it may have missed, when the file is opened as a
/// page: scripts, plugins and forms.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox";

/// Added to the ETag of an original. It changes whenever the same original gives different bytes, which a test of the sanitizer
/// tells.
const ETAG_SUFFIX: &str = "-svg1";

/// Sanitizes and serves SVG originals.
#[derive(Debug)]
pub(super) struct SanitizedSvgs {
    pub(super) variants: Variants,
    pub(super) policy: Arc<ResponsePolicy>,
}

/// A request for an SVG original.
pub(super) struct SvgRequest<'a> {
    pub(super) client: IpAddr,
    pub(super) method: &'a Method,
    pub(super) key: &'a ObjectKey,
    pub(super) headers: &'a HeaderMap,
}

impl SanitizedSvgs {
    /// Responds with the sanitized file; `None` if the original is not that of `meta` anymore. A body needs a `permit` for
    /// its bytes, which is acquired before the file is sanitized. A HEAD request is answered with the headers of the whole
    /// file. The date of the original is not that of the sanitized file, which also depends on this program.
    pub(super) async fn respond(
        &self,
        request: &SvgRequest<'_>,
        meta: &ObjectMeta,
        permit: &impl Fn(u64) -> Result<BodyPermit, TooManyBodies>,
    ) -> Result<Option<Response<Body>>, RequestError> {
        let SvgRequest { client, method, key, headers: conditions } = *request;
        let sanitized_meta = ObjectMeta { etag: derived_etag(&meta.etag), ..meta.clone() };
        let (mut headers, validators) = describe(&self.policy, &sanitized_meta, Some(SVG))?;
        let validators = Validators { last_modified: None, ..validators };
        headers.remove(LAST_MODIFIED);
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        // The preconditions need no bytes. HEAD has no range, so no length is compared.
        if evaluate(&Method::HEAD, conditions, &validators, 0)? == BodySelection::NotModified {
            return Ok(Some(respond(headers, &BodySelection::NotModified, 0, empty)));
        }
        sanitizing_bytes(meta.bytes).map_err(|error| Error::Unprocessable(error.to_string().into()))?;
        let permit = if *method == Method::HEAD { None } else { Some(permit(meta.bytes)?) };
        let Some(bytes) = self.variants.sanitized_svg(key, &meta.etag, client).await? else { return Ok(None) };
        let length = bytes.len() as u64;
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        let selection = evaluate(method, conditions, &validators, length)?;
        let Some(permit) = permit else { return Ok(Some(respond(headers, &selection, length, empty))) };
        let body = match &selection {
            BodySelection::Range(range) => slice(&bytes, range),
            BodySelection::Full | BodySelection::NotModified => bytes,
        };
        Ok(Some(respond(headers, &selection, length, || full(permit.attach(body)))))
    }
}

/// The ETag of the sanitized file (RFC 9110 section 8.8.3): the same original gives the same bytes.
fn derived_etag(etag: &str) -> Box<str> {
    match etag.strip_suffix('"') {
        Some(start) => format!("{start}{ETAG_SUFFIX}\"").into(),
        None => etag.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_of_sanitized_files_differ_from_those_of_originals_and_stay_valid() {
        assert_eq!(&*derived_etag("\"abc-2\""), "\"abc-2-svg1\"");
        assert_eq!(&*derived_etag("W/\"abc\""), "W/\"abc-svg1\"");
        assert!(derived_etag("\"abc\"").parse::<headers::ETag>().is_ok());
    }
}
