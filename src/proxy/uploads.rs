//! Uploads, as far as they concern what is remembered, and the way to the API that hears of them.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Method, Request, Response};
use http_body::Body as HttpBody;
use http_body_util::Either;
use tokio_util::sync::CancellationToken;

use super::error::Failure;
use super::{Body, Proxy, request_validation};
use crate::outbox::Notifier;
use crate::support::error_chain::chain;
use crate::upload::{Uploads, WriteKind};
use crate::variant::ObjectKey;

impl Proxy {
    /// Whether a request is an upload. Where they are not enabled none is.
    #[must_use]
    pub fn takes_upload(&self, method: &Method, path: &str) -> bool {
        self.uploads.is_some() && Uploads::matches(method, path)
    }

    /// Answers an upload of `client`. What is remembered of the original's key is forgotten before anybody hears of it.
    pub async fn upload<B>(self: &Arc<Self>, client: IpAddr, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let span = self.traces.request_span_or_parent(&request);
        let response = span.instrument(self.receive(client, request)).await;
        span.record_response(response.status(), None);
        response
    }

    async fn receive<B>(self: &Arc<Self>, client: IpAddr, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let Some(uploads) = &self.uploads else { return self.problem(&Failure::Method) };
        if let Err(failure) = request_validation::check(&request).and_then(|()| self.maker.rates().ask(client)) {
            return self.problem(&failure);
        }
        let this = self.clone();
        let on_write = move |key: ObjectKey, written| {
            let this = this.clone();
            async move {
                match written {
                    WriteKind::Created => this.forget(&key),
                    WriteKind::MayReplace => this.replaced(&key).await,
                }
            }
            .boxed()
        };
        uploads.handle(client, request, Box::new(on_write)).await.map(Either::Left)
    }

    /// The purge of an original that was replaced. Where the variants' store fails, those there are found stale by their
    /// original's ETag when it is next looked at.
    async fn replaced(&self, key: &ObjectKey) {
        for last in [false, false, true] {
            match self.purge(key).await {
                Ok(_) => return,
                Err(error) if last => {
                    tracing::error!(original = %key, error = chain(&error), "old variants are still stored; purge it");
                }
                Err(_) => {}
            }
        }
    }

    /// The way to the API that hears of uploads, if there is one.
    #[must_use]
    pub fn notifier(&self) -> Option<&Notifier> {
        self.notifier.as_ref()
    }

    /// Delivers what waits in the outbox, until `stop`; it returns at once if no API is to hear of uploads.
    pub async fn notify(&self, stop: CancellationToken) {
        if let Some(notifier) = &self.notifier {
            notifier.sweep(stop).await;
        }
    }
}
