//! Uploads and notifications: `[upload]` and `[notify]`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use humantime_serde::Serde;
use serde::{Deserialize, Serialize};

use crate::config::error::{InvalidSetting, refuse};
use crate::config::nonzero::nonzero;
use crate::config::secret::Secret;
use crate::config::serde_with::optional;
use crate::config::store_address::StoreAddress;

/// Uploads to an existing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overwrite {
    /// The upload is refused with 409.
    Never,
    /// The object is replaced if the preconditions of the request hold.
    Always,
}

/// The upload endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upload {
    pub enabled: bool,
    /// A token with all permissions. Set by the environment only.
    pub token: Secret,
    pub tokens: Vec<UploadToken>,
    /// Template of generated keys.
    pub key_template: String,
    /// Accepted media types.
    pub types: Vec<String>,
    /// Maximum size of one upload.
    pub bytes: ByteSize,
    pub overwrite: Overwrite,
    /// Base of the URLs in responses. Empty uses `originals.public_url`.
    pub base_url: String,
    /// Origins of web pages that may upload.
    pub allow_origins: Vec<String>,
    /// Maximum number of concurrent uploads.
    pub concurrency: NonZeroUsize,
    /// Maximum time between two reads of a body.
    #[serde(with = "humantime_serde")]
    pub read_timeout: Duration,
    /// Maximum time for one upload in total.
    #[serde(with = "humantime_serde")]
    pub total_timeout: Duration,
    /// Form fields that are kept in addition to the file.
    pub fields: Vec<String>,
    /// Signs the grants of presigned uploads. Set by the environment only.
    pub secret: Secret,
    /// S3 endpoint in presigned URLs. Empty means `s3.endpoint`.
    pub presigned_endpoint: String,
    /// Validity of a presigned URL.
    #[serde(with = "humantime_serde")]
    pub presigned_lifetime: Duration,
}

impl Default for Upload {
    fn default() -> Self {
        Self {
            enabled: false,
            token: Secret::default(),
            tokens: Vec::new(),
            key_template: "{yyyy}/{mm}/{uuid}.{ext}".into(),
            types: [
                "image/jpeg",
                "image/png",
                "image/webp",
                "image/gif",
                "image/avif",
                "image/jxl",
                "image/tiff",
                "image/bmp",
                "image/x-icon",
            ]
            .map(Into::into)
            .into(),
            bytes: ByteSize::mib(64),
            overwrite: Overwrite::Never,
            base_url: String::new(),
            allow_origins: Vec::new(),
            concurrency: nonzero(512),
            read_timeout: Duration::from_secs(30),
            total_timeout: Duration::from_secs(600),
            fields: Vec::new(),
            secret: Secret::default(),
            presigned_endpoint: String::new(),
            presigned_lifetime: Duration::from_secs(900),
        }
    }
}

/// Size of the pieces in which a body is received. Each upload holds one of them.
pub const UPLOAD_PIECE_BYTES: usize = 64 << 10;

/// Bodies up to this size do not wait for the memory of larger ones.
pub const UPLOAD_SMALL_BYTES_MAX: u64 = 1 << 20;

/// Objects up to this size are written with one PUT. S3 requires that every part except the last has at least 5 MiB.
pub const UPLOAD_PART_BYTES_MIN: u64 = 5 << 20;

/// Maximum number of parts, a limit of S3 (Amazon S3 User Guide, "Amazon S3 multipart upload limits").
const PARTS_PER_UPLOAD_MAX: u64 = 10_000;

/// Size of the parts of an object of `bytes`, in whole KiB.
#[must_use]
pub fn upload_part_bytes(bytes: u64) -> u64 {
    UPLOAD_PART_BYTES_MIN.max(bytes.div_ceil(PARTS_PER_UPLOAD_MAX).next_multiple_of(1024))
}

impl Upload {
    /// Memory of all bodies that are being received.
    #[must_use]
    pub fn receiving_bytes(&self) -> u64 {
        (self.concurrency.get() as u64).saturating_mul(UPLOAD_PIECE_BYTES as u64)
    }

