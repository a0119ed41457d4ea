//! What the operator tries out: a variant of a picture at hand, and the pictures there are.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::error::Failure;
use super::{Body, Proxy, full, with_headers};
use crate::origin::StoreError;
use crate::variant::Named;
use crate::variants::rendition::SERVER_TIMING;

impl Proxy {
    /// Answers with what `path` asks for, made of `original` in place of a stored one. Nothing is stored, remembered or counted
    /// as a request; limits, tickets and threads are those of all others.
    pub async fn try_out(&self, path: &str, original: Bytes) -> Response<Body> {
        self.tried(path, original).await.unwrap_or_else(|failure| self.problem(&failure))
    }

    async fn tried(&self, path: &str, original: Bytes) -> Result<Response<Body>, Failure> {
        let named = self.grammar.parse(path).map_err(|error| Failure::BadPath(error.to_string().into()))?;
        let Named::Variant(addressed) = named else {
            return Err(Failure::NotFound("no size is in this name: write cat_300x200.jpg".into()));
        };
        let (bytes, steps) = self.maker.alone(&addressed.variant, original).await?;
        let mut headers = HeaderMap::with_capacity(4);
        let media_type = addressed.variant.encoding.format().media_type();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        if let Some(steps) = steps.header() {
            headers.insert(SERVER_TIMING, steps);
        }
        Ok(with_headers(StatusCode::OK, headers, full(bytes)))
    }

    /// Names of the first `objects_max` originals, as URL paths.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn some_originals(&self, objects_max: usize) -> Result<Vec<String>, StoreError> {
        let page = self.originals.list("", None, objects_max).await?;
        Ok(page.objects.iter().map(|object| object.key.url_path()).collect())
    }
}
