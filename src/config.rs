//! config.toml as types: every setting, its unit, its default and its check.
//!
//! The committed `config.toml` is the manual; a test holds it equal to [`Config::default`]. A value is looked
//! up in three places, the later one wins: the defaults here, the file, the environment
//! (`RESIZED_CACHE__MEMORY=1GiB` sets `cache.memory`). Unknown keys and impossible values are errors that name
//! the key; nothing is clamped. This module knows no other part of the program.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

mod optional;
mod secret;
mod upload;

#[cfg(test)]
mod tests;

pub use secret::Secret;
pub use upload::{Notify, Overwrite, Upload, UploadToken};

/// Everything an operator can set.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub server: Server,
    pub answers: Answers,
    pub originals: Originals,
    pub variants: Variants,
    pub s3: S3,
    pub urls: Urls,
    /// Named sizes: `small = "300x300_crop"` makes `photo_small.jpg` mean `photo_300x300_crop.jpg`.
    pub presets: BTreeMap<String, String>,
    pub formats: Formats,
    pub limits: Limits,
    pub cache: Cache,
    pub work: Work,
    pub fleet: Fleet,
    pub log: Log,
    pub admin: Admin,
    pub upload: Upload,
    pub notify: Notify,
}

/// The listening socket and its connections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    pub listen: SocketAddr,
    /// Serving threads, each with its own listener; 0 is one a core.
    pub threads: usize,
    pub connections: NonZeroUsize,
    /// How long a connection may take until its next request's header is there whole.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// How long a client may take no byte of its answer.
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
    /// How long requests, flights and write-backs may take to end after SIGTERM.
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
    /// A request's line and header together; more is 431.
    pub header_bytes: ByteSize,
    /// The URL under which clients reach this server, if redirects must be kept from it; empty is unknown.
    pub public_url: String,
    /// Networks whose `Forwarded`, `X-Forwarded-For` and PROXY protocol headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether connections from trusted networks begin with a PROXY protocol header, version 1 or 2.
    pub proxy_protocol: bool,
    pub tls: Tls,
}

/// HTTPS, when both files are named.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The certificate and those that it was signed by, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

impl Tls {
    /// Whether HTTPS is spoken, in place of HTTP.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.certificate.as_os_str().is_empty()
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            threads: 0,
            connections: nonzero(10_000),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
            header_bytes: ByteSize::kib(16),
            public_url: String::new(),
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            tls: Tls::default(),
        }
    }
}

/// How a variant is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The variant's bytes.
    Stream,
    /// A redirect to the stored variant's public URL.
    Redirect,
}

/// What answers look like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answers {
    pub mode: Mode,
    pub cache_control: String,
    pub redirect_cache_control: String,
    pub original_cache_control: String,
    pub error_cache_control: String,
    /// 301, 302, 307 or 308.
    pub redirect_status: u16,
    /// `Access-Control-Allow-Origin` on every image answer; empty sends none.
    pub allow_origin: String,
    /// `Timing-Allow-Origin`; empty sends none.
    pub timing_allow_origin: String,
    /// `Cross-Origin-Resource-Policy`; empty sends none.
    pub resource_policy: String,
    /// Further headers of every image answer.
    pub headers: BTreeMap<String, String>,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            mode: Mode::Stream,
            cache_control: "public, max-age=86400".into(),
            redirect_cache_control: "public, max-age=86400".into(),
            original_cache_control: "public, max-age=3600".into(),
            error_cache_control: "public, max-age=10".into(),
            redirect_status: 301,
            allow_origin: "*".into(),
            timing_allow_origin: "*".into(),
            resource_policy: "cross-origin".into(),
            headers: BTreeMap::new(),
        }
    }
}

/// Which plain originals (no size suffix) are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Serve {
    /// Those whose first bytes say that they are an image we know.
    Images,
    /// Every object of the originals' store.
    All,
    /// None: 404.
    None,
}

