//! A server in this process, in front of an S3 server in this process, and an HTTP client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::{Client, Response, StatusCode};
use resized::app::{App, Listeners};
use resized::config::{Config, Mode, SpanExport, Tuning};
use resized::observability::metrics::Metrics;
use resized::proxy::Proxy;
use tokio_util::sync::CancellationToken;

use crate::support::bucket::Bucket;

/// The maximum time that a test waits for a condition.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running server and a client.
pub struct Stage {
    pub address: SocketAddr,
    pub proxy: Arc<Proxy>,
    pub metrics: Arc<Metrics>,
    client: Client,
    shutdown: CancellationToken,
    /// Returns true if all background tasks were finished.
    server: Option<JoinHandle<bool>>,
    /// The address of the admin listener, if it is configured.
    pub admin: Option<SocketAddr>,
}

/// The public base URL of variants in redirect mode.
pub const PUBLIC_URL: &str = "https://pictures.example.com/v";

/// Originals and variants in one bucket, below separate prefixes.
pub fn settings(bucket: &Bucket) -> Config {
    let mut config = Config::default();
    config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.server.threads = 1;
    config.server.drain_timeout = PATIENCE;
    // A thousand clients, all with the same address.
    config.server.connections = std::num::NonZeroUsize::new(1200).unwrap().into();
    config.server.connections_per_client = 0;
    config.log.access = false;
    config.admin.listen = None;
    config.s3.endpoint = bucket.url();
    config.s3.region = "us-east-1".into();
    config.s3.path_style = true;
    config.s3.anonymous = true;
    config.s3.attempts = std::num::NonZeroU32::MIN;
    config.originals.store = format!("s3://{}/originals", bucket.name()).parse().unwrap();
    config.variants.store = format!("s3://{}/variants", bucket.name()).parse().unwrap();
    config
}

/// Like [`settings`], in redirect mode.
pub fn redirecting(bucket: &Bucket) -> Config {
    let mut config = settings(bucket);
    config.answers.mode = Mode::Redirect;
    config.variants.public_url = PUBLIC_URL.into();
    config
}

/// Like [`settings`], for the real S3 server of `TEST_S3_ENDPOINT`, if set, below a prefix that contains `name` and the process
/// id.
pub fn real(bucket: &Bucket, name: &str) -> Option<Config> {
    let mut config = settings(bucket);
    config.s3.endpoint = std::env::var("TEST_S3_ENDPOINT").ok()?;
    config.s3.anonymous = false;
    let prefix = format!("s3://{}/{name}-{}", std::env::var("TEST_S3_BUCKET").unwrap(), std::process::id());
    config.originals.store = format!("{prefix}/originals").parse().unwrap();
    config.variants.store = format!("{prefix}/variants").parse().unwrap();
    Some(config)
}

/// Returns constants with which spans are exported immediately.
pub fn exporting_at_once() -> Tuning {
    let span_export = SpanExport { interval: Duration::from_millis(10), ..SpanExport::default() };
    Tuning { span_export, ..Tuning::default() }
}

impl Stage {
    /// Starts a server as `resized serve` does, on a free port.
    pub async fn start(config: Config) -> Self {
        Self::start_with(config, Tuning::default()).await
    }

    /// Like [`Stage::start`], with other constants.
    pub async fn start_with(config: Config, tuning: Tuning) -> Self {
        let listeners = Listeners::bind(&config).unwrap();
        let (address, admin) = (listeners.public.address(), listeners.admin_address().unwrap());
        let app = App::build(config, tuning).await.unwrap();
        let (proxy, metrics, shutdown) = (app.proxy(), app.metrics(), CancellationToken::new());
        let cancelled = shutdown.clone();
        let server = std::thread::spawn(move || app.run(listeners, &cancelled).unwrap());
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE).build().unwrap();
        Self { address, proxy, metrics, client, shutdown, server: Some(server), admin }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method.parse().unwrap(), self.url(path))
    }

    /// Creates a request to the admin listener.
    pub fn admin(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let address = self.admin.expect("settings with an admin.listen");
        self.client.request(method.parse().unwrap(), format!("http://{address}{path}"))
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request("GET", path).send().await.unwrap()
    }

    /// Sends the same GET request from `clients` concurrent connections. Returns the status, `Cache-Status` and body of each
    /// response.
    pub async fn herd(&self, clients: usize, path: &str) -> Vec<(StatusCode, String, Vec<u8>)> {
        join_all((0..clients).map(|_| async {
            let response = self.get(path).await;
            let cache = header(&response, "cache-status").to_owned();
            (response.status(), cache, response.bytes().await.unwrap().to_vec())
        }))
        .await
    }

    /// Begins a shutdown, like SIGTERM.
    pub fn drain(&self) {
        self.shutdown.cancel();
    }

    /// Shuts down like SIGTERM. Returns true if all background tasks were finished.
    pub async fn stop(mut self) -> bool {
        self.shutdown.cancel();
        let server = self.server.take().unwrap();
        tokio::task::spawn_blocking(move || server.join().unwrap()).await.unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Returns the value of a header, or "" if it is missing.
pub fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// Waits until `condition` is true.
#[track_caller]
pub fn until(description: &'static str, mut condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let start = Instant::now();
    async move {
        while !condition() {
            assert!(start.elapsed() < PATIENCE, "timeout: {description}");
            tokio::task::yield_now().await;
        }
    }
}
