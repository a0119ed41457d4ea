//! Uploads: originals on their way in, stored unchanged, and the API told of them.
//!
//! The order is what nothing may change: the bytes are whole and checked, then the original is stored, then the notification's
//! marker, and only then does the client hear 201. A client that hears nothing may send the same again. Nothing is resized
//! here.

use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use http::header::{CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as HttpBody;
use http_body_util::{BodyStream, Full};
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::config::{Config, Overwrite};
use crate::notify::Notifier;
use crate::origin::{Attributes, Put, Store};
use crate::resize::{Limits, probe};
use crate::tasks::Tasks;
use crate::variant::{Grammar, Named, ObjectKey};

mod conditions;
mod cors;
mod form;
mod receive;
mod refusal;
mod template;
mod token;

pub use template::TemplateError;

use conditions::{Conditions, Digests};
use cors::Cors;
use receive::{Received, Receiver};
use refusal::Refusal;
use template::Template;
use token::{Caller, Tokens};

/// The upload endpoint. Clones share it.
#[derive(Debug, Clone)]
pub struct Uploads(Arc<Inner>);

struct Inner {
    tokens: Tokens,
    template: Template,
    grammar: Grammar,
    originals: Store,
    notifier: Option<Notifier>,
    types: Vec<String>,
    overwrite: Overwrite,
    base_url: String,
    cache_control: String,
    cors: Cors,
    limits: Limits,
    receiver: Receiver,
    slots: Semaphore,
    /// One permit a header that is being read.
    probes: Semaphore,
    tasks: Tasks,
}

/// Called with the key of an original that was replaced, before anybody hears of it: its variants are to be forgotten.
pub type Replaced = Box<dyn Fn(ObjectKey) -> BoxFuture<'static, ()> + Send + Sync>;

/// Bytes on their way in.
type Source = BoxStream<'static, Result<Bytes, Refusal>>;

/// What the API hears and the client is answered.
#[derive(Debug, Clone, Serialize)]
struct Stored {
    key: String,
    url: String,
    content_type: String,
    bytes: u64,
    width: Option<u32>,
    height: Option<u32>,
    sha256: String,
    etag: String,
    time: String,
}

#[derive(Serialize)]
struct Event<'a> {
    r#type: &'static str,
    timestamp: &'a str,
    data: &'a Stored,
}

#[derive(Serialize)]
struct Answer<'a> {
    id: &'a str,
    #[serde(flatten)]
    stored: &'a Stored,
    notified: bool,
}

/// Where an upload is to go.
#[derive(Debug, Clone)]
enum Target {
    Key(ObjectKey),
    Template,
}

/// What one request asks for, known before any of its body is read.
struct Order {
    caller: Caller,
    target: Target,
    conditions: Conditions,
    digests: Digests,
    replaced: Replaced,
}

/// Headers that are read at once: each takes a few MiB at most, for a few milliseconds.
const PROBES_MAX: usize = 4;

/// Of the original's metadata: what a repeated upload is known by.
const META_SHA256: &str = "resized-sha256";

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uploads").finish_non_exhaustive()
    }
}

impl Uploads {
    /// `None` if they are not enabled. Each upload runs on `tasks`.
    ///
    /// # Errors
    /// A template that cannot make keys.
    pub fn open(
        config: &Config,
        grammar: Grammar,
        originals: Store,
        notifier: Option<Notifier>,
        tasks: Tasks,
    ) -> Result<Option<Self>, TemplateError> {
        let upload = &config.upload;
        if !upload.enabled {
            return Ok(None);
        }
        let base_url = if upload.base_url.is_empty() { &config.originals.public_url } else { &upload.base_url };
        Ok(Some(Self(Arc::new(Inner {
            tokens: Tokens::new(upload),
            template: Template::new(&upload.key)?,
            grammar,
            originals: originals.clone(),
            notifier,
            types: upload.types.clone(),
            overwrite: upload.overwrite,
            base_url: base_url.trim_end_matches('/').to_owned(),
            cache_control: config.answers.original_cache_control.clone(),
            cors: Cors::new(&upload.allow_origins),
            limits: Limits::from(&config.limits),
            receiver: Receiver { originals, read_timeout: upload.read_timeout, time: upload.time },
            slots: Semaphore::new(upload.concurrency.get()),
            probes: Semaphore::new(PROBES_MAX),
            tasks,
        }))))
    }

