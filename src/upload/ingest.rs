//! Ingests an upload whose body is complete: checks it, stores it and notifies the API, in this order.

use std::time::Duration;

use http::header::{ETAG, LOCATION};
use http::{HeaderValue, StatusCode};
use ring::digest::{SHA256, digest};
use tokio::sync::Semaphore;

use super::collisions::CollisionCheck;
use super::error::UploadError;
use super::form::FormFields;
use super::metadata::UploadMetadata;
use super::percent;
use super::receive::ReceivedUpload;
use super::request::{Target, UploadRequest, UploadSource, WriteKind};
use super::response::{self, UploadResponse};
use super::stored::{StoredOriginal, StoredUpload, UploadReceipt, UploadResult, rfc3339};
use super::template::{KeyTemplate, TemplateError, extension};
use super::token::Caller;
use super::write::{OriginalWrite, OriginalWriter, WriteOutcome, may_have_written};
use crate::config::{Config, Overwrite};
use crate::observability::metrics::UploadMetrics;
use crate::origin::{ObjectMeta, Precondition, Spool};
use crate::outbox::{ClaimedEntry, Notifier};
use crate::resize::{self, Limits, probe};
use crate::support::deadline::Deadline;
use crate::support::tasks::Tasks;
use crate::support::{hex, priority};
use crate::variant::{ObjectKey, ParsedPath};

/// Checks and stores originals.
pub(super) struct Ingestor {
    template: KeyTemplate,
    collisions: CollisionCheck,
    writer: OriginalWriter,
    notifier: Option<Notifier>,
    /// Accepted media types.
    types: Vec<String>,
    overwrite: Overwrite,
    base_url: String,
    limits: Limits,
    /// Permits to read image headers.
    probes: Semaphore,
    /// Limit for all requests to the stores after the body is complete, except for the transfer of parts.
    store_timeout: Duration,
    shared: SharedParts,
}

/// Parts that uploads share with the rest of the program.
#[derive(Debug, Clone)]
pub(super) struct SharedParts {
    pub(super) metrics: UploadMetrics,
    pub(super) tasks: Tasks,
}

/// Maximum number of image headers that are read at the same time. Each takes at most a few MiB for a few milliseconds.
const PROBES_MAX: usize = 4;

/// A request that is the first one of its upload thus ends by `s3.operation_timeout`, which the circuit breaker counts.
const TIMEOUT_MARGIN: Duration = Duration::from_millis(100);

impl Ingestor {
    pub(super) fn new(
        config: &Config,
        collisions: CollisionCheck,
        writer: OriginalWriter,
        notifier: Option<Notifier>,
        shared: SharedParts,
    ) -> Result<Self, TemplateError> {
        let upload = &config.upload;
        let base_url = if upload.base_url.is_empty() { &config.originals.public_url } else { &upload.base_url };
        Ok(Self {
            template: KeyTemplate::new(&upload.key_template)?,
            collisions,
            writer,
            notifier,
            types: upload.types.clone(),
            overwrite: upload.overwrite,
            base_url: base_url.trim_end_matches('/').to_owned(),
            limits: resize::limits(config),
            probes: Semaphore::new(PROBES_MAX),
            store_timeout: config.s3.operation_timeout,
            shared,
        })
    }

    /// Checks and stores a received body, notifies the API, and returns the response.
    pub(super) async fn ingest(
        &self,
        request: UploadRequest,
        received: ReceivedUpload,
        fields: FormFields,
    ) -> Result<UploadResponse, UploadError> {
        let deadline = Deadline::new(self.store_timeout);
        request.digests.check(&received.digests)?;
        let original = StoredOriginal { fields: fields.take(), ..self.inspect(&request, &received).await? };
        let key = ObjectKey::new(&original.key).map_err(|error| UploadError::BadRequest(error.to_string()))?;
        self.writer.check_storable(&key).await?;
        let turn = deadline.run(self.writer.turn(&key)).await.map_err(|_| UploadError::Overloaded)?;
        let stored = self.store(&request, &key, received.spool, original, &deadline).await?;
        let entry = self.record(&request, &key, &stored, &deadline).await?;
        drop(turn);
        let notified = match (&self.notifier, entry) {
            (Some(notifier), Some(entry)) => notifier.deliver(entry).await,
            _ => false,
        };
        let StoredUpload { result, original, event_id, .. } = stored;
        let status = match result {
            UploadResult::Created => StatusCode::CREATED,
            UploadResult::Duplicate => StatusCode::OK,
            UploadResult::Exists => return Err(UploadError::PreconditionFailed),
        };
        match result {
            UploadResult::Created => self.shared.metrics.record_stored(original.bytes),
            UploadResult::Duplicate | UploadResult::Exists => self.shared.metrics.record_duplicate(),
        }
        tracing::info!(
            key = original.key,
            bytes = original.bytes,
            token = request.caller.name,
            notified,
            "original stored"
        );
        receipt(status, &UploadReceipt { id: &event_id, stored: &original, notified })
    }

