//! Files that clients put into the bucket themselves.
//!
//! A signed URL lets its holder write one object, below a prefix that nobody reads. The completion takes it from there by the
//! way of every upload: nothing unchecked ever has a key of its own, and a URL that is used again later changes nothing.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::error::Refusal;
use super::grant::{Stub, Ticket, TicketError, millis};
use super::ingest::{Keeper, Order, Target};
use super::receive::Receiver;
use super::stored::Stamp;
use super::token::Caller;
use super::with_status;
use crate::config::Config;
use crate::origin::{Presigner, Store};
use crate::variant::ObjectKey;

/// Signs URLs, and takes what came by them.
pub(super) struct Direct {
    originals: Store,
    presigner: Presigner,
    stub: Stub,
    /// For the start of the upload.
    sign_time: Duration,
    /// From the signature to the completion.
    complete_time: Duration,
    complete_url: String,
}

/// What a client says of a file before it sends it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    content_type: String,
    bytes: u64,
    key: Option<String>,
    sha256: Option<String>,
}

/// Where files are until their completion: in the originals' store, under names that no request reaches.
const INCOMING: &str = ".resized-incoming/";

impl Direct {
    /// # Errors
    /// What is to be configured first.
    pub(super) fn open(config: &Config, originals: &Store) -> Result<Self, &'static str> {
        let upload = &config.upload;
        let presigner = originals.presigner(&upload.sign_endpoint);
        let presigner = presigner.ok_or(
            "signed URLs need a bucket: set originals.store = \"s3://bucket/prefix\"; here, send the file to POST /upload",
        )?;
        if config.s3.anonymous {
            return Err("signed URLs need credentials: unset s3.anonymous");
        }
        if upload.secret.is_empty() {
            return Err("signed URLs need a secret: set RESIZED_UPLOAD__SECRET, the same on every node");
        }
        let base_url = [&upload.base_url, &config.server.public_url].into_iter().find(|url| !url.is_empty());
        let base_url = base_url.ok_or("signed URLs need to know where this server is: set upload.base_url")?;
        Ok(Self {
            originals: originals.clone(),
            presigner,
            stub: Stub::new(&upload.secret),
            sign_time: upload.sign_time,
            complete_time: upload.sign_time + upload.time,
            complete_url: format!("{}/upload/complete?ticket=", base_url.trim_end_matches('/')),
        })
    }

    /// Lets the client write one object of the type and length it says.
    pub(super) async fn sign(
        &self,
        keeper: &Keeper,
        caller: Caller,
        wish: Wish,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        keeper.check_type(&wish.content_type)?;
        if wish.bytes == 0 {
            return Err(Refusal::BadRequest("\"bytes\" is the length of the file, and at least 1".into()));
        }
        if wish.bytes > caller.bytes_max {
            return Err(Refusal::TooLarge { bytes_max: caller.bytes_max });
        }
        if wish.sha256.as_ref().is_some_and(|hash| super::conditions::unhex_sha256(hash).is_none()) {
            return Err(Refusal::BadRequest("\"sha256\" is 64 hexadecimal digits".into()));
        }
        let key = wish.key.map(|key| keeper.chosen(&caller, &super::path_of(&key))).transpose()?;
        let now = SystemTime::now();
        let ticket = Ticket {
            id: Uuid::new_v4(),
            issued: millis(now),
            expires: millis(now + self.complete_time),
            name: caller.name,
            prefix: caller.prefix,
            key: key.map(|key| key.to_string()),
            content_type: wish.content_type,
            bytes: wish.bytes,
            sha256: wish.sha256,
        };
        let url = self.presigner.put(&incoming(ticket.id)?, &ticket.content_type, ticket.bytes, self.sign_time).await;
        let url = url.map_err(|error| Refusal::of_store(&error))?;
        let text = self.stub.sign(&ticket).map_err(|_| Refusal::Internal)?;
        Ok(signed(&json!({
            "method": "PUT",
            "url": url,
            "headers": { "content-type": ticket.content_type },
            "expires": humantime::format_rfc3339_seconds(now + self.sign_time).to_string(),
            "complete": format!("{}{text}", self.complete_url),
        })))
    }

    /// The ticket of a completion.
    ///
    /// # Errors
    /// None that was given out here, or one that has expired.
    pub(super) fn ticket(&self, query: Option<&str>) -> Result<Ticket, Refusal> {
        let parameters = query.unwrap_or_default().split('&');
        let text = parameters.filter_map(|parameter| parameter.strip_prefix("ticket=")).next().unwrap_or_default();
        self.stub.read(text, SystemTime::now()).map_err(|error| match error {
            TicketError::Forged => Refusal::Ticket,
            TicketError::Expired => Refusal::Forbidden("it is too late to complete this upload; sign it again".into()),
        })
    }

    /// Takes a file from where it was put, checks and keeps it. Whether it is kept or refused, nothing of it stays there; only
    /// where the store fails it does, so that the completion can be repeated.
    pub(super) async fn complete(
        &self,
        keeper: &Keeper,
        receiver: &Receiver,
        ticket: &Ticket,
        order: Order,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        let key = incoming(ticket.id)?;
        let done = self.take(keeper, receiver, &key, ticket.bytes, order).await;
        let is_settled = done.as_ref().map_or_else(Refusal::is_settled, |_| true);
        if is_settled && let Err(error) = self.originals.delete(&key, None).await {
            tracing::warn!(%key, %error, "an upload that is settled stays in the bucket until its lifecycle rule takes it");
        }
        done
    }

    async fn take(
        &self,
        keeper: &Keeper,
        receiver: &Receiver,
        key: &ObjectKey,
        bytes: u64,
        order: Order,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        let object = self.originals.get(key, None).await.map_err(|error| Refusal::of_store(&error))?;
        let object = object.ok_or(Refusal::NothingThere)?;
        if object.meta.bytes != bytes {
            let is = object.meta.bytes;
            return Err(Refusal::Unprocessable(format!("it has {is} bytes, and was promised to have {bytes}")));
        }
        let body = object.body.map_err(|error| Refusal::of_store(&error)).boxed();
        let received = receiver.receive(body, bytes).await.map_err(|refusal| match refusal {
            Refusal::Slow => Refusal::StoreSlow,
            refusal => refusal,
        })?;
        keeper.keep(order, received, super::Fields::wanted(&[].into())).await
    }
}

impl Ticket {
    /// Whoever was given it.
    pub(super) fn caller(&self) -> Caller {
        Caller { name: self.name.clone(), prefix: self.prefix.clone(), bytes_max: self.bytes }
    }

    pub(super) fn target(&self) -> Result<Target, Refusal> {
        let Some(key) = &self.key else { return Ok(Target::Template) };
        Ok(Target::Key(ObjectKey::new(key).map_err(|error| Refusal::BadRequest(error.to_string()))?))
    }

    /// The same whenever it is completed, so that a completion that is repeated changes and tells nothing new.
    pub(super) fn stamp(&self) -> Stamp {
        Stamp { id: self.id, time: self.issued() }
    }
}

fn incoming(id: Uuid) -> Result<ObjectKey, Refusal> {
    ObjectKey::new(&format!("{INCOMING}{}", id.simple())).map_err(|_| Refusal::Internal)
}

fn signed(answer: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = with_status(StatusCode::OK, answer.to_string().into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
