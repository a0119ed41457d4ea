//! Ingests an upload whose body is complete: checks it, stores it and notifies the API, in this order.

use futures_util::future::BoxFuture;
use http::header::{ETAG, LOCATION};
use http::{HeaderValue, StatusCode};
use ring::digest::{SHA256, digest};
use tokio::sync::Semaphore;

use super::conditions::WriteConditions;
use super::digests::ExpectedDigests;
use super::error::UploadError;
use super::form::FormFields;
use super::percent;
use super::receive::ReceivedUpload;
use super::response::{self, UploadResponse};
use super::stored::{StoredOriginal, UploadId, UploadReceipt};
use super::template::{KeyTemplate, TemplateError};
use super::token::Caller;
use crate::config::{Config, Overwrite};
use crate::observability::metrics::UploadMetrics;
use crate::origin::{Attributes, Precondition, PutOutcome, Store};
use crate::outbox::Notifier;
use crate::resize::{self, Limits, probe};
use crate::support::{hex, priority};
use crate::variant::{Grammar, ObjectKey, ParsedPath};

/// Checks and stores originals.
pub(super) struct Ingestor {
    template: KeyTemplate,
    grammar: Grammar,
    originals: Store,
    notifier: Option<Notifier>,
    /// Accepted media types.
    types: Vec<String>,
    overwrite: Overwrite,
    base_url: String,
    cache_control: String,
    limits: Limits,
    /// Permits to read image headers.
    probes: Semaphore,
    metrics: UploadMetrics,
}

/// Callback that removes the key of a stored original from the caches. It is called before the API is notified and the
/// client gets its response.
pub type OnWrite = Box<dyn Fn(ObjectKey, WriteKind) -> BoxFuture<'static, ()> + Send + Sync>;

/// How a write may have changed the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteKind {
    /// There was no original under the key. Its absence may be cached.
    Created,
    /// The write may have replaced an original, which may have variants.
    MayReplace,
}

/// Key of the upload.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// A key that the client chose.
    Key(ObjectKey),
    /// A key generated from `upload.key_template`.
    Generated,
}

/// Parameters of an upload that are known before its body is read.
pub(super) struct UploadRequest {
    pub(super) caller: Caller,
    pub(super) target: Target,
    pub(super) conditions: WriteConditions,
    pub(super) digests: ExpectedDigests,
    /// Media type that a presigned upload must have.
    pub(super) content_type: Option<String>,
    pub(super) id: UploadId,
    pub(super) on_write: OnWrite,
}

/// Maximum number of image headers that are read at the same time. Each takes at most a few MiB for a few milliseconds.
const PROBES_MAX: usize = 4;

/// Name of the metadata with the SHA-256 of the original, which identifies a repeated upload.
const META_SHA256: &str = "resized-sha256";

/// Prefix of the name of the metadata with a form field; the name of the field follows.
const META_FIELD: &str = "resized-field-";

impl Ingestor {
    pub(super) fn new(
        config: &Config,
        grammar: Grammar,
        originals: Store,
        notifier: Option<Notifier>,
        metrics: UploadMetrics,
    ) -> Result<Self, TemplateError> {
        let upload = &config.upload;
        let base_url = if upload.base_url.is_empty() { &config.originals.public_url } else { &upload.base_url };
        Ok(Self {
            template: KeyTemplate::new(&upload.key_template)?,
            grammar,
            originals,
            notifier,
            types: upload.types.clone(),
            overwrite: upload.overwrite,
            base_url: base_url.trim_end_matches('/').to_owned(),
            cache_control: config.answers.original_cache_control.to_str().unwrap_or_default().to_owned(),
            limits: resize::limits(config),
            probes: Semaphore::new(PROBES_MAX),
            metrics,
        })
    }

