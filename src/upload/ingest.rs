//! What is done with an upload that has come whole: it is looked at, stored, and told of, in this order.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use ring::digest::{SHA256, digest};
use tokio::sync::Semaphore;

use super::conditions::{Conditions, Digests};
use super::error::Refusal;
use super::form::{self, Fields};
use super::receive::Received;
use super::stored::{Answer, Stamp, Stored};
use super::template::{Template, TemplateError};
use super::token::Caller;
use super::with_status;
use crate::config::{Config, Overwrite};
use crate::observability::metrics;
use crate::origin::{Attributes, Precondition, PutOutcome, Store};
use crate::outbox::Notifier;
use crate::resize::{Limits, probe};
use crate::support::{hex, priority};
use crate::variant::{Grammar, Named, ObjectKey};

/// Keeps originals.
pub(super) struct Keeper {
    template: Template,
    grammar: Grammar,
    originals: Store,
    notifier: Option<Notifier>,
    types: Vec<String>,
    overwrite: Overwrite,
    base_url: String,
    cache_control: String,
    limits: Limits,
    /// One permit a header that is being read.
    probes: Semaphore,
    counts: metrics::UploadMetrics,
}

/// Called with the key of an original that was stored, before anybody hears of it: what is remembered of it is to be forgotten.
pub type OnWrite = Box<dyn Fn(ObjectKey, Written) -> BoxFuture<'static, ()> + Send + Sync>;

/// How an original was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// Where there was nothing: there may be requests that found that.
    Anew,
    /// Perhaps over another one: there may be variants of that.
    Over,
}

/// Where an upload is to go.
#[derive(Debug, Clone)]
pub(super) enum Target {
    Key(ObjectKey),
    Template,
}

/// What one request asks for, known before any of its body is read.
pub(super) struct Order {
    pub(super) caller: Caller,
    pub(super) target: Target,
    pub(super) conditions: Conditions,
    pub(super) digests: Digests,
    /// The only media type that it may be, where it was promised to be one.
    pub(super) content_type: Option<String>,
    pub(super) stamp: Stamp,
    pub(super) on_write: OnWrite,
}

/// Headers that are read at once: each takes a few MiB at most, for a few milliseconds.
const PROBES_MAX: usize = 4;

/// Of the original's metadata: what a repeated upload is known by.
const META_SHA256: &str = "resized-sha256";
/// Of the original's metadata: a form's field of the rest of this name, percent-encoded.
const META_FIELD: &str = "resized-field-";

impl Keeper {
    pub(super) fn open(
        config: &Config,
        grammar: Grammar,
        originals: Store,
        notifier: Option<Notifier>,
        counts: metrics::UploadMetrics,
    ) -> Result<Self, TemplateError> {
        let upload = &config.upload;
        let base_url = if upload.base_url.is_empty() { &config.originals.public_url } else { &upload.base_url };
        Ok(Self {
            template: Template::new(&upload.key)?,
            grammar,
            originals,
            notifier,
            types: upload.types.clone(),
            overwrite: upload.overwrite,
            base_url: base_url.trim_end_matches('/').to_owned(),
            cache_control: config.answers.original_cache_control.clone(),
            limits: Limits::from(config),
            probes: Semaphore::new(PROBES_MAX),
            counts,
        })
    }

    /// Stores what was received and tells of it.
    pub(super) async fn keep(
        &self,
        order: Order,
        received: Received,
        fields: Fields,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        order.digests.check(&received.hashes)?;
        let stored = Stored { fields: fields.take(), ..self.describe(&order, &received).await? };
        let key = ObjectKey::new(&stored.key).map_err(|error| Refusal::BadRequest(error.to_string()))?;
        let (status, stored) = self.store(&order, &key, received, stored).await?;
        let id = self.id(&order, &stored);
        let notified = self.tell(&id, &stored).await?;
        match status {
            StatusCode::CREATED => self.counts.record_stored(stored.bytes),
            _ => self.counts.record_duplicate(),
        }
        tracing::info!(key = stored.key, bytes = stored.bytes, token = order.caller.name, notified, "original stored");
        answer(status, &Answer { id: &id, stored: &stored, notified })
    }

    /// Refuses types that are not taken here.
    pub(super) fn check_type(&self, content_type: &str) -> Result<(), Refusal> {
        if self.types.iter().any(|taken| taken == content_type) {
            return Ok(());
        }
        Err(Refusal::Type(format!("{content_type} is not taken here; send {}", self.types.join(", "))))
    }

