//! Dispatches uploads to the upload endpoint, and purges the originals that it writes.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Method, Request, Response};
use http_body::Body as HttpBody;
use http_body_util::Either;

use super::Proxy;
use super::error::RequestError;
use super::request::validation::validate;
use super::response::Body;
use crate::upload::{Uploads, WriteKind};
use crate::variant::ObjectKey;

impl Proxy {
    /// True if the request is for the upload endpoint and uploads are enabled.
    #[must_use]
    pub fn takes_upload(&self, method: &Method, path: &str) -> bool {
        self.uploads.is_some() && Uploads::matches(method, path)
    }

    /// Responds to an upload of `client`. The original is removed from the caches before the client gets its response
    /// and before the API is notified.
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
        let Some(uploads) = &self.uploads else { return self.error_response(&RequestError::MethodNotAllowed) };
        if let Err(error) = validate(&request).and_then(|()| self.check_request_rate(client)) {
            return self.error_response(&error);
        }
        let this = self.clone();
        let on_write = move |key: ObjectKey, written| {
            let this = this.clone();
            async move {
                match written {
                    WriteKind::Created => this.forget(&key),
                    WriteKind::MayReplace => this.purge_replaced(&key).await,
                }
            }
            .boxed()
        };
        uploads.handle(client, request, Box::new(on_write)).await.map(Either::Left)
    }
}
