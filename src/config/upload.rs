//! Uploads and the API that hears of them.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use humantime_serde::Serde;
use serde::{Deserialize, Serialize};

use super::check::{InvalidSetting, refuse};
use super::{Config, Secret, StoreAddress, nonzero};

/// What an upload may do to a key that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overwrite {
    /// Nothing: 409.
    Never,
    /// Replace it, if the request's preconditions hold.
    Always,
}

/// The upload endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upload {
    pub enabled: bool,
    /// Only from the environment.
    pub token: Secret,
    pub tokens: Vec<UploadToken>,
    /// The template of generated keys.
    pub key: String,
    /// Media types that are taken.
    pub types: Vec<String>,
    pub bytes: ByteSize,
    pub overwrite: Overwrite,
    /// Where clients reach this server; empty takes `originals.public_url`.
    pub base_url: String,
    /// Origins of pages that may upload from a browser.
    pub allow_origins: Vec<String>,
    pub concurrency: NonZeroUsize,
    /// Between two reads of a body.
    #[serde(with = "humantime_serde")]
    pub read_timeout: Duration,
    /// One upload in all.
    #[serde(with = "humantime_serde")]
    pub time: Duration,
    /// Requests of one client without a right token that are answered 401 in a minute; more are 429.
    pub forged_per_minute: u32,
    /// Of a form's other fields, those that are kept.
    pub fields: Vec<String>,
    /// Signs completions; only from the environment.
    pub secret: Secret,
    /// The S3 endpoint as clients reach it; empty is `s3.endpoint`.
    pub sign_endpoint: String,
    /// How long a signed URL can be used.
    #[serde(with = "humantime_serde")]
    pub sign_time: Duration,
}

impl Default for Upload {
    fn default() -> Self {
        Self {
            enabled: false,
            token: Secret::default(),
            tokens: Vec::new(),
            key: "{yyyy}/{mm}/{uuid}.{ext}".into(),
            types: ["image/jpeg", "image/png", "image/webp", "image/gif", "image/avif"].map(Into::into).into(),
            bytes: ByteSize::mib(64),
            overwrite: Overwrite::Never,
            base_url: String::new(),
            allow_origins: Vec::new(),
            concurrency: nonzero(512),
            read_timeout: Duration::from_secs(30),
            time: Duration::from_secs(600),
            forged_per_minute: 60,
            fields: Vec::new(),
            secret: Secret::default(),
            sign_endpoint: String::new(),
            sign_time: Duration::from_secs(900),
        }
    }
}

/// A token by its hash, and what it may do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadToken {
    /// For the log.
    pub name: String,
    /// Of the token, in hexadecimal.
    pub sha256: String,
    /// What the keys it writes begin with.
    #[serde(default)]
    pub prefix: String,
    /// The most that one upload may have; `upload.bytes` if it is not given.
    #[serde(default)]
    pub bytes: Option<ByteSize>,
}

/// The API that hears of uploads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Notify {
    /// Empty is none.
    pub url: String,
    /// Only from the environment.
    pub secret: Secret,
    pub secret_file: PathBuf,
    /// A store; empty is the variants'.
    #[serde(with = "super::optional")]
    pub outbox: Option<StoreAddress>,
    /// How long an upload's answer waits for the delivery.
    #[serde(with = "humantime_serde")]
    pub wait: Duration,
    /// One delivery.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// Pauses before each further try.
    pub retries: Vec<Serde<Duration>>,
    /// Between two looks through the outbox.
    #[serde(with = "humantime_serde")]
    pub poll: Duration,
    pub concurrency: NonZeroUsize,
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
            poll: Duration::from_secs(5),
            concurrency: nonzero(8),
        }
    }
}

/// A token shorter than this could be guessed.
const TOKEN_CHARACTERS_MIN: usize = 32;

/// What S3 signs for at most (Signature Version 4, `X-Amz-Expires`).
const SIGN_TIME_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Values of both sections that contradict each other.
pub(super) fn check(config: &Config) -> Result<(), InvalidSetting> {
    let Config { upload, notify, .. } = config;
    if !upload.enabled {
        return Ok(());
    }
    if upload.token.is_empty() && upload.tokens.is_empty() {
        return refuse("upload.tokens", "is needed when uploads are enabled, or RESIZED_UPLOAD__TOKEN");
    }
    for (key, secret) in [("upload.token", &upload.token), ("upload.secret", &upload.secret)] {
        if !secret.is_empty() && secret.reveal().len() < TOKEN_CHARACTERS_MIN {
            return refuse(key, "could be guessed: take at least 32 characters, such as of `openssl rand -hex 32`");
        }
    }
    if upload.sign_time > SIGN_TIME_MAX || upload.sign_time.is_zero() {
        return refuse("upload.sign_time", "must be more than nothing and at most seven days, as S3 has it");
    }
    let is_name = |name: &String| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if !upload.fields.iter().all(is_name) {
        return refuse("upload.fields", "must be names of lower-case letters, digits and hyphens, as S3 keeps them");
    }
    for token in &upload.tokens {
        if token.sha256.len() != 64 || !token.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return refuse("upload.tokens", "needs 64 hexadecimal digits for sha256: `printf %s TOKEN | sha256sum`");
        }
    }
    if upload.base_url.is_empty() && config.originals.public_url.is_empty() {
        return refuse(
            "upload.base_url",
            "is needed when uploads are enabled: set the URL that clients reach this server by",
        );
    }
    if upload.bytes > config.limits.original_bytes {
        return refuse(
            "upload.bytes",
            "must be at most limits.original_bytes, or what is uploaded could not be resized",
        );
    }
    if !notify.url.is_empty() && notify.secret.is_empty() && notify.secret_file.as_os_str().is_empty() {
        return refuse("notify.secret", "is needed with notify.url: set RESIZED_NOTIFY__SECRET, or notify.secret_file");
    }
    Ok(())
}
