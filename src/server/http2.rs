//! Serves HTTP/2 connections.
//!
//! A stream hands its body to `h2` only as far as the client's flow-control windows allow. So all bytes that wait for a
//! window belong to a stream that is still being served, and a stream whose client takes nothing can be reset.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use h2::server::{Builder, SendResponse};
use h2::{RecvStream, server};
use http::{Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};

use super::idle_timeout::Activity;
use crate::proxy::Body;
use crate::support::open_bodies::BodyPermit;
use crate::support::pace::{BlockedTime, Pace};
use crate::support::request_filter::{FIELDS_MAX, HEADER_BYTES_MAX};

mod date;
mod request_body;
mod response_body;

pub(super) use request_body::RequestBody;
use response_body::ResponseStream;

/// The settings and the shared state of one HTTP/2 connection.
pub(super) struct Http2 {
    pub(super) activity: Arc<Activity>,
    /// Number of requests after which the connection is closed; 0 means no limit.
    pub(super) requests_max: usize,
    /// Maximum time without progress of one response.
    pub(super) write_timeout: Duration,
    pub(super) blocked: Arc<BlockedTime>,
    /// True if the requests may have bodies.
    pub(super) takes_uploads: bool,
}

/// The response of one stream.
pub(super) enum StreamResponse {
    /// A response with the permit that it holds until it is sent.
    Admitted(Response<Body>, BodyPermit),
    /// A response without a permit, so it must not wait for its client.
    Refused(Response<Bytes>),
}

/// Maximum number of concurrent streams on a connection (RFC 9113 section 6.5.2 recommends at least 100).
pub(super) const STREAMS_MAX: u32 = 100;

/// Bytes of a body that `h2` may hold for a stream until the socket takes them.
const SEND_BUFFER_BYTES: usize = 64 << 10;

/// Bytes of request bodies that a client may send before they are read, if uploads are enabled.
const UPLOAD_WINDOW_BYTES: u32 = 128 << 10;

/// Bytes of request bodies that a client may send otherwise. Nothing reads them.
const WINDOW_BYTES: u32 = 65_535;

impl Http2 {
    /// Answers requests with `service` until either side closes the connection. `closing` ends when the server wants to
    /// close it: then the streams in progress are finished.
    ///
    /// # Errors
    /// The client violates the protocol, or the stream fails.
    pub(super) async fn serve<S, F>(
        &self,
        stream: S,
        service: impl Fn(Request<RequestBody>) -> F,
        closing: impl Future<Output = ()>,
    ) -> Result<(), h2::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        F: Future<Output = StreamResponse>,
    {
        let mut connection: server::Connection<S, Bytes> = self.builder().handshake(stream).await?;
        let mut streams = FuturesUnordered::new();
        let (mut closing, mut is_closing) = (pin!(closing), false);
        poll_fn(|context| {
            if !is_closing && (closing.as_mut().poll(context).is_ready() || self.is_last_request()) {
                is_closing = true;
                connection.graceful_shutdown();
            }
            loop {
                while let Poll::Ready(Some(())) = streams.poll_next_unpin(context) {}
                match connection.poll_accept(context) {
                    Poll::Ready(Some(Ok((request, respond)))) => {
                        streams.push(self.serve_stream(request, respond, &service));
                    }
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                    Poll::Ready(None) => return Poll::Ready(Ok(())),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    fn builder(&self) -> Builder {
        let window = if self.takes_uploads { UPLOAD_WINDOW_BYTES } else { WINDOW_BYTES };
        let mut builder = server::Builder::new();
        builder
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX))
            .max_send_buffer_size(SEND_BUFFER_BYTES)
            .initial_window_size(window)
            .initial_connection_window_size(window);
        builder
    }

    fn is_last_request(&self) -> bool {
        self.requests_max != 0 && self.activity.total_requests() >= self.requests_max
    }

    /// Answers one request.
    async fn serve_stream<F>(
        &self,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
        service: &impl Fn(Request<RequestBody>) -> F,
    ) where
        F: Future<Output = StreamResponse>,
    {
        let _active = self.activity.start_request(request.version());
        if request.headers().len() > FIELDS_MAX {
            let mut refusal = Response::new(Bytes::new());
            *refusal.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            // An error means that the connection is closed.
            let _ = response_body::refuse(refusal, respond);
            return;
        }
        let response = {
            let mut answering = pin!(service(request.map(RequestBody::new)));
            poll_fn(|context| match answering.as_mut().poll(context) {
                Poll::Ready(response) => Poll::Ready(Some(response)),
                // The client may reset the stream meanwhile.
                Poll::Pending => respond.poll_reset(context).map(|_| None),
            })
            .await
        };
        let sent = match response {
            None => return,
            Some(StreamResponse::Refused(response)) => response_body::refuse(response, respond),
            Some(StreamResponse::Admitted(response, _permit)) => {
                let stream = ResponseStream { pace: Pace::new(self.write_timeout), blocked: self.blocked.clone() };
                stream.send(response, respond).await
            }
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "stream failed");
        }
    }
}
