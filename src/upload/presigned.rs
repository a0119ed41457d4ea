//! Presigned uploads: clients send files directly to the bucket.
//!
//! A presigned URL allows its holder to write one object under a prefix that is never served. The completion then
//! ingests that object like any other upload. Therefore, an unchecked file never has a key that is served, and reusing
//! the URL later has no effect.

use std::time::{Duration, SystemTime};

use futures_util::{StreamExt, TryStreamExt};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::error::{PresignUnavailable, UploadError};
use super::form::FormFields;
use super::grant::{GrantError, GrantSigner, UploadGrant};
use super::ingest::{Ingestor, SharedParts};
use super::percent;
use super::receive::Receiver;
use super::request::{Target, UploadRequest};
use super::response::{self, UploadResponse};
use super::stored::UploadId;
use super::token::Caller;
use crate::config::Config;
use crate::origin::{Presigner, Store};
use crate::support::{hex, unix_time};
use crate::variant::ObjectKey;

/// Signs URLs and completes the uploads that were sent to them.
pub(super) struct PresignedUploads {
    originals: Store,
    presigner: Presigner,
    signer: GrantSigner,
    /// Time within which the client must start to send the file.
    lifetime: Duration,
    /// Time from the signature to the completion.
    complete_time: Duration,
    complete_url: String,
    /// Limit for requests to the store, and for each pause while a file is read.
    store_timeout: Duration,
    shared: SharedParts,
}

/// Body of `POST /upload/sign`: the client describes the file that it will send.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignRequest {
    content_type: String,
    bytes: u64,
    key: Option<String>,
    sha256: Option<String>,
}

/// Key prefix of files whose uploads are not completed yet. The prefix is reserved, so requests cannot name it.
const INCOMING: &str = ".resized-incoming/";

/// How long the response waits until the file of a completed upload is deleted. The deletion goes on afterwards.
const DELETION_WAIT: Duration = Duration::from_millis(500);

impl PresignedUploads {
    pub(super) fn new(config: &Config, originals: &Store, shared: SharedParts) -> Result<Self, PresignUnavailable> {
        let upload = &config.upload;
        let presigner = originals.presigner(&upload.presigned_endpoint).ok_or(PresignUnavailable::Bucket)?;
        if config.s3.anonymous {
            return Err(PresignUnavailable::Credentials);
        }
        if upload.secret.is_empty() {
            return Err(PresignUnavailable::Secret);
        }
        let base_url = [&upload.base_url, &config.server.public_url].into_iter().find(|url| !url.is_empty());
        let base_url = base_url.ok_or(PresignUnavailable::BaseUrl)?;
        Ok(Self {
            originals: originals.clone(),
            presigner,
            signer: GrantSigner::new(&upload.secret),
            lifetime: upload.presigned_lifetime,
            complete_time: upload.presigned_lifetime + upload.total_timeout,
            complete_url: format!("{}/upload/complete?ticket=", base_url.trim_end_matches('/')),
            store_timeout: config.s3.operation_timeout,
            shared,
        })
    }

