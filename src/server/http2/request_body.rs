//! The body of an HTTP/2 request.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body, Frame, SizeHint};

/// Reads the body of a request. Trailers are ignored.
#[derive(Debug)]
pub(in crate::server) struct RequestBody(RecvStream);

impl RequestBody {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self(stream)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let Some(data) = ready!(self.0.poll_data(context)) else { return Poll::Ready(None) };
        Poll::Ready(Some(data.and_then(|data| {
            // The client may send as many bytes again.
            self.0.flow_control().release_capacity(data.len())?;
            Ok(Frame::data(data))
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