/// The store of uploaded pictures. Only uploads write it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Originals {
    /// `file:directory` or `s3://bucket/prefix`.
    pub store: String,
    /// Base URL under which clients can reach the originals' bucket; in redirect mode plain originals go there.
    pub public_url: String,
    pub serve: Serve,
    /// Objects are never replaced under their key: variants are trusted for ever.
    pub immutable: bool,
}

impl Default for Originals {
    fn default() -> Self {
        Self { store: "file:samples".into(), public_url: String::new(), serve: Serve::Images, immutable: false }
    }
}

/// The store that variants are written back to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Variants {
    /// `file:directory` or `s3://bucket/prefix`.
    pub store: String,
    /// Base URL under which clients can reach the variants' bucket: the target of redirects.
    pub public_url: String,
}

impl Default for Variants {
    fn default() -> Self {
        Self { store: "file:variants".into(), public_url: String::new() }
    }
}

/// How S3 is reached, for every `s3://` store. Credentials come from the usual AWS places, never from here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3 {
    /// Empty is AWS itself; `http://127.0.0.1:8333` is a server of one's own.
    pub endpoint: String,
    /// Empty takes the region from the AWS environment.
    pub region: String,
    /// `endpoint/bucket/key` in place of `bucket.endpoint/key`.
    pub path_style: bool,
    /// Sends unsigned requests, for public buckets.
    pub anonymous: bool,
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// From the end of the request to the first byte of the answer, and between two reads of a body.
    #[serde(with = "humantime_serde")]
    pub read_timeout: Duration,
    /// One try, up to the answer's headers.
    #[serde(with = "humantime_serde")]
    pub attempt_timeout: Duration,
    /// All tries of one request together.
    #[serde(with = "humantime_serde")]
    pub operation_timeout: Duration,
    pub attempts: NonZeroU32,
    /// Requests to S3 under way at once.
    pub concurrency: NonZeroUsize,
    /// Requests in a row that fail before the store counts as gone.
    pub circuit_failures: NonZeroU32,
    /// How long all requests to a store that is gone fail at once, before one is sent to see.
    #[serde(with = "humantime_serde")]
    pub circuit_pause: Duration,
}

impl Default for S3 {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            region: String::new(),
            path_style: false,
            anonymous: false,
            connect_timeout: Duration::from_secs(2),
            read_timeout: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(10),
            operation_timeout: Duration::from_secs(25),
            attempts: NonZeroU32::new(3).unwrap_or(NonZeroU32::MIN),
            concurrency: nonzero(256),
            circuit_failures: NonZeroU32::new(10).unwrap_or(NonZeroU32::MIN),
            circuit_pause: Duration::from_secs(2),
        }
    }
}

/// Which shapes of URL name a variant.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Urls {
    /// Also take `/dir/300x300/name.jpeg` for `/dir/name.jpeg`.
    pub segment: bool,
}

/// Qualities, 1 to 100, where the URL names none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Formats {
    /// Formats to choose from by the client's `Accept` where the URL does not convert: `["webp"]`. Empty is off.
    pub negotiate: Vec<String>,
    pub jpeg_quality: u8,
    pub webp_quality: u8,
    pub avif_quality: u8,
    /// Whether JPEGs are progressive.
    pub jpeg_progressive: bool,
    /// The most colours of a PNG, 2 to 256; 0 is all there are.
    pub png_colours: u16,
    /// Whether pictures are made small in light rather than in numbers.
    pub linear_light: bool,
}

impl Default for Formats {
    fn default() -> Self {
        Self {
            negotiate: Vec::new(),
            jpeg_quality: 80,
            webp_quality: 80,
            avif_quality: 60,
            jpeg_progressive: false,
            png_colours: 0,
            linear_light: false,
        }
    }
}

