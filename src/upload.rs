//! Uploads: originals on their way in, stored unchanged, and the API told of them.
//!
//! The order is what nothing may change: the bytes are whole and checked, then the original is stored, then the notification's
//! marker, and only then does the client hear 201. A client that hears nothing may send the same again. Nothing is resized
//! here.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::{Method, Request, Response, StatusCode};
use http_body::Body as HttpBody;
use http_body_util::{BodyStream, Full};
use tokio::sync::Semaphore;

use crate::config::{Config, Overwrite};
use crate::observability::metrics;
use crate::observability::traces;
use crate::origin::Store;
use crate::outbox::Notifier;
use crate::support::tasks::Tasks;
use crate::variant::Grammar;

mod conditions;
mod cors;
mod presigned;
mod form;
mod ingest;
mod receive;
mod error;
mod stored;
mod template;
mod grant;
mod token;

pub use ingest::{OnWrite, Written};
pub use template::TemplateError;

use conditions::{Conditions, Digests};
use cors::Cors;
use error::Refusal;
use form::Fields;
use ingest::{Keeper, Order, Target};
use presigned::Direct;
use receive::Receiver;
use stored::Stamp;
use token::Tokens;

/// The upload endpoint. Clones share it.
#[derive(Debug, Clone)]
pub struct Uploads(Arc<Inner>);

struct Inner {
    tokens: Tokens,
    cors: Cors,
    receiver: Receiver,
    keeper: Keeper,
    /// Or what is to be configured first.
    direct: Result<Direct, &'static str>,
    overwrite: Overwrite,
    /// Of a form's other fields, those that are kept.
    fields: Arc<[String]>,
    slots: Semaphore,
    counts: metrics::UploadMetrics,
    tasks: Tasks,
}

/// Bytes on their way in.
type Source = BoxStream<'static, Result<Bytes, Refusal>>;

/// What stands for itself in a URL's path and in a header (RFC 3986 section 2.3).
const PLAIN: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uploads").finish_non_exhaustive()
    }
}

impl Uploads {
    /// `None` if they are not enabled. Each upload runs on `tasks` and is counted in `counts`.
    ///
    /// # Errors
    /// A template that cannot make keys.
    pub fn open(
        config: &Config,
        grammar: Grammar,
        originals: Store,
        notifier: Option<Notifier>,
        counts: metrics::UploadMetrics,
        tasks: Tasks,
    ) -> Result<Option<Self>, TemplateError> {
        let upload = &config.upload;
        if !upload.enabled {
            return Ok(None);
        }
        Ok(Some(Self(Arc::new(Inner {
            tokens: Tokens::new(upload),
            cors: Cors::new(&upload.allow_origins),
            direct: Direct::open(config, &originals),
            keeper: Keeper::open(config, grammar, originals.clone(), notifier, counts.clone())?,
            receiver: Receiver { originals, read_timeout: upload.read_timeout, time: upload.time },
            overwrite: upload.overwrite,
            fields: upload.fields.clone().into(),
            slots: Semaphore::new(upload.concurrency.get()),
            counts,
            tasks,
        }))))
    }

    /// Whether a request is for this endpoint and not for a picture. Pictures below `/upload/` are still asked for by GET.
    #[must_use]
    pub fn takes(method: &Method, path: &str) -> bool {
        let path = path.strip_prefix("/upload").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        path && !matches!(*method, Method::GET | Method::HEAD)
    }