    /// Rejects chosen keys that cannot be stored, or whose objects would hide one another.
    pub(super) async fn check_target(&self, target: &Target) -> Result<(), UploadError> {
        let Target::Key(key) = target else { return Ok(()) };
        let deadline = Deadline::new(self.store_timeout + TIMEOUT_MARGIN);
        self.writer.check_storable(key).await?;
        self.collisions.check(key, &deadline).await
    }

    /// Rejects media types that `upload.types` does not list.
    pub(super) fn check_type(&self, content_type: &str) -> Result<(), UploadError> {
        if self.types.iter().any(|accepted| accepted == content_type) {
            return Ok(());
        }
        let accepted = self.types.join(", ");
        Err(UploadError::UnsupportedType(format!("{content_type} is not accepted; send {accepted}")))
    }

    /// Parses the key in a path. The caller must be allowed to write it, and the server must be able to serve it.
    pub(super) fn parse_key(&self, caller: &Caller, path: &str) -> Result<ObjectKey, UploadError> {
        let named = self.collisions.grammar.parse(path).map_err(|error| UploadError::BadRequest(error.to_string()))?;
        let key = match named {
            ParsedPath::Object(key, _) => key,
            // The path also names a variant of another original. The proxy serves this object if that original does not
            // exist.
            ParsedPath::Variant(addressed) => addressed.literal_key,
        };
        if !key.as_str().starts_with(&caller.prefix) {
            let detail = format!("this token may write only keys that start with {:?}", caller.prefix);
            return Err(UploadError::Forbidden(detail));
        }
        Ok(key)
    }

    /// Reads the type and size of the image, and determines the key.
    async fn inspect(&self, request: &UploadRequest, received: &ReceivedUpload) -> Result<StoredOriginal, UploadError> {
        let (file, limits) = (received.spool.reader().map_err(|e| UploadError::from_store(&e))?, self.limits);
        let _permit = self.probes.acquire().await.map_err(|_| UploadError::Internal)?;
        let probed = priority::blocking(move || probe(file, &limits)).await;
        let probed = probed.map_err(|_| UploadError::Unprocessable("the image header cannot be read".into()))?;
        let probed = probed.map_err(|error| UploadError::from_image(&error))?;
        self.check_type(probed.media_type)?;
        if matches!(&request.source, UploadSource::Presigned { content_type } if content_type != probed.media_type) {
            let detail = format!("the file is {}, but the URL was signed for another type", probed.media_type);
            return Err(UploadError::UnsupportedType(detail));
        }
        let sha256 = hex::encode(&received.digests.sha256);
        let time = rfc3339(request.id.time);
        let key = match &request.target {
            Target::Key(key) => key.to_string(),
            Target::Generated => {
                let key = self.template.generate(&time, request.id.uuid, &sha256, extension(probed.media_type));
                self.parse_key(&request.caller, &format!("/{}{key}", request.caller.prefix))?.to_string()
            }
        };
        Ok(StoredOriginal {
            url: format!("{}{}", self.base_url, percent::url_path(&key)),
            key,
            content_type: probed.media_type.to_owned(),
            bytes: received.spool.bytes(),
            width: probed.size.map(|(width, _)| width),
            height: probed.size.map(|(_, height)| height),
            sha256,
            etag: String::new(),
            time,
            fields: Default::default(),
        })
    }