/// What is refused because it is too large.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The longest side that a URL may ask for, in pixels.
    pub max_side: NonZeroU16,
    /// Width times height of an original, from its header.
    pub input_pixels: u64,
    /// Width times height of a variant.
    pub output_pixels: u64,
    /// Frames of an animation.
    pub frames: NonZeroU32,
    /// Width times height times frames of an animation.
    pub animation_pixels: u64,
    /// Scans of a JPEG.
    pub scans: NonZeroU32,
    /// Processor time that one variant may take.
    #[serde(with = "humantime_serde")]
    pub render_time: Duration,
    pub incomplete: Incomplete,
    pub original_bytes: ByteSize,
    /// Of a variant as it is found in the store; a larger one is not ours.
    pub variant_bytes: ByteSize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_side: NonZeroU16::new(4096).unwrap_or(NonZeroU16::MAX),
            input_pixels: 100_000_000,
            output_pixels: 20_000_000,
            frames: NonZeroU32::new(1000).unwrap_or(NonZeroU32::MAX),
            animation_pixels: 400_000_000,
            scans: NonZeroU32::new(64).unwrap_or(NonZeroU32::MAX),
            render_time: Duration::from_secs(30),
            incomplete: Incomplete::Refuse,
            original_bytes: ByteSize::mib(64),
            variant_bytes: ByteSize::mib(32),
        }
    }
}

/// What becomes of originals that are cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Incomplete {
    Refuse,
    /// What can be decoded is the picture.
    Keep,
}

/// What is remembered in memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// Bytes of renditions, their headers and keys.
    pub memory: ByteSize,
    /// How long a failure (404, undecodable) is answered from memory.
    #[serde(with = "humantime_serde")]
    pub failures: Duration,
    /// How long a variant is answered from memory before its original is asked for its ETag again.
    #[serde(with = "humantime_serde")]
    pub revalidate_after: Duration,
}

impl Default for Cache {
    fn default() -> Self {
        Self { memory: ByteSize::mib(256), failures: Duration::from_secs(5), revalidate_after: Duration::from_secs(60) }
    }
}

/// What is done when there is more work than memory or queues for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overload {
    /// 503 with `Retry-After`.
    Refuse,
    /// 307 to the original, where clients can reach that.
    Original,
}

/// Work in progress: what making variants may use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Work {
    /// Resize threads, at lower priority than serving; 0 is one a core.
    pub threads: usize,
    /// Bytes of originals being downloaded or waiting for a thread.
    pub download_memory: ByteSize,
    /// Bytes of pixels being worked on.
    pub pixel_memory: ByteSize,
    /// How long a request waits for memory and a thread before 503.
    #[serde(with = "humantime_serde")]
    pub queue_time: Duration,
    /// How many may wait; one more is 503 at once.
    pub queue_length: NonZeroUsize,
    /// Bytes of variants waiting to be written back behind their answers.
    pub write_back_memory: ByteSize,
    /// How many variants may be looked up or made at once; one more is 503.
    pub flights: NonZeroUsize,
    /// How long a flight may take in all before its waiters hear 504.
    #[serde(with = "humantime_serde")]
    pub flight_time: Duration,
    pub overload: Overload,
}

impl Default for Work {
    fn default() -> Self {
        Self {
            threads: 0,
            download_memory: ByteSize::mib(256),
            pixel_memory: ByteSize::mib(512),
            queue_time: Duration::from_secs(10),
            queue_length: nonzero(1000),
            write_back_memory: ByteSize::mib(64),
            flights: nonzero(4096),
            flight_time: Duration::from_secs(60),
            overload: Overload::Refuse,
        }
    }
}

/// Many nodes on one bucket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fleet {
    /// Of many nodes only one makes a variant; the others wait for it.
    pub lease: bool,
    /// How long the others wait before they take a lease over.
    #[serde(with = "humantime_serde")]
    pub lease_time: Duration,
}

impl Default for Fleet {
    fn default() -> Self {
        Self { lease: false, lease_time: Duration::from_secs(10) }
    }
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// What is written to standard output (requests) and standard error (everything else).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives such as `resized=debug,hyper=warn`.
    pub level: String,
    /// One line a request.
    pub access: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".into(), access: true }
    }
}

