//! The checksums that S3 sends with objects.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc::{CRC_32_ISCSI, CRC_32_ISO_HDLC, CRC_64_NVME, Crc, Table};
use http::{HeaderMap, HeaderName};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

use crate::origin::error::StoreError;

/// The headers of checksums, the fastest algorithm first.
const HEADERS: [(HeaderName, fn() -> Algorithm); 5] = [
    (HeaderName::from_static("x-amz-checksum-crc64nvme"), || Algorithm::Crc64Nvme(CRC64_NVME.digest())),
    (HeaderName::from_static("x-amz-checksum-crc32c"), || Algorithm::Crc32(CRC32C.digest())),
    (HeaderName::from_static("x-amz-checksum-crc32"), || Algorithm::Crc32(CRC32.digest())),
    (HeaderName::from_static("x-amz-checksum-sha1"), || Algorithm::Sha(Context::new(&SHA1_FOR_LEGACY_USE_ONLY))),
    (HeaderName::from_static("x-amz-checksum-sha256"), || Algorithm::Sha(Context::new(&SHA256))),
];

static CRC64_NVME: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_NVME);
static CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);
static CRC32: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);

/// Compares received bytes with the checksum in a response's header.
pub(super) struct Checksum {
    header: HeaderName,
    expected: Vec<u8>,
    received: Algorithm,
}

enum Algorithm {
    Crc64Nvme(crc::Digest<'static, u64, Table<16>>),
    Crc32(crc::Digest<'static, u32, Table<16>>),
    Sha(Context),
}

impl Checksum {
    /// The fastest of the checksums in `headers`. Those of multipart uploads cover the checksums of the parts instead of the
    /// bytes; they end with the number of parts, so they are not Base64 and are ignored.
    pub(super) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        HEADERS.into_iter().find_map(|(header, algorithm)| {
            let expected = STANDARD.decode(headers.get(&header)?).ok()?;
            Some(Self { header, expected, received: algorithm() })
        })
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match &mut self.received {
            Algorithm::Crc64Nvme(digest) => digest.update(bytes),
            Algorithm::Crc32(digest) => digest.update(bytes),
            Algorithm::Sha(context) => context.update(bytes),
        }
    }

    /// # Errors
    /// The received bytes do not match the checksum.
    pub(super) fn verify(self) -> Result<(), StoreError> {
        let is_match = match self.received {
            Algorithm::Crc64Nvme(digest) => self.expected == digest.finalize().to_be_bytes(),
            Algorithm::Crc32(digest) => self.expected == digest.finalize().to_be_bytes(),
            Algorithm::Sha(context) => self.expected == context.finish().as_ref(),
        };
        if is_match {
            return Ok(());
        }
        Err(StoreError::Unavailable { source: format!("the bytes do not match {}", self.header).into() })
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checksum").field("header", &self.header).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checksums of "123456789" in Base64, as the AWS SDKs compute them.
    const KNOWN: [(&str, &str); 5] = [
        ("x-amz-checksum-crc64nvme", "rosUhgp5mIg="),
        ("x-amz-checksum-crc32c", "4waSgw=="),
        ("x-amz-checksum-crc32", "y/Q5Jg=="),
        ("x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
        ("x-amz-checksum-sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
    ];

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        [(HeaderName::from_static(name), value.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn every_algorithm_of_s3_is_verified() {
        for (name, value) in KNOWN {
            for (parts, is_match) in [([&b"1234"[..], b"56789"], true), ([b"1234", b"5678"], false)] {
                let mut checksum = Checksum::from_headers(&headers(name, value)).unwrap();
                parts.iter().for_each(|part| checksum.update(part));
                assert_eq!(checksum.verify().is_ok(), is_match, "{name}");
            }
        }
    }

    #[test]
    fn the_checksum_of_a_multipart_upload_is_ignored() {
        assert!(Checksum::from_headers(&headers("x-amz-checksum-crc32", "y/Q5Jg==-2")).is_none());
        assert!(Checksum::from_headers(&HeaderMap::new()).is_none());
    }
}