    /// Stores the original, unless the same bytes are stored already.
    async fn store(
        &self,
        request: &UploadRequest,
        key: &ObjectKey,
        spool: Spool,
        mut original: StoredOriginal,
        deadline: &Deadline,
    ) -> Result<StoredUpload, UploadError> {
        let precondition = request.precondition();
        let kind = if precondition == Precondition::Absent { WriteKind::Created } else { WriteKind::MayReplace };
        let write = OriginalWrite { key, id: &request.id.uuid, source: &request.source, precondition };
        let result = match self.writer.write(write, &mut original, spool, deadline).await {
            Ok(WriteOutcome::Written) => UploadResult::Created,
            Ok(WriteOutcome::WrittenEarlier) => UploadResult::Duplicate,
            Ok(WriteOutcome::Contended) => return Err(UploadError::Contended),
            Ok(WriteOutcome::NotWritten(existing)) => return self.duplicate(request, existing, original),
            Err(error) => {
                if may_have_written(&error) {
                    (request.on_write)(key.clone(), WriteKind::Created).await;
                }
                return Err(UploadError::from_store(&error));
            }
        };
        let event_id = self.event_id(request, &original, &request.id.uuid.simple().to_string());
        Ok(StoredUpload { result, kind, original, event_id })
    }

    /// Handles a failed precondition: it is no error if the same bytes are stored already.
    fn duplicate(
        &self,
        request: &UploadRequest,
        existing: Option<ObjectMeta>,
        original: StoredOriginal,
    ) -> Result<StoredUpload, UploadError> {
        let conflict =
            if request.conditions.are_requested() { UploadError::PreconditionFailed } else { UploadError::Conflict };
        let existing = existing.ok_or_else(|| conflict.clone())?;
        let metadata = UploadMetadata::read(&existing);
        if metadata.sha256.as_ref() != Some(&original.sha256) {
            return Err(conflict);
        }
        // RFC 9110 section 13.1.1 allows success after If-Match if the change has been made already.
        let is_refused = request.conditions.are_requested() && request.precondition() == Precondition::Absent;
        let result = if is_refused { UploadResult::Exists } else { UploadResult::Duplicate };
        let original = original.stored_earlier(&existing);
        let event_id = self.event_id(request, &original, metadata.id.as_deref().unwrap_or_default());
        Ok(StoredUpload { result, kind: WriteKind::Created, original, event_id })
    }

    /// Returns the id of the event. If a key is never written twice, the same bytes under it always have the same id,
    /// also if other versions of this program stored them. Otherwise it is the id of the upload that wrote them.
    fn event_id(&self, request: &UploadRequest, original: &StoredOriginal, writer: &str) -> String {
        let is_written_once = match request.target {
            Target::Generated => self.template.is_content_addressed(),
            Target::Key(_) => self.overwrite == Overwrite::Never,
        };
        if is_written_once || writer.is_empty() {
            let hash = digest(&SHA256, format!("{}\n{}", original.key, original.sha256).as_bytes());
            return format!("msg_{}", hex::encode(&hash.as_ref()[..16]));
        }
        format!("msg_{writer}")
    }

    /// Removes the key from the caches, and stores the event in the outbox.
    async fn record(
        &self,
        request: &UploadRequest,
        key: &ObjectKey,
        stored: &StoredUpload,
        deadline: &Deadline,
    ) -> Result<Option<ClaimedEntry>, UploadError> {
        // A purge that takes longer goes on in the background.
        let forgotten = self.shared.tasks.spawn((request.on_write)(key.clone(), stored.kind));
        let enqueued = async {
            let Some(notifier) = &self.notifier else { return Ok(None) };
            let body = serde_json::to_string(&stored.original.event())?;
            let entry = notifier.enqueue(&stored.event_id, body).await;
            entry.map(Some).map_err(|error| UploadError::from_store(&error))
        };
        let (forgotten, enqueued) = tokio::join!(deadline.run(forgotten), deadline.run(enqueued));
        if forgotten.is_err() {
            tracing::warn!(%key, "variants of a replaced original are still being deleted after s3.operation_timeout");
        }
        enqueued.map_err(|_| UploadError::StoreTimeout)?
    }
}

fn receipt(status: StatusCode, receipt: &UploadReceipt) -> Result<UploadResponse, UploadError> {
    let mut response = response::json(status, receipt)?;
    let headers = response.headers_mut();
    headers.insert(LOCATION, HeaderValue::try_from(&receipt.stored.url).map_err(|_| UploadError::Internal)?);
    if let Ok(etag) = HeaderValue::try_from(&receipt.stored.etag) {
        headers.insert(ETAG, etag);
    }
    Ok(response)
}