    /// The key that a path chooses, if the caller may write it and the server could ever serve it.
    pub(super) fn chosen(&self, caller: &Caller, path: &str) -> Result<ObjectKey, Refusal> {
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

    /// Type, size and key, from the bytes.
    async fn describe(&self, order: &Order, received: &Received) -> Result<Stored, Refusal> {
        let (file, limits) = (received.spool.reader().map_err(|e| Refusal::of_store(&e))?, self.limits);
        let _probing = self.probes.acquire().await.map_err(|_| Refusal::Internal)?;
        let probed = priority::blocking(move || probe(file, &limits)).await;
        let probed = probed.map_err(|_| Refusal::Unprocessable("its header cannot be read".into()))?;
        let probed = probed.map_err(|error| Refusal::of_picture(&error))?;
        self.check_type(probed.media_type)?;
        if order.content_type.as_ref().is_some_and(|promised| promised != probed.media_type) {
            return Err(Refusal::Type(format!("it is {}, and was promised to be another type", probed.media_type)));
        }
        let sha256 = hex::encode(&received.hashes.sha256);
        let time = humantime::format_rfc3339_millis(order.stamp.time).to_string();
        let key = match &order.target {
            Target::Key(key) => key.to_string(),
            Target::Template => {
                let made = self.template.make(&time, order.stamp.id, &sha256, extension(probed.media_type));
                self.chosen(&order.caller, &format!("/{}{made}", order.caller.prefix))?.to_string()
            }
        };
        Ok(Stored {
            url: format!("{}{}", self.base_url, super::path_of(&key)),
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

    /// Stores the original: 201, or 200 if these very bytes are already there.
    async fn store(
        &self,
        order: &Order,
        key: &ObjectKey,
        received: Received,
        mut stored: Stored,
    ) -> Result<(StatusCode, Stored), Refusal> {
        let condition = order.conditions.precondition(matches!(order.target, Target::Template));
        let written = if condition == Precondition::Absent { Written::Anew } else { Written::Over };
        let failed = |error| Refusal::of_store(&error);
        let attributes = self.attributes(&stored);
        let put = self.originals.put_spooled(key, received.spool, &attributes, condition).await.map_err(failed)?;
        if let PutOutcome::Stored(etag) = put {
            stored.etag = etag.into();
            (order.on_write)(key.clone(), written).await;
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

    fn attributes(&self, stored: &Stored) -> Attributes {
        let mut metadata = vec![(META_SHA256.to_owned(), stored.sha256.clone())];
        let field = |(name, value): (&String, &String)| (format!("{META_FIELD}{name}"), form::encoded(value));
        metadata.extend(stored.fields.iter().map(field));
        Attributes { content_type: stored.content_type.clone(), cache_control: self.cache_control.clone(), metadata }
    }

    /// The event's id. Where a key is never written twice, the same bytes under it are the same event for ever: a client that
    /// heard no answer may send them again, and the API still has one event.
    fn id(&self, order: &Order, stored: &Stored) -> String {
        let is_written_once = match order.target {
            Target::Template => self.template.is_by_content(),
            Target::Key(_) => self.overwrite == Overwrite::Never,
        };
        if is_written_once {
            let hash = digest(&SHA256, format!("{}\n{}", stored.key, stored.sha256).as_bytes());
            return format!("msg_{}", hex::encode(&hash.as_ref()[..16]));
        }
        format!("msg_{}", order.stamp.id.simple())
    }

    /// Puts the notification where nothing loses it, and sends it; `true` if the API has it already.
    async fn tell(&self, id: &str, stored: &Stored) -> Result<bool, Refusal> {
        let Some(notifier) = &self.notifier else { return Ok(false) };
        let body = serde_json::to_string(&stored.event()).map_err(|_| Refusal::Internal)?;
        let letter = notifier.accept(id, body).await.map_err(|error| Refusal::of_store(&error))?;
        Ok(notifier.deliver(letter).await)
    }
}

fn answer(status: StatusCode, answer: &Answer) -> Result<Response<Full<Bytes>>, Refusal> {
    let body = serde_json::to_vec(answer).map_err(|_| Refusal::Internal)?;
    let mut response = with_status(status, body.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(LOCATION, HeaderValue::try_from(&answer.stored.url).map_err(|_| Refusal::Internal)?);
    if let Ok(etag) = HeaderValue::try_from(&answer.stored.etag) {
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
