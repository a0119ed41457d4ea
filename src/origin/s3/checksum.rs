//! Verifies the checksum that S3 sends with a whole object.

use aws_smithy_checksums::ChecksumAlgorithm;
use aws_smithy_checksums::http::{CHECKSUM_ALGORITHMS_IN_PRIORITY_ORDER, HttpChecksum};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;

use crate::origin::error::StoreError;

/// The checksum in a response, and the checksum of the bytes received so far.
pub(super) struct Checksum {
    received: Box<dyn HttpChecksum>,
    expected: Vec<u8>,
}

impl Checksum {
    /// The fastest checksum in the headers. The checksum of a multipart upload covers the checksums of its parts and
    /// cannot be verified; it ends with the number of parts, so it is not valid Base64 and is ignored here.
    pub(super) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let algorithms = CHECKSUM_ALGORITHMS_IN_PRIORITY_ORDER.into_iter();
        algorithms.filter_map(|name| name.parse::<ChecksumAlgorithm>().ok()).find_map(|algorithm| {
            let received = algorithm.into_impl();
            let expected = STANDARD.decode(headers.get(received.header_name())?).ok()?;
            Some(Self { received, expected })
        })
    }

    pub(super) fn update(&mut self, chunk: &[u8]) {
        self.received.update(chunk);
    }

    /// # Errors
    /// The received bytes have another checksum.
    pub(super) fn verify(self) -> Result<(), StoreError> {
        let algorithm = self.received.header_name();
        if self.received.finalize() == self.expected {
            return Ok(());
        }
        Err(StoreError::Unavailable { source: format!("the received bytes do not match {algorithm}").into() })
    }
}