    /// Answers a request of `client`. The work goes on if the client hangs up after its last byte.
    pub async fn answer<B>(&self, client: IpAddr, request: Request<B>, on_write: OnWrite) -> Response<Full<Bytes>>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let cors = self.0.cors.headers(request.headers());
        let this = self.0.clone();
        let answer = self.0.tasks.spawn(async move { this.route(client, request, on_write).await }).await;
        let mut response = match answer.unwrap_or(Err(Refusal::Internal)) {
            Ok(response) => response,
            Err(refusal) => {
                self.0.counts.record_error(refusal.name());
                refusal.answer()
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
    ) -> Result<Response<Full<Bytes>>, Refusal>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let (head, body) = request.into_parts();
        let path = head.uri.path().strip_prefix("/upload").unwrap_or_default();
        match (&head.method, path) {
            (&Method::OPTIONS, _) => Ok(with_status(StatusCode::NO_CONTENT, Bytes::new())),
            (&Method::POST, "/sign") => self.sign(client, &head, source(body)).await,
            (&Method::POST, "/complete") => self.complete(client, &head, on_write).await,
            (&Method::POST, "") => self.upload(client, &head, None, source(body), on_write).await,
            (&Method::PUT, path) if path.len() > 1 => {
                self.upload(client, &head, Some(path), source(body), on_write).await
            }
            _ => Err(Refusal::Method),
        }
    }

    /// The whole story: what may be refused by the header, the bytes, the store, the API, the answer.
    async fn upload(
        &self,
        client: IpAddr,
        head: &http::request::Parts,
        path: Option<&str>,
        body: Source,
        on_write: OnWrite,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        let caller = self.tokens.check(client, &head.headers)?;
        let _slot = self.slots.try_acquire().map_err(|_| Refusal::Overloaded)?;
        let target = match path {
            None => Target::Template,
            Some(path) => Target::Key(self.keeper.chosen(&caller, path)?),
        };
        let bytes_max = caller.bytes_max;
        let order = Order {
            conditions: Conditions::read(&head.headers, self.overwrite)?,
            digests: Digests::read(&head.headers)?,
            content_type: None,
            stamp: Stamp::now(),
            caller,
            target,
            on_write,
        };
        conditions::check_header(&head.headers, bytes_max)?;
        let fields = Fields::wanted(&self.fields);
        let file = match form::boundary(&head.headers) {
            Some(boundary) => form::file(body, boundary, bytes_max, fields.clone()),
            None => body,
        };
        let received = traces::in_span("receive", self.receiver.receive(file, bytes_max)).await?;
        self.keeper.keep(order, received, fields).await
    }

    /// Lets a client put a file into the bucket itself.
    async fn sign(
        &self,
        client: IpAddr,
        head: &http::request::Parts,
        body: Source,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        let caller = self.tokens.check(client, &head.headers)?;
        let direct = self.direct.as_ref().map_err(|what| Refusal::NotConfigured(what))?;
        let wish = self.receiver.receive_text(body).await?;
        let wish = serde_json::from_slice(&wish).map_err(|error| {
            let form = r#"{"content_type": "image/jpeg", "bytes": 4711}, and if you like "key" and "sha256""#;
            Refusal::BadRequest(format!("send JSON as in {form}: {error}"))
        })?;
        direct.sign(&self.keeper, caller, wish).await
    }

    /// Takes such a file. The ticket is all that is asked for: whoever sent the file may have no token.
    async fn complete(
        &self,
        client: IpAddr,
        head: &http::request::Parts,
        on_write: OnWrite,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        let direct = self.direct.as_ref().map_err(|what| Refusal::NotConfigured(what))?;
        let ticket = direct.ticket(head.uri.query()).map_err(|refusal| match refusal {
            Refusal::Ticket => self.tokens.forged(client, refusal),
            refusal => refusal,
        })?;
        let _slot = self.slots.try_acquire().map_err(|_| Refusal::Overloaded)?;
        let order = Order {
            conditions: Conditions::read(&head.headers, self.overwrite)?,
            digests: Digests::of_sha256(ticket.sha256.as_deref()),
            content_type: Some(ticket.content_type.clone()),
            stamp: ticket.stamp(),
            caller: ticket.caller(),
            target: ticket.target()?,
            on_write,
        };
        direct.complete(&self.keeper, &self.receiver, &ticket, order).await
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

/// The path of a key in a URL, percent-encoded.
fn path_of(key: &str) -> String {
    key.split('/').map(|part| format!("/{}", percent_encoding::utf8_percent_encode(part, PLAIN))).collect()
}

fn with_status(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
}
