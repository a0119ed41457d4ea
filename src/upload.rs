//! The upload endpoint, which stores originals unchanged and notifies the API.
//!
//! The order of the steps is fixed: the complete body is checked, then the original is stored, then the notification is
//! stored in the outbox, and only then does the client get a 201. A client without a response may send the same upload
//! again. Uploads are not resized.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Body as HttpBody;
use http_body_util::Full;
use tokio::sync::Semaphore;

use crate::config::{Config, Overwrite};
use crate::observability::metrics::UploadMetrics;
use crate::observability::traces;
use crate::origin::{Store, UploadBuffers};
use crate::outbox::Notifier;
use crate::support::memory::MemoryBudget;
use crate::support::tasks::Tasks;
use crate::variant::Grammar;

mod body;
mod collisions;
mod conditions;
mod cors;
mod digests;
mod error;
mod form;
mod grant;
mod ingest;
mod key_turns;
mod metadata;
mod percent;
mod presigned;
mod receive;
mod request;
mod response;
mod stored;
mod template;
mod token;
mod write;

pub use request::{OnWrite, WriteKind};
pub use template::TemplateError;

use body::UploadBody;
use collisions::CollisionCheck;
use conditions::WriteConditions;
use cors::Cors;
use digests::ExpectedDigests;
use error::{PresignUnavailable, UploadError};
use form::FormFields;
use ingest::{Ingestor, SharedParts};
use presigned::PresignedUploads;
use receive::Receiver;
use request::{Target, UploadRequest, UploadSource};
use response::{UploadResponse, with_body};
use stored::UploadId;
use token::Tokens;
use write::OriginalWriter;

/// The upload endpoint. Clones share its state.
#[derive(Debug, Clone)]
pub struct Uploads(Arc<Inner>);

/// Parts of the program that uploads use.
#[derive(Debug)]
pub struct UploadDependencies {
    pub grammar: Grammar,
    pub originals: Store,
    pub memory: Arc<MemoryBudget>,
    /// Notifies the API, if `notify.url` is set.
    pub notifier: Option<Notifier>,
    pub metrics: UploadMetrics,
    /// Runs the uploads.
    pub tasks: Tasks,
}

struct Inner {
    tokens: Tokens,
    cors: Cors,
    receiver: Receiver,
    ingestor: Ingestor,
    presigned: Result<PresignedUploads, PresignUnavailable>,
    overwrite: Overwrite,
    /// Names of the form fields that are stored.
    fields: Arc<[String]>,
    permits: Semaphore,
    metrics: UploadMetrics,
    tasks: Tasks,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uploads").finish_non_exhaustive()
    }
}

impl Uploads {
    /// Creates the endpoint, or returns `None` if `upload.enabled` is off.
    ///
    /// # Errors
    /// `upload.key_template` is not a valid template.
    pub fn new(config: &Config, dependencies: UploadDependencies) -> Result<Option<Self>, TemplateError> {
        let upload = &config.upload;
        if !upload.enabled {
            return Ok(None);
        }
        let UploadDependencies { grammar, originals, memory, notifier, metrics, tasks } = dependencies;
        let buffers = Arc::new(UploadBuffers::new(memory, upload));
        let shared = SharedParts { metrics: metrics.clone(), tasks: tasks.clone() };
        let cache_control = config.answers.original_cache_control.to_str().unwrap_or_default().to_owned();
        let has_size_folders = config.urls.segment;
        let collisions = CollisionCheck { grammar, originals: originals.clone(), has_size_folders };
        let writer = OriginalWriter::new(originals.clone(), buffers.clone(), cache_control);
        Ok(Some(Self(Arc::new(Inner {
            tokens: Tokens::new(upload),
            cors: Cors::new(&upload.allow_origins),
            presigned: PresignedUploads::new(config, &originals, shared.clone()),
            ingestor: Ingestor::new(config, collisions, writer, notifier, shared)?,
            receiver: Receiver { originals, buffers, read_timeout: upload.read_timeout, timeout: upload.total_timeout },
            overwrite: upload.overwrite,
            fields: upload.fields.clone().into(),
            permits: Semaphore::new(upload.concurrency.get()),
            metrics,
            tasks,
        }))))
    }

    /// True if a request belongs to this endpoint. GET and HEAD requests below `/upload/` name images.
    #[must_use]
    pub fn matches(method: &Method, path: &str) -> bool {
        let path = path.strip_prefix("/upload").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        path && !matches!(*method, Method::GET | Method::HEAD)
    }