    /// Size of the largest part of an upload.
    #[must_use]
    pub fn part_bytes(&self) -> u64 {
        let of_tokens = self.tokens.iter().filter_map(|token| token.bytes);
        upload_part_bytes(of_tokens.fold(self.bytes, ByteSize::max).as_u64())
    }

    /// Memory with which all uploads can be received, while a small body and a part of a large one are sent to the bucket.
    #[must_use]
    pub fn memory_min(&self) -> u64 {
        self.receiving_bytes().saturating_add(UPLOAD_SMALL_BYTES_MAX).saturating_add(self.part_bytes())
    }
}

/// A token, by its hash, and its permissions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadToken {
    /// Name in the log.
    pub name: String,
    /// SHA-256 of the token in hexadecimal.
    pub sha256: String,
    /// Prefix of the keys that the token may write.
    #[serde(default)]
    pub prefix: String,
    /// Maximum size of one upload. `None` means `upload.bytes`.
    #[serde(default)]
    pub bytes: Option<ByteSize>,
}

/// The API that is notified of uploads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Notify {
    /// URL of the API. Empty disables notifications.
    pub url: String,
    /// Signing secret. Set by the environment only.
    pub secret: Secret,
    /// File with the signing secret, instead of `secret`.
    pub secret_file: PathBuf,
    /// Store for undelivered notifications. Empty means the variants' store.
    #[serde(with = "optional")]
    pub outbox: Option<StoreAddress>,
    /// Maximum time that the response to an upload waits for the delivery.
    #[serde(with = "humantime_serde")]
    pub wait: Duration,
    /// Maximum time for one delivery attempt.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// Pauses before the second and later attempts.
    pub retries: Vec<Serde<Duration>>,
    /// Interval between two checks of the outbox.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
}

impl Default for Notify {
    fn default() -> Self {
        let (minute, hour) = (60, 3600);
        let retries = [5, 5 * minute, 30 * minute, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour];
        Self {
            url: String::new(),
            secret: Secret::default(),
            secret_file: PathBuf::new(),
            outbox: None,
            wait: Duration::from_secs(2),
            timeout: Duration::from_secs(10),
            retries: retries.map(|seconds| Serde::from(Duration::from_secs(seconds))).into(),
            poll_interval: Duration::from_secs(5),
        }
    }
}

/// Minimum length of a token or secret. A shorter one could be guessed.
const TOKEN_CHARACTERS_MIN: usize = 32;

/// Longest validity of a presigned URL that S3 accepts (Signature Version 4, `X-Amz-Expires`).
const SIGN_TIME_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

pub(in crate::config) fn check(upload: &Upload) -> Result<(), InvalidSetting> {
    if upload.token.is_empty() && upload.tokens.is_empty() {
        return refuse(
            "upload.tokens",
            "is required if uploads are enabled: add a token, or set RESIZED_UPLOAD__TOKEN",
        );
    }
    for (key, secret) in [("upload.token", &upload.token), ("upload.secret", &upload.secret)] {
        if !secret.is_empty() && secret.reveal().len() < TOKEN_CHARACTERS_MIN {
            return refuse(key, "has less than 32 characters and could be guessed: use `openssl rand -hex 32`");
        }
    }
    if upload.presigned_lifetime > SIGN_TIME_MAX || upload.presigned_lifetime.is_zero() {
        return refuse("upload.presigned_lifetime", "must be more than zero and at most seven days, the limit of S3");
    }
    let is_name = |name: &String| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if !upload.fields.iter().all(is_name) {
        return refuse(
            "upload.fields",
            "must be names of lower-case letters, digits and hyphens: other names do not survive in S3 metadata",
        );
    }
    for token in &upload.tokens {
        if token.sha256.len() != 64 || !token.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return refuse("upload.tokens", "needs 64 hexadecimal digits as sha256: `printf %s TOKEN | sha256sum`");
        }
    }
    Ok(())
}