    /// Whether a request is for this endpoint and not for a picture. Pictures below `/upload/` are still asked for by GET.
    #[must_use]
    pub fn takes(method: &Method, path: &str) -> bool {
        let path = path.strip_prefix("/upload").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        path && !matches!(*method, Method::GET | Method::HEAD)
    }

    /// Answers a request. The work goes on if the client hangs up after its last byte.
    pub async fn answer<B>(&self, request: Request<B>, replaced: Replaced) -> Response<Full<Bytes>>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let cors = self.0.cors.headers(request.headers());
        let this = self.0.clone();
        let answer = self.0.tasks.spawn(async move { this.route(request, replaced).await }).await;
        let mut response = match answer.unwrap_or(Err(Refusal::Internal)) {
            Ok(response) => response,
            Err(refusal) => refusal.answer(),
        };
        response.headers_mut().extend(cors);
        response
    }
}

impl Inner {
    async fn route<B>(&self, request: Request<B>, replaced: Replaced) -> Result<Response<Full<Bytes>>, Refusal>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let (head, body) = request.into_parts();
        let path = head.uri.path().strip_prefix("/upload").unwrap_or_default();
        if head.method == Method::OPTIONS {
            return Ok(with_status(StatusCode::NO_CONTENT, Bytes::new()));
        }
        let is_upload = match head.method {
            Method::POST => path.is_empty(),
            Method::PUT => path.len() > 1,
            _ => false,
        };
        if !is_upload {
            return Err(Refusal::Method);
        }
        let caller = self.tokens.check(&head.headers)?;
        let _slot = self.slots.try_acquire().map_err(|_| Refusal::Overloaded)?;
        let target = match path {
            "" => Target::Template,
            path => Target::Key(self.chosen(&caller, path)?),
        };
        self.upload(caller, target, &head.headers, source(body), replaced).await
    }

    /// The whole story: what may be refused by the header, the bytes, the store, the API, the answer.
    async fn upload(
        &self,
        caller: Caller,
        target: Target,
        headers: &HeaderMap,
        body: Source,
        replaced: Replaced,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        let order = Order {
            conditions: Conditions::read(headers, self.overwrite)?,
            digests: Digests::read(headers)?,
            caller,
            target,
            replaced,
        };
        conditions::check_header(headers, order.caller.bytes_max)?;
        let received = match form::boundary(headers) {
            Some(boundary) => {
                let file = form::file(body, boundary, order.caller.bytes_max);
                self.receiver.receive(file, order.caller.bytes_max).await?
            }
            None => self.receiver.receive(body, order.caller.bytes_max).await?,
        };
        self.keep(order, received).await
    }

    /// Stores what was received and tells of it.
    async fn keep(&self, order: Order, received: Received) -> Result<Response<Full<Bytes>>, Refusal> {
        order.digests.check(&received.hashes)?;
        let stored = self.describe(&order, &received).await?;
        let key = ObjectKey::new(&stored.key).map_err(|error| Refusal::BadRequest(error.to_string()))?;
        let (status, stored) = self.store(&order, &key, received, stored).await?;
        let id = match self.template.is_by_content() && matches!(order.target, Target::Template) {
            // The same bytes have the same key and the same id for ever: to send them again tells nothing new.
            true => format!("msg_{}", &stored.sha256[..32]),
            false => format!("msg_{}", uuid::Uuid::new_v4().simple()),
        };
        let notified = self.tell(&id, &stored).await?;
        tracing::info!(key = stored.key, bytes = stored.bytes, token = order.caller.name, notified, "original stored");
        let body = serde_json::to_vec(&Answer { id: &id, stored: &stored, notified }).map_err(|_| Refusal::Internal)?;
        let mut response = with_status(status, body.into());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(LOCATION, HeaderValue::try_from(&stored.url).map_err(|_| Refusal::Internal)?);
        if let Ok(etag) = HeaderValue::try_from(&stored.etag) {
            headers.insert(ETAG, etag);
        }
        Ok(response)
    }

    /// Type, size and key, from the bytes.
    async fn describe(&self, order: &Order, received: &Received) -> Result<Stored, Refusal> {
        let (file, limits) = (received.spool.reader().map_err(|e| Refusal::of_store(&e))?, self.limits);
        let _probing = self.probes.acquire().await.map_err(|_| Refusal::Internal)?;
        let probed = tokio::task::spawn_blocking(move || probe(file, &limits)).await;
        let probed = probed.map_err(|_| Refusal::Unprocessable("its header cannot be read".into()))?;
        let probed = probed.map_err(|error| Refusal::of_picture(&error))?;
        if !self.types.iter().any(|taken| taken == probed.media_type) {
            return Err(Refusal::Type(format!(
                "{} is not taken here; send {}",
                probed.media_type,
                self.types.join(", ")
            )));
        }
        let sha256 = hex(&received.hashes.sha256);
        let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let key = match &order.target {
            Target::Key(key) => key.to_string(),
            Target::Template => {
                let made = self.template.make(&now, &sha256, extension(probed.media_type));
                self.chosen(&order.caller, &format!("/{}{made}", order.caller.prefix))?.to_string()
            }
        };
        let path: Vec<_> =
            key.split('/').map(|part| percent_encoding::utf8_percent_encode(part, PATH).to_string()).collect();
        Ok(Stored {
            url: format!("{}/{}", self.base_url, path.join("/")),
            key,
            content_type: probed.media_type.to_owned(),
            bytes: received.spool.bytes(),
            width: probed.size.map(|(width, _)| width),
            height: probed.size.map(|(_, height)| height),
            sha256,
            etag: String::new(),
            time: now,
        })
    }

    /// The key that a path chooses, if the caller may write it and the server could ever serve it.
    fn chosen(&self, caller: &Caller, path: &str) -> Result<ObjectKey, Refusal> {
        let named = self.grammar.parse(path).map_err(|error| Refusal::BadRequest(error.to_string()))?;
        let key = match named {
            Named::Object(key, _) => key,
            // It reads as a size of another picture; where there is no such picture, it is this one.
            Named::Variant(addressed) => addressed.literal,
        };
        if !key.as_str().starts_with(&caller.prefix) {
            return Err(Refusal::Forbidden(format!("this token writes only keys that begin with {:?}", caller.prefix)));
        }
        Ok(key)
    }

    /// Stores the original: 201, or 200 if these very bytes are already there.
    async fn store(
        &self,
        order: &Order,
        key: &ObjectKey,
        received: Received,
        mut stored: Stored,
    ) -> Result<(StatusCode, Stored), Refusal> {
        let attributes = Attributes {
            content_type: stored.content_type.clone(),
            cache_control: self.cache_control.clone(),
            metadata: vec![(META_SHA256.to_owned(), stored.sha256.clone())],
        };
        let condition = order.conditions.precondition(matches!(order.target, Target::Template));
        let replaces = condition != crate::origin::Precondition::Absent;
        let failed = |error| Refusal::of_store(&error);
        let put = self.originals.put_spooled(key, received.spool, &attributes, condition).await.map_err(failed)?;
        if let Put::Stored(etag) = put {
            stored.etag = etag.into();
            if replaces {
                (order.replaced)(key.clone()).await;
            }
            return Ok((StatusCode::CREATED, stored));
        }
        if order.conditions.are_the_clients() {
            return Err(Refusal::PreconditionFailed);
        }
        let there = self.originals.head(key).await.map_err(failed)?.ok_or(Refusal::Conflict)?;
        let same = there.metadata.iter().any(|(name, value)| name == META_SHA256 && *value == stored.sha256);
        if !same {
            return Err(Refusal::Conflict);
        }
        stored.etag = there.etag.into();
        Ok((StatusCode::OK, stored))
    }

    /// Puts the notification where nothing loses it, and sends it; `true` if the API has it already.
    async fn tell(&self, id: &str, stored: &Stored) -> Result<bool, Refusal> {
        let Some(notifier) = &self.notifier else { return Ok(false) };
        let event = Event { r#type: "original.stored", timestamp: &stored.time, data: stored };
        let body = serde_json::to_string(&event).map_err(|_| Refusal::Internal)?;
        let letter = notifier.accept(id, body).await.map_err(|error| Refusal::of_store(&error))?;
        Ok(notifier.deliver(letter).await)
    }
}

/// A body's chunks.
fn source<B>(body: B) -> Source
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let body: Pin<Box<B>> = Box::pin(body);
    let frames = BodyStream::new(body).filter_map(|frame| async {
        match frame {
            Ok(frame) => frame.into_data().ok().map(Ok),
            Err(_) => Some(Err(Refusal::BadRequest("the body ended before its end".into()))),
        }
    });
    frames.boxed()
}

/// What stands for itself in a URL's path.
const PATH: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn with_status(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
}
