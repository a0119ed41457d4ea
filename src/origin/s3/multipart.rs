//! Writes spooled uploads: those of at most one part with one PUT, others with S3's multipart upload.
//!
//! All waits of one upload share a deadline, which only the transfer of a part restarts.
//!
//! Requires the permission `s3:AbortMultipartUpload` in addition to the permissions listed in [`super`].

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::error::{DisplayErrorContext, SdkError};
use aws_sdk_s3::operation::complete_multipart_upload::CompleteMultipartUploadError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;

use super::sdk_error::{status, store_error};
use super::{CONFLICT_PAUSES_MS, S3Store, stored_etag};
use crate::config::{UPLOAD_PART_BYTES_MIN, upload_part_bytes};
use crate::origin::error::StoreError;
use crate::origin::object::{Attributes, Precondition, PutOutcome};
use crate::origin::spool::Spool;
use crate::origin::timeout::with_timeout;
use crate::origin::upload_buffers::UploadBuffers;
use crate::support::backoff::jitter;
use crate::support::deadline::Deadline;
use crate::support::priority;
use crate::variant::ObjectKey;

/// How long a failed upload waits until its parts are deleted. The deletion goes on afterwards.
const ABORT_WAIT: Duration = Duration::from_millis(500);

impl S3Store {
    pub(in crate::origin) async fn put_spooled(
        self: &Arc<Self>,
        key: &ObjectKey,
        spool: &Spool,
        attributes: &Attributes,
        precondition: Precondition,
        (buffers, deadline): (&UploadBuffers, &Deadline),
    ) -> Result<PutOutcome, StoreError> {
        let bytes = spool.bytes();
        let file = spool.reader()?;
        if bytes <= UPLOAD_PART_BYTES_MIN {
            let _memory = buffers.send(bytes, deadline).await?;
            let whole = read(file, 0, bytes).await?;
            return within(deadline, self.put(key, whole, attributes, precondition)).await;
        }
        let upload = within(deadline, self.begin(key, attributes)).await?;
        let outcome = match self.send_parts(key, &upload, (file, bytes), (buffers, deadline)).await {
            Ok(parts) => within(deadline, self.complete(key, &upload, parts, &precondition)).await,
            Err(error) => Err(error),
        };
        if !matches!(outcome, Ok(PutOutcome::Stored(_))) {
            let (store, key) = (self.clone(), key.clone());
            let abort = tokio::spawn(async move { store.abort(&key, &upload).await });
            let _ = tokio::time::timeout(ABORT_WAIT, abort).await;
        }
        outcome
    }

    async fn begin(&self, key: &ObjectKey, attributes: &Attributes) -> Result<String, StoreError> {
        let _permit = self.permit().await?;
        let request = self.client.create_multipart_upload().bucket(&self.bucket).key(self.key(key));
        let request = request.content_type(&attributes.content_type).cache_control(&attributes.cache_control);
        let request = request.set_metadata(Some(attributes.metadata.iter().cloned().collect()));
        let upload = request.send().await.map_err(store_error)?.upload_id;
        upload.ok_or_else(|| StoreError::Other { source: "the response of S3 has no upload id".into() })
    }

    async fn send_parts(
        &self,
        key: &ObjectKey,
        upload: &str,
        (file, bytes): (File, u64),
        (buffers, deadline): (&UploadBuffers, &Deadline),
    ) -> Result<Vec<CompletedPart>, StoreError> {
        let part_bytes = upload_part_bytes(bytes);
        let mut parts = Vec::new();
        for (number, first) in (1_i32..).zip((0..bytes).step_by(usize::try_from(part_bytes).unwrap_or(usize::MAX))) {
            let part_bytes = part_bytes.min(bytes - first);
            let _memory = buffers.send(part_bytes, deadline).await?;
            let file = file.try_clone().map_err(StoreError::from_io)?;
            let part = read(file, first, part_bytes).await?;
            parts.push(within(deadline, self.send_part(key, upload, number, part)).await?);
            deadline.restart();
        }
        Ok(parts)
    }

    async fn send_part(
        &self,
        key: &ObjectKey,
        upload: &str,
        number: i32,
        part: Bytes,
    ) -> Result<CompletedPart, StoreError> {
        let _permit = self.permit().await?;
        let request = self.client.upload_part().bucket(&self.bucket).key(self.key(key)).upload_id(upload);
        let sent = request.part_number(number).body(ByteStream::from(part)).send().await.map_err(store_error)?;
        Ok(CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).build())
    }

    async fn complete(
        &self,
        key: &ObjectKey,
        upload: &str,
        parts: Vec<CompletedPart>,
        precondition: &Precondition,
    ) -> Result<PutOutcome, StoreError> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let mut pauses = CONFLICT_PAUSES_MS.into_iter().map(Duration::from_millis);
        loop {
            let _permit = self.permit().await?;
            match self.complete_once(key, upload, parts.clone(), precondition).await {
                Ok(etag) => return Ok(PutOutcome::Stored(stored_etag(etag))),
                Err(error) if status(&error) == Some(412) => return Ok(PutOutcome::PreconditionFailed),
                Err(error) if status(&error) == Some(409) && *precondition != Precondition::None => {
                    let Some(pause) = pauses.next() else { return Err(store_error(error)) };
                    tokio::time::sleep(pause + jitter(pause)).await;
                }
                Err(error) => return Err(store_error(error)),
            }
        }
    }

    async fn complete_once(
        &self,
        key: &ObjectKey,
        upload: &str,
        parts: CompletedMultipartUpload,
        precondition: &Precondition,
    ) -> Result<Option<String>, SdkError<CompleteMultipartUploadError>> {
        let (absent, matches) = match precondition {
            Precondition::None => (None, None),
            Precondition::Absent => (Some("*".to_owned()), None),
            Precondition::Matches(etag) => (None, Some(etag.to_string())),
        };
        let request = self.client.complete_multipart_upload().bucket(&self.bucket).key(self.key(key));
        let request = request.upload_id(upload).multipart_upload(parts);
        Ok(request.set_if_none_match(absent).set_if_match(matches).send().await?.e_tag)
    }

    async fn abort(&self, key: &ObjectKey, upload: &str) {
        let request = self.client.abort_multipart_upload().bucket(&self.bucket).key(self.key(key)).upload_id(upload);
        match with_timeout(self.operation_timeout, request.send()).await {
            Ok(Ok(_)) => {}
            // The upload was completed, but the response was lost.
            Ok(Err(error)) if status(&error) == Some(404) => {}
            Ok(Err(error)) => {
                let error = DisplayErrorContext(&error).to_string();
                tracing::error!(%key, error, "multipart upload not aborted; its parts may be left in the bucket");
            }
            Err(error) => {
                tracing::error!(%key, %error, "multipart upload not aborted; its parts may be left in the bucket")
            }
        }
    }
}

/// Runs one step of an upload.
async fn within<T>(deadline: &Deadline, step: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    deadline.run(step).await.unwrap_or_else(|elapsed| Err(StoreError::Timeout { source: elapsed.into() }))
}

/// Reads a part of the file on a blocking thread.
async fn read(file: File, first: u64, bytes: u64) -> Result<Bytes, StoreError> {
    let read = priority::blocking(move || {
        let mut part = vec![0; usize::try_from(bytes).unwrap_or_default()];
        file.read_exact_at(&mut part, first).map(|()| Bytes::from(part))
    });
    read.await.map_err(|panic| StoreError::Other { source: panic.into() })?.map_err(StoreError::from_io)
}