    /// Checks and stores a received body, notifies the API, and returns the response.
    pub(super) async fn ingest(
        &self,
        request: UploadRequest,
        received: ReceivedUpload,
        fields: FormFields,
    ) -> Result<UploadResponse, UploadError> {
        request.digests.check(&received.digests)?;
        let original = StoredOriginal { fields: fields.take(), ..self.inspect(&request, &received).await? };
        let key = ObjectKey::new(&original.key).map_err(|error| UploadError::BadRequest(error.to_string()))?;
        let (status, original) = self.store(&request, &key, received, original).await?;
        let id = self.event_id(&request, &original);
        let notified = self.notify(&id, &original).await?;
        match status {
            StatusCode::CREATED => self.metrics.record_stored(original.bytes),
            _ => self.metrics.record_duplicate(),
        }
        tracing::info!(
            key = original.key,
            bytes = original.bytes,
            token = request.caller.name,
            notified,
            "original stored"
        );
        receipt(status, &UploadReceipt { id: &id, stored: &original, notified })
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
        let named = self.grammar.parse(path).map_err(|error| UploadError::BadRequest(error.to_string()))?;
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
        if request.content_type.as_ref().is_some_and(|expected| expected != probed.media_type) {
            let detail = format!("the file is {}, but the URL was signed for another type", probed.media_type);
            return Err(UploadError::UnsupportedType(detail));
        }
        let sha256 = hex::encode(&received.digests.sha256);
        let time = humantime::format_rfc3339_millis(request.id.time).to_string();
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

    /// Stores the original. The status is 201, or 200 if the same bytes are already stored.
    async fn store(
        &self,
        request: &UploadRequest,
        key: &ObjectKey,
        received: ReceivedUpload,
        mut original: StoredOriginal,
    ) -> Result<(StatusCode, StoredOriginal), UploadError> {
        let condition = request.conditions.precondition(matches!(request.target, Target::Generated));
        let kind = if condition == Precondition::Absent { WriteKind::Created } else { WriteKind::MayReplace };
        let failed = |error| UploadError::from_store(&error);
        let attributes = self.attributes(&original);
        let put = self.originals.put_spooled(key, received.spool, &attributes, condition).await.map_err(failed)?;
        if let PutOutcome::Stored(etag) = put {
            original.etag = etag.into();
            (request.on_write)(key.clone(), kind).await;
            return Ok((StatusCode::CREATED, original));
        }
        if request.conditions.are_requested() {
            return Err(UploadError::PreconditionFailed);
        }
        let existing = self.originals.head(key).await.map_err(failed)?.ok_or(UploadError::Conflict)?;
        let is_same = existing.metadata.iter().any(|(name, value)| name == META_SHA256 && *value == original.sha256);
        if !is_same {
            return Err(UploadError::Conflict);
        }
        original.etag = existing.etag.into();
        Ok((StatusCode::OK, original))
    }

    fn attributes(&self, original: &StoredOriginal) -> Attributes {
        let mut metadata = vec![(META_SHA256.to_owned(), original.sha256.clone())];
        let field = |(name, value): (&String, &String)| (format!("{META_FIELD}{name}"), percent::encode(value));
        metadata.extend(original.fields.iter().map(field));
        Attributes { content_type: original.content_type.clone(), cache_control: self.cache_control.clone(), metadata }
    }

    /// Returns the id of the event. If a key is never written twice, the same bytes under it always have the same id,
    /// so a client that got no response can repeat its upload without a second event.
    fn event_id(&self, request: &UploadRequest, original: &StoredOriginal) -> String {
        let is_written_once = match request.target {
            Target::Generated => self.template.is_content_addressed(),
            Target::Key(_) => self.overwrite == Overwrite::Never,
        };
        if is_written_once {
            let hash = digest(&SHA256, format!("{}\n{}", original.key, original.sha256).as_bytes());
            return format!("msg_{}", hex::encode(&hash.as_ref()[..16]));
        }
        format!("msg_{}", request.id.uuid.simple())
    }

    /// Enqueues and sends the notification. Returns `true` if the API has accepted it.
    async fn notify(&self, id: &str, original: &StoredOriginal) -> Result<bool, UploadError> {
        let Some(notifier) = &self.notifier else { return Ok(false) };
        let body = serde_json::to_string(&original.event())?;
        let entry = notifier.enqueue(id, body).await.map_err(|error| UploadError::from_store(&error))?;
        Ok(notifier.deliver(entry).await)
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

fn extension(media_type: &str) -> &'static str {
    match media_type {
        "image/jpeg" => "jpg",
        "image/png" => "png",
        "image/webp" => "webp",
        "image/gif" => "gif",
        "image/avif" => "avif",
        "image/heic" => "heic",
        "image/jxl" => "jxl",
        "image/tiff" => "tiff",
        "image/bmp" => "bmp",
        _ => "bin",
    }
}