    /// Signs a URL to which the client can send one file of the given type and length.
    pub(super) async fn sign(
        &self,
        ingestor: &Ingestor,
        caller: Caller,
        request: SignRequest,
    ) -> Result<UploadResponse, UploadError> {
        ingestor.check_type(&request.content_type)?;
        if request.bytes == 0 {
            return Err(UploadError::BadRequest("\"bytes\" must be the length of the file, at least 1".into()));
        }
        if request.bytes > caller.bytes_max {
            return Err(UploadError::TooLarge { bytes_max: caller.bytes_max });
        }
        if request.sha256.as_ref().is_some_and(|sha256| hex::decode::<32>(sha256).is_none()) {
            return Err(UploadError::BadRequest("\"sha256\" must be 64 hexadecimal digits".into()));
        }
        let key = request.key.map(|key| ingestor.parse_key(&caller, &percent::url_path(&key))).transpose()?;
        if let Some(key) = &key {
            ingestor.check_target(&Target::Key(key.clone())).await?;
        }
        let now = SystemTime::now();
        let grant = UploadGrant {
            id: Uuid::new_v4(),
            issued: unix_time::millis(now),
            expires: unix_time::millis(now + self.complete_time),
            name: caller.name,
            prefix: caller.prefix,
            key: key.map(|key| key.to_string()),
            content_type: request.content_type,
            bytes: request.bytes,
            sha256: request.sha256,
        };
        let url = self.presigner.put(&incoming_key(grant.id)?, &grant.content_type, grant.bytes, self.lifetime).await;
        let url = url.map_err(|error| UploadError::from_store(&error))?;
        let signed_grant = self.signer.sign(&grant)?;
        let body = json!({
            "method": "PUT",
            "url": url,
            "headers": { "content-type": grant.content_type },
            "expires": humantime::format_rfc3339_seconds(now + self.lifetime).to_string(),
            "complete": format!("{}{signed_grant}", self.complete_url),
        });
        let mut response = response::json(StatusCode::OK, &body)?;
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    /// Reads the grant in the query string of a completion.
    ///
    /// # Errors
    /// The grant is missing, forged or expired.
    pub(super) fn grant(&self, query: Option<&str>) -> Result<UploadGrant, UploadError> {
        let parameters = query.unwrap_or_default().split('&');
        let text = parameters.filter_map(|parameter| parameter.strip_prefix("ticket=")).next().unwrap_or_default();
        self.signer.verify(text, SystemTime::now()).map_err(|error| match error {
            GrantError::Forged => UploadError::InvalidGrant,
            GrantError::Expired => UploadError::Forbidden("this completion URL has expired; sign a new one".into()),
        })
    }

    /// Ingests the file that the client sent. The file is then deleted, even if it was rejected. After a temporary
    /// error the file is kept, so that the completion can be repeated.
    pub(super) async fn complete(
        &self,
        ingestor: &Ingestor,
        receiver: &Receiver,
        grant: &UploadGrant,
        request: UploadRequest,
    ) -> Result<UploadResponse, UploadError> {
        let key = incoming_key(grant.id)?;
        let result = self.ingest_incoming(ingestor, receiver, &key, grant.bytes, request).await;
        let is_settled = result.as_ref().map_or_else(UploadError::is_permanent, |_| true);
        if is_settled {
            let deletion = self.shared.tasks.spawn(delete(self.originals.clone(), key));
            let _ = tokio::time::timeout(DELETION_WAIT, deletion).await;
        }
        result
    }

    async fn ingest_incoming(
        &self,
        ingestor: &Ingestor,
        receiver: &Receiver,
        key: &ObjectKey,
        bytes: u64,
        request: UploadRequest,
    ) -> Result<UploadResponse, UploadError> {
        ingestor.check_target(&request.target).await?;
        let object = tokio::time::timeout(self.store_timeout, self.originals.get(key, None)).await;
        let object = object.map_err(|_| UploadError::StoreTimeout)?;
        let object = object.map_err(|error| UploadError::from_store(&error))?;
        let object = object.ok_or(UploadError::NotUploaded)?;
        if object.meta.bytes != bytes {
            let actual = object.meta.bytes;
            let detail = format!("the file has {actual} bytes, but the URL was signed for {bytes}");
            return Err(UploadError::Unprocessable(detail));
        }
        let body = object.body.map_err(|error| UploadError::from_store(&error)).boxed();
        let receiver = Receiver { read_timeout: self.store_timeout, ..receiver.clone() };
        let received = receiver.receive(body, bytes).await.map_err(|error| match error {
            UploadError::Timeout => UploadError::StoreTimeout,
            error => error,
        })?;
        ingestor.ingest(request, received, FormFields::new([].into())).await
    }
}

impl UploadGrant {
    /// The holder of the token with which the URL was requested.
    pub(super) fn caller(&self) -> Caller {
        Caller { name: self.name.clone(), prefix: self.prefix.clone(), bytes_max: self.bytes }
    }

    pub(super) fn target(&self) -> Result<Target, UploadError> {
        let Some(key) = &self.key else { return Ok(Target::Generated) };
        Ok(Target::Key(ObjectKey::new(key).map_err(|error| UploadError::BadRequest(error.to_string()))?))
    }

    /// Id of the upload, the same for each completion, so that a repeated completion causes no second event.
    pub(super) fn upload_id(&self) -> UploadId {
        UploadId { uuid: self.id, time: self.issued() }
    }
}

/// Deletes the file of a completed upload.
async fn delete(originals: Store, key: ObjectKey) {
    if let Err(error) = originals.delete(&key, None).await {
        tracing::warn!(%key, %error, "incoming file not deleted; the lifecycle rule of the bucket will delete it");
    }
}

fn incoming_key(id: Uuid) -> Result<ObjectKey, UploadError> {
    ObjectKey::new(&format!("{INCOMING}{}", id.simple())).map_err(|_| UploadError::Internal)
}
