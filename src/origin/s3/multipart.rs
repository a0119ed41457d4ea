//! Writes spooled uploads: small ones with one PUT, others with S3's multipart upload.
//!
//! Needs the permission `s3:AbortMultipartUpload` in addition to those of [`super`].

use std::fs::File;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use http::header::ETAG;
use http::{HeaderMap, Method};
use tokio::sync::Semaphore;

use super::client::S3Client;
use super::conflict::retry_conflicts;
use super::error::S3Error;
use super::request::S3Request;
use super::xml::text_of;
use crate::origin::error::StoreError;
use crate::origin::object::{Attributes, Precondition, PutOutcome};
use crate::support::priority;

/// Objects up to this size are written with one PUT. S3 requires at least 5 MiB of all parts but the last.
pub(super) const PART_BYTES_MIN: u64 = 8 << 20;

/// A limit of S3 (Amazon S3 User Guide, "Amazon S3 multipart upload limits").
const PARTS_PER_UPLOAD_MAX: u64 = 10_000;

/// Parts in memory at once, of all uploads together: 16 MiB unless an object is larger than 80 GB.
pub(super) const PARTS_IN_MEMORY_MAX: usize = 2;

/// One upload in parts.
pub(super) struct MultipartUpload<'a> {
    pub(super) client: &'a S3Client,
    /// URL of the object.
    pub(super) url: String,
    /// Permits for parts in memory.
    pub(super) parts: &'a Semaphore,
    /// Permits for requests.
    pub(super) requests: &'a Semaphore,
}

/// A part that S3 has stored.
struct Part {
    number: u64,
    etag: String,
}

impl MultipartUpload<'_> {
    /// Writes the first `bytes` of `file`. Removes the parts if that fails.
    pub(super) async fn write(
        &self,
        file: File,
        bytes: u64,
        attributes: &Attributes,
        precondition: &Precondition,
    ) -> Result<PutOutcome, StoreError> {
        let id = self.begin(attributes).await?;
        let outcome = match self.send_parts(&id, file, bytes).await {
            Ok(parts) => self.complete(&id, &parts, precondition).await,
            Err(error) => Err(error),
        };
        if !matches!(outcome, Ok(PutOutcome::Stored(_))) {
            self.abort(&id).await;
        }
        outcome
    }

    async fn begin(&self, attributes: &Attributes) -> Result<String, StoreError> {
        let _permit = self.requests.acquire().await.map_err(|_| StoreError::Busy)?;
        let request = S3Request::new(Method::POST, self.url.clone()).with_query("uploads", "");
        let document = self.client.send_for_document(&request.with_attributes(attributes)?).await?;
        let id = text_of(&document, "InitiateMultipartUploadResult/UploadId").filter(|id| !id.is_empty());
        id.ok_or_else(|| StoreError::other("the response of S3 has no upload id"))
    }

    async fn send_parts(&self, id: &str, file: File, bytes: u64) -> Result<Vec<Part>, StoreError> {
        let part_bytes = PART_BYTES_MIN.max(bytes.div_ceil(PARTS_PER_UPLOAD_MAX));
        let mut parts = Vec::new();
        for (number, first) in (1..).zip((0..bytes).step_by(usize::try_from(part_bytes).unwrap_or(usize::MAX))) {
            let _memory = self.parts.acquire().await.map_err(|_| StoreError::Busy)?;
            let file = file.try_clone().map_err(StoreError::from_io)?;
            let body = read(file, first, part_bytes.min(bytes - first)).await?;
            let _permit = self.requests.acquire().await.map_err(|_| StoreError::Busy)?;
            let request = S3Request::new(Method::PUT, self.url.clone());
            let request = request.with_query("partNumber", &number.to_string()).with_query("uploadId", id);
            let response = self.client.send(&request.with_body(body)).await?;
            parts.push(Part { number, etag: etag(response.headers()) });
        }
        Ok(parts)
    }

    async fn complete(&self, id: &str, parts: &[Part], precondition: &Precondition) -> Result<PutOutcome, StoreError> {
        let request = S3Request::new(Method::POST, self.url.clone()).with_query("uploadId", id);
        let request = request.with_precondition(precondition)?.with_body(completion(parts));
        let request = &request;
        let completed = retry_conflicts(precondition, move || async move {
            let _permit = self.requests.acquire().await.map_err(|_| StoreError::Busy)?;
            self.client.send_for_document(request).await
        });
        match completed.await {
            Ok(document) => {
                let etag = text_of(&document, "CompleteMultipartUploadResult/ETag").unwrap_or_default();
                Ok(PutOutcome::Stored(etag.into()))
            }
            Err(S3Error::Response(error)) if error.status == 412 => Ok(PutOutcome::PreconditionFailed),
            Err(error) => Err(error.into()),
        }
    }

    async fn abort(&self, id: &str) {
        let request = S3Request::new(Method::DELETE, self.url.clone()).with_query("uploadId", id);
        if let Err(error) = self.client.send(&request).await {
            let error = crate::support::error_chain::chain(&StoreError::from(error));
            tracing::error!(url = self.url, error, "cannot abort multipart upload; its parts may stay in the bucket");
        }
    }
}

/// The ETag of a response; empty if there is no such header.
pub(super) fn etag(headers: &HeaderMap) -> String {
    headers.get(ETAG).and_then(|etag| etag.to_str().ok()).unwrap_or_default().to_owned()
}

/// The document that completes an upload of `parts`.
fn completion(parts: &[Part]) -> Bytes {
    let parts = parts.iter().map(|Part { number, etag }| {
        let etag = quick_xml::escape::escape(etag.as_str());
        format!("<Part><ETag>{etag}</ETag><PartNumber>{number}</PartNumber></Part>")
    });
    let parts: String = parts.collect();
    let namespace = "http://s3.amazonaws.com/doc/2006-03-01/";
    format!("<CompleteMultipartUpload xmlns=\"{namespace}\">{parts}</CompleteMultipartUpload>").into()
}

/// Reads `bytes` of `file` from `first` on, on a blocking thread.
pub(super) async fn read(file: File, first: u64, bytes: u64) -> Result<Bytes, StoreError> {
    let read = priority::blocking(move || {
        let mut part = vec![0; usize::try_from(bytes).unwrap_or_default()];
        file.read_exact_at(&mut part, first).map(|()| Bytes::from(part))
    });
    read.await.map_err(StoreError::other)?.map_err(StoreError::from_io)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_completion_lists_the_parts_with_their_etags() {
        let parts = [Part { number: 1, etag: "\"a\"".into() }, Part { number: 2, etag: "\"b\"".into() }];
        let document = completion(&parts);
        let document = str::from_utf8(&document).unwrap();
        assert_eq!(text_of(document, "CompleteMultipartUpload/Part/ETag").as_deref(), Some("\"a\""));
        assert!(document.contains("<PartNumber>1</PartNumber>") && document.contains("<PartNumber>2</PartNumber>"));
    }
}
