//! Reading of headers. The time of a header grows with the size of its file, so headers are read on threads of lower
//! priority instead of the threads that serve requests.

use bytes::Bytes;
use pixels::{Header, Limits};
use tokio::sync::Semaphore;

use super::error::RenderError;
use crate::support::priority;

/// Maximum number of headers that are read at the same time. Each takes at most [`pixels::HEADER_BYTES_MAX`].
const HEADERS_MAX: usize = 4;

static HEADERS: Semaphore = Semaphore::const_new(HEADERS_MAX);

/// Reads the header of an original and checks it against `limits`.
///
/// # Errors
/// See [`Header::read`].
pub async fn read_header(original: Bytes, limits: Limits) -> Result<Header, RenderError> {
    let permit = HEADERS.acquire().await.map_err(|_| RenderError::Stopped)?;
    let read = priority::blocking(move || {
        // The permit is held until the end, even if the caller stops waiting.
        let _permit = permit;
        Header::read(&original, &limits)
    });
    Ok(read.await.map_err(|_| RenderError::Panicked)??)
}