/// The second listener: health, numbers and the operator's commands. Never for clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// `None`, written `""`, is no such listener.
    #[serde(with = "optional")]
    pub listen: Option<SocketAddr>,
    /// Required where `listen` is not a loopback address.
    pub token: Secret,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: Some(SocketAddr::from(([127, 0, 0, 1], 8081))), token: Secret::default() }
    }
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{0}")]
    Read(#[from] Box<figment::Error>),
    #[error("{key}: {problem}")]
    Value { key: &'static str, problem: String },
}

impl Config {
    /// Defaults, then the file (if given), then the environment.
    ///
    /// # Errors
    /// An unreadable file, an unknown key, a value of the wrong shape, or values that contradict each other.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = file {
            upload::refuse_secrets(&Figment::from(Toml::file_exact(file)))?;
            figment = figment.merge(Toml::file_exact(file));
        }
        let config: Self = figment.merge(Env::prefixed("RESIZED_").split("__")).extract().map_err(Box::new)?;
        config.check()?;
        Ok(config)
    }

    /// Refuses what no single type can: values that contradict each other.
    fn check(&self) -> Result<(), ConfigError> {
        let quality = 1..=100;
        if !quality.contains(&self.formats.jpeg_quality) {
            return refuse("formats.jpeg_quality", "must be 1 to 100");
        }
        if !quality.contains(&self.formats.webp_quality) {
            return refuse("formats.webp_quality", "must be 1 to 100");
        }
        if self.answers.mode == Mode::Redirect && self.variants.public_url.is_empty() {
            return refuse(
                "variants.public_url",
                "is needed when answers.mode is \"redirect\": set the base URL that clients reach the variants' bucket under",
            );
        }
        if ![301, 302, 307, 308].contains(&self.answers.redirect_status) {
            return refuse("answers.redirect_status", "must be 301, 302, 307 or 308");
        }
        if self.answers.mode == Mode::Redirect {
            self.check_redirects()?;
        }
        if self.server.tls.is_on() == self.server.tls.key.as_os_str().is_empty() {
            return refuse("server.tls", "needs both certificate and key, or neither");
        }
        if self.server.proxy_protocol && self.server.trusted_proxies.is_empty() {
            return refuse(
                "server.trusted_proxies",
                "is needed with server.proxy_protocol: list the proxies' networks",
            );
        }
        if self.limits.original_bytes > self.work.download_memory {
            return refuse(
                "work.download_memory",
                "must be at least limits.original_bytes, or the largest original could never be downloaded",
            );
        }
        if self.admin.listen.is_some_and(|listen| !listen.ip().is_loopback()) && self.admin.token.is_empty() {
            return refuse(
                "admin.token",
                "is needed when admin.listen is not a loopback address: set RESIZED_ADMIN__TOKEN to a long random text",
            );
        }
        upload::check(self)
    }
}

impl Config {
    /// Refuses redirects that would come back here.
    fn check_redirects(&self) -> Result<(), ConfigError> {
        let targets =
            [("variants.public_url", &self.variants.public_url), ("originals.public_url", &self.originals.public_url)];
        let own = [
            format!("http://{}", self.server.listen),
            format!("https://{}", self.server.listen),
            format!("http://localhost:{}", self.server.listen.port()),
            format!("https://localhost:{}", self.server.listen.port()),
            self.server.public_url.trim_end_matches('/').to_owned(),
        ];
        let below = |url: &str, own: &str| {
            let url = url.to_ascii_lowercase();
            let rest = url.strip_prefix(&own.to_ascii_lowercase()).unwrap_or("no");
            !own.is_empty() && (rest.is_empty() || rest.starts_with('/'))
        };
        for (key, url) in targets {
            if own.iter().any(|own| below(url, own)) {
                return refuse(
                    key,
                    "is this server's own: redirects would come back here; name the bucket's public URL",
                );
            }
        }
        Ok(())
    }
}

fn refuse(key: &'static str, problem: &str) -> Result<(), ConfigError> {
    Err(ConfigError::Value { key, problem: problem.to_owned() })
}

fn nonzero(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN)
}
