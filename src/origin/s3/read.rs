//! GET and HEAD of objects, over connections of our own.
//!
//! They are most of what is asked of S3, and the SDK takes several times as long to send one as to sign it
//! (docs/decisions/s3-reads.md). What it does for them besides is done here: timeouts for each step, further tries of what
//! passes, counting.

use std::time::Duration;

use aws_sdk_s3::Client;
use bytes::Bytes;
use http::header::{RANGE, USER_AGENT};
use http::{Method, Request, Response};
use http_body_util::Full;

use super::client::POOL_IDLE;
use super::endpoint::Place;
use super::error::Refusal;
use super::instrument::Count;
use super::object;
use super::retry::{Retries, passes};
use super::sign::Signer;
use crate::config;
use crate::origin::body::Object;
use crate::origin::error::StoreError;
use crate::origin::object::{ByteRange, ObjectMeta};
use crate::origin::public_url::encode_path;
use crate::origin::timeout::with_timeout;
use crate::support::error_chain::chain;
use crate::support::https::{self, AGENT, Incoming, Protocols};
use crate::variant::ObjectKey;

/// Reads the objects below a prefix of a bucket.
#[derive(Debug)]
pub(super) struct Reads {
    http: https::Client,
    /// What keys are put behind.
    base: String,
    signer: Signer,
    retries: Retries,
    counts: Count,
    /// One try, up to the answer's header.
    header_timeout: Duration,
    /// And between two reads of what comes behind it.
    read_timeout: Duration,
    operation_timeout: Duration,
}

/// A try that came to nothing.
struct Failure {
    error: StoreError,
    /// Whether the next one may come to more.
    passes: bool,
    retry_after: Option<Duration>,
}

impl Reads {
    /// Reads where `client` writes.
    ///
    /// # Errors
    /// What every read would end with.
    pub(super) async fn new(
        client: &Client,
        bucket: &str,
        prefix: &str,
        settings: &config::S3,
        counts: Count,
    ) -> Result<Self, String> {
        let Place { url, region, service, identities } = Place::of(client, bucket).await?;
        let identities = identities.filter(|_| !settings.anonymous);
        let protocols = if url.starts_with("http://") { Protocols::Plain } else { Protocols::Http2 };
        let http = https::Client::with(settings.connect_timeout, POOL_IDLE, protocols);
        Ok(Self {
            http: http.map_err(|error| format!("the system's root certificates cannot be read: {error}"))?,
            base: format!("{url}/{}", encode_path(prefix)),
            signer: Signer::new(region, service, identities),
            retries: Retries::new(settings.attempts.get()),
            counts,
            header_timeout: settings.attempt_timeout(),
            read_timeout: settings.attempt_timeout(),
            operation_timeout: settings.operation_timeout,
        })
    }

    pub(super) async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>, StoreError> {
        let answer = self.answer(&Method::HEAD, key, None).await?;
        answer.map(|answer| object::meta(answer.headers())).transpose()
    }

    pub(super) async fn get(&self, key: &ObjectKey, range: Option<ByteRange>) -> Result<Option<Object>, StoreError> {
        let answer = self.answer(&Method::GET, key, range).await?;
        answer.map(|answer| object::object(answer, range, self.read_timeout)).transpose()
    }

    /// The answer up to its body, after as many tries as it takes; `None` if there is no such object.
    async fn answer(
        &self,
        method: &Method,
        key: &ObjectKey,
        range: Option<ByteRange>,
    ) -> Result<Option<Response<Incoming>>, StoreError> {
        let url = self.url(key);
        let tries = async {
            let mut tries = 1;
            loop {
                let Failure { error, passes, retry_after } = match self.once(method, &url, range).await {
                    Ok(answer) => {
                        self.retries.answered(tries);
                        return Ok(answer);
                    }
                    Err(failure) => failure,
                };
                let pause = if passes { self.retries.pause(tries, retry_after) } else { None };
                let Some(pause) = pause else { return Err(error) };
                tracing::debug!(%key, %error, ?pause, "a read of S3 is tried again");
                tokio::time::sleep(pause).await;
                tries += 1;
            }
        };
        with_timeout(self.operation_timeout, tries).await?
    }

    async fn once(
        &self,
        method: &Method,
        url: &str,
        range: Option<ByteRange>,
    ) -> Result<Option<Response<Incoming>>, Failure> {
        let mut request = request(method, url, range)?;
        self.signer.sign(&mut request, url).await?;
        let connection = https::Connection::of(&mut request);
        let sent = self.counts.sent(method.as_str(), url);
        let answer = self.send(request).await;
        let status = match &answer {
            Ok(Ok(answer)) => Some(answer.status().as_u16()),
            Ok(Err(refusal)) => Some(refusal.status),
            Err(_) => None,
        };
        self.counts.ended(&sent, status);
        let refusal = match answer {
            Ok(Ok(answer)) => return Ok(Some(answer)),
            Ok(Err(refusal)) if refusal.is_absence() => return Ok(None),
            Ok(Err(refusal)) => refusal,
            Err(error) => return Err(Failure { error, passes: true, retry_after: None }),
        };
        let is_unwell = passes(refusal.status, refusal.code.as_deref());
        if is_unwell {
            // The next try may find another one at the end of its connection.
            connection.leave();
        }
        let is_news = refusal.other_time().is_some_and(|theirs| self.signer.adjust(theirs));
        let passes = is_unwell || is_news;
        let retry_after = refusal.retry_after;
        Err(Failure { error: refusal.means(refusal.to_string().into()), passes, retry_after })
    }

    /// An answer that has what was asked for, or what another one says.
    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Result<Response<Incoming>, Refusal>, StoreError> {
        let answer = with_timeout(self.header_timeout, self.http.request(request)).await?;
        let answer = answer.map_err(|error| {
            let source = chain(&error).into();
            if https::is_timeout(&error) { StoreError::Timeout { source } } else { StoreError::Unavailable { source } }
        })?;
        if answer.status().is_success() {
            return Ok(Ok(answer));
        }
        Ok(Err(with_timeout(self.read_timeout, Refusal::read(answer)).await?))
    }

    /// Each byte of a key that is neither unreserved nor a slash is encoded: signatures are over that and nothing else.
    fn url(&self, key: &ObjectKey) -> String {
        format!("{}{}", self.base, encode_path(key.as_str()))
    }
}

impl From<StoreError> for Failure {
    /// One that the next try would end with, too.
    fn from(error: StoreError) -> Self {
        Self { error, passes: false, retry_after: None }
    }
}

fn request(method: &Method, url: &str, range: Option<ByteRange>) -> Result<Request<Full<Bytes>>, StoreError> {
    let mut request = Request::builder().method(method).uri(url).header(USER_AGENT, AGENT);
    if let Some(range) = range {
        request = request.header(RANGE, header(range));
    }
    if method == Method::GET {
        // S3 sends none unasked.
        request = request.header("x-amz-checksum-mode", "ENABLED");
    }
    request.body(Full::default()).map_err(|error| StoreError::Other { source: error.into() })
}

fn header(range: ByteRange) -> String {
    match range {
        ByteRange::From { first } => format!("bytes={first}-"),
        ByteRange::FromTo { first, last } => format!("bytes={first}-{last}"),
        ByteRange::Suffix { bytes } => format!("bytes=-{bytes}"),
    }
}
