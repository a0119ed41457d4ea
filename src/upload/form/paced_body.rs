//! Gives the parser of a form no more bytes than it needs.
//!
//! The parser reads all bytes that have arrived into memory before it returns the next part. A fast client, or a part
//! with an endless header, would thus fill the memory.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use crate::upload::body::UploadBody;
use crate::upload::error::UploadError;

/// A body that is passed on in pieces, each when the parser cannot continue without it.
pub(super) struct PacedBody {
    body: UploadBody,
    rest: Bytes,
    pace: Pace,
}

/// The reader's side of a [`PacedBody`]. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// The parser must first try to continue with the bytes that it has.
    is_paused: AtomicBool,
    /// Bytes that the parser got since [`Pace::next`].
    read: AtomicUsize,
}

const PIECE_BYTES: usize = 16 * 1024;

/// Bytes that the parser may get without returning a part or some of its content, which is enough for the header of a
/// part.
const READ_BYTES_MAX: usize = 64 * 1024;

impl Pace {
    /// Must be called before each call of the parser.
    pub(super) fn next(&self) {
        self.0.is_paused.store(true, Ordering::Relaxed);
        self.0.read.store(0, Ordering::Relaxed);
    }
}

impl PacedBody {
    pub(super) fn new(body: UploadBody, pace: Pace) -> Self {
        Self { body, rest: Bytes::new(), pace }
    }
}

impl Stream for PacedBody {
    type Item = Result<Bytes, UploadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let state = self.pace.0.clone();
        if state.is_paused.swap(false, Ordering::Relaxed) {
            // If the parser needs more bytes, it waits and is polled again at once.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if state.read.load(Ordering::Relaxed) > READ_BYTES_MAX {
            let detail = "the header of a form part is too long, or the body does not start with the boundary";
            return Poll::Ready(Some(Err(UploadError::BadRequest(detail.into()))));
        }
        while self.rest.is_empty() {
            match ready!(self.body.poll_next_unpin(context)) {
                Some(Ok(chunk)) => self.rest = chunk,
                end => return Poll::Ready(end),
            }
        }
        let length = self.rest.len().min(PIECE_BYTES);
        let piece = self.rest.split_to(length);
        state.is_paused.store(true, Ordering::Relaxed);
        state.read.fetch_add(piece.len(), Ordering::Relaxed);
        Poll::Ready(Some(Ok(piece)))
    }
}