    /// Handles a request from `client`. If the client disconnects after its body is complete, the upload still
    /// finishes.
    pub async fn handle<B>(&self, client: IpAddr, request: Request<B>, on_write: OnWrite) -> Response<Full<Bytes>>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let cors = self.0.cors.headers(request.headers());
        let this = self.0.clone();
        let result = self.0.tasks.spawn(async move { this.route(client, request, on_write).await }).await;
        let mut response = match result.unwrap_or(Err(UploadError::Internal)) {
            Ok(response) => response,
            Err(error) => {
                self.0.metrics.record_error(error.name());
                error.response()
            }
        };
        response.headers_mut().extend(cors);
        response
    }
}

impl Inner {
    async fn route<B>(
        &self,
        client: IpAddr,
        request: Request<B>,
        on_write: OnWrite,
    ) -> Result<UploadResponse, UploadError>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let (head, body) = request.into_parts();
        let path = head.uri.path().strip_prefix("/upload").unwrap_or_default();
        match (&head.method, path) {
            (&Method::OPTIONS, _) => Ok(with_body(StatusCode::NO_CONTENT, Bytes::new())),
            (&Method::POST, "/sign") => self.sign(client, &head, body::from_http(body)).await,
            (&Method::POST, "/complete") => self.complete(client, &head, on_write).await,
            (&Method::POST, "") => self.upload(client, &head, None, body::from_http(body), on_write).await,
            (&Method::PUT, path) if path.len() > 1 => {
                self.upload(client, &head, Some(path), body::from_http(body), on_write).await
            }
            _ => Err(UploadError::MethodNotAllowed),
        }
    }

    /// Handles `POST /upload` and `PUT /upload/key`: checks the header, receives the body and ingests it.
    async fn upload(
        &self,
        client: IpAddr,
        head: &http::request::Parts,
        path: Option<&str>,
        body: UploadBody,
        on_write: OnWrite,
    ) -> Result<UploadResponse, UploadError> {
        let caller = self.tokens.check(client, &head.headers)?;
        let _permit = self.permits.try_acquire().map_err(|_| UploadError::Overloaded)?;
        let target = match path {
            None => Target::Generated,
            Some(path) => Target::Key(self.ingestor.parse_key(&caller, path)?),
        };
        let bytes_max = caller.bytes_max;
        let request = UploadRequest {
            conditions: WriteConditions::from_headers(&head.headers, self.overwrite)?,
            digests: ExpectedDigests::from_headers(&head.headers)?,
            source: UploadSource::Request,
            id: UploadId::new(),
            caller,
            target,
            on_write,
        };
        conditions::check_headers(&head.headers, bytes_max)?;
        self.ingestor.check_target(&request.target).await?;
        let fields = FormFields::new(self.fields.clone());
        let file = match form::boundary(&head.headers) {
            Some(boundary) => form::file(body, boundary, bytes_max, fields.clone()),
            None => body,
        };
        let received = traces::in_span("receive", self.receiver.receive(file, bytes_max)).await?;
        self.ingestor.ingest(request, received, fields).await
    }

    /// Handles `POST /upload/sign`.
    async fn sign(
        &self,
        client: IpAddr,
        head: &http::request::Parts,
        body: UploadBody,
    ) -> Result<UploadResponse, UploadError> {
        let caller = self.tokens.check(client, &head.headers)?;
        let presigned = self.presigned.as_ref().map_err(|reason| *reason)?;
        let json = self.receiver.receive_json(body).await?;
        let request = serde_json::from_slice(&json).map_err(|error| {
            let example = r#"{"content_type": "image/jpeg", "bytes": 4711}, optionally with "key" and "sha256""#;
            UploadError::BadRequest(format!("send JSON like {example}: {error}"))
        })?;
        presigned.sign(&self.ingestor, caller, request).await
    }

    /// Handles `POST /upload/complete`. It requires only the grant, because the client that sent the file may have no
    /// token.
    async fn complete(
        &self,
        client: IpAddr,
        head: &http::request::Parts,
        on_write: OnWrite,
    ) -> Result<UploadResponse, UploadError> {
        let presigned = self.presigned.as_ref().map_err(|reason| *reason)?;
        let grant = presigned.grant(head.uri.query()).map_err(|error| match error {
            UploadError::InvalidGrant => self.tokens.count_invalid(client, error),
            error => error,
        })?;
        let _permit = self.permits.try_acquire().map_err(|_| UploadError::Overloaded)?;
        let request = UploadRequest {
            conditions: WriteConditions::from_headers(&head.headers, self.overwrite)?,
            digests: ExpectedDigests::from_sha256(grant.sha256.as_deref()),
            source: UploadSource::Presigned { content_type: grant.content_type.clone() },
            id: grant.upload_id(),
            caller: grant.caller(),
            target: grant.target()?,
            on_write,
        };
        presigned.complete(&self.ingestor, &self.receiver, &grant, request).await
    }
}
