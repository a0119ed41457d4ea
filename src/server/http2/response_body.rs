//! Sends one response over HTTP/2, as far and as fast as the client's windows allow.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE};
use http::{HeaderMap, HeaderValue, Response};
use http_body::Body as _;
use tokio::time::{Instant, timeout};

use super::{SEND_BUFFER_BYTES, date};
use crate::proxy::Body;
use crate::support::pace::{BlockedTime, Pace};

/// The response of one stream.
pub(super) struct ResponseStream {
    pub(super) pace: Pace,
    pub(super) blocked: Arc<BlockedTime>,
}

/// Why a response was not sent completely. Except for an error of the connection, the stream has been reset.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error("the client reset the stream")]
    Reset,
    #[error("the client reads too slowly (server.write_timeout)")]
    TooSlow,
    #[error("the store failed while the body was sent")]
    Body,
    #[error(transparent)]
    Connection(#[from] h2::Error),
}

/// Minimum time between two checks of a stream that waits for a window.
const RECHECK_MIN: Duration = Duration::from_millis(1);

/// Sends a response that must not wait for its client. If the client has no window for the body, the body is left out.
///
/// # Errors
/// The connection is closed.
pub(super) fn refuse(response: Response<Bytes>, mut respond: SendResponse<Bytes>) -> Result<(), SendError> {
    let (mut head, body) = response.into_parts();
    remove_connection_headers(&mut head.headers);
    head.headers.remove(CONTENT_LENGTH);
    head.headers.insert(DATE, date::now());
    let mut stream = respond.send_response(Response::from_parts(head, ()), body.is_empty())?;
    if !body.is_empty() {
        stream.reserve_capacity(body.len());
        let body = if stream.capacity() < body.len() { Bytes::new() } else { body };
        stream.send_data(body, true)?;
    }
    Ok(())
}

/// HTTP/2 has no such headers (RFC 9113 section 8.2.2).
fn remove_connection_headers(headers: &mut HeaderMap) {
    headers.remove(CONNECTION);
}

impl ResponseStream {
    /// Sends the header and the body.
    ///
    /// # Errors
    /// See [`SendError`].
    pub(super) async fn send(
        mut self,
        response: Response<Body>,
        mut respond: SendResponse<Bytes>,
    ) -> Result<(), SendError> {
        let (mut head, body) = response.into_parts();
        remove_connection_headers(&mut head.headers);
        head.headers.entry(DATE).or_insert_with(date::now);
        let is_empty = body.is_end_stream();
        if !is_empty && let Some(bytes) = body.size_hint().exact() {
            head.headers.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(bytes));
        }
        let mut stream = respond.send_response(Response::from_parts(head, ()), is_empty)?;
        if is_empty { Ok(()) } else { self.send_body(body, &mut stream).await }
    }

    async fn send_body(&mut self, body: Body, stream: &mut SendStream<Bytes>) -> Result<(), SendError> {
        let mut body = pin!(body);
        loop {
            let frame = poll_fn(|context| match body.as_mut().poll_frame(context) {
                Poll::Ready(frame) => Poll::Ready(Ok(frame)),
                Poll::Pending => stream.poll_reset(context).map(|_| Err(SendError::Reset)),
            });
            let data = match frame.await? {
                None => return Ok(stream.send_data(Bytes::new(), true)?),
                Some(Err(_)) => {
                    stream.send_reset(Reason::INTERNAL_ERROR);
                    return Err(SendError::Body);
                }
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            };
            let is_last = body.is_end_stream();
            self.send_data(data, is_last, stream).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Sends `data` in pieces that fit into the client's window.
    async fn send_data(
        &mut self,
        mut data: Bytes,
        is_last: bool,
        stream: &mut SendStream<Bytes>,
    ) -> Result<(), SendError> {
        if data.is_empty() && is_last {
            stream.send_data(data, true)?;
            return Ok(());
        }
        while !data.is_empty() {
            stream.reserve_capacity(data.len().min(SEND_BUFFER_BYTES));
            let capacity = match stream.capacity() {
                0 => self.wait_for_capacity(stream).await?,
                capacity => capacity,
            };
            let piece = data.split_to(data.len().min(capacity));
            self.pace.took(piece.len());
            stream.send_data(piece, is_last && data.is_empty())?;
        }
        Ok(())
    }

    /// Waits until the client opens its window. The time for which the socket is blocked does not count: the pace of
    /// the connection limits it, and other streams may have filled the socket.
    async fn wait_for_capacity(&mut self, stream: &mut SendStream<Bytes>) -> Result<usize, SendError> {
        loop {
            let (start, blocked) = (Instant::now(), self.blocked.total());
            let patience = self.pace.credit().max(RECHECK_MIN);
            let granted = timeout(patience, poll_fn(|context| stream.poll_capacity(context))).await;
            let blocked = self.blocked.total().saturating_sub(blocked);
            self.pace.waited(start.elapsed().saturating_sub(blocked));
            match granted {
                Ok(Some(granted)) => match granted? {
                    0 => {}
                    capacity => return Ok(capacity),
                },
                Ok(None) => return Err(SendError::Reset),
                Err(_) if self.pace.credit().is_zero() => {
                    stream.send_reset(Reason::CANCEL);
                    return Err(SendError::TooSlow);
                }
                Err(_) => {}
            }
        }
    }
}
