//! A stage: a bucket, a proxy in front of it, and a client, each on a socket of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::{Client, Response, StatusCode};
use resized::admin;
use resized::admin::routes::{self, AdminContext};
use resized::config::{Config, Mode, SpanExport, Tuning};
use resized::observability::access_log::AccessLog;
use resized::observability::metrics::Metrics;
use resized::proxy::Proxy;
use resized::server::Server;
use resized::support::hot_swap::HotSwap;
use resized::support::tasks::Tasks;
use tokio_util::sync::CancellationToken;

use crate::support::bucket::Bucket;

/// No test waits longer than this for anything.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running proxy and a client of it.
pub struct Stage {
    pub address: SocketAddr,
    pub proxy: Arc<Proxy>,
    pub metrics: Arc<Metrics>,
    client: Client,
    stop: CancellationToken,
    server: Option<JoinHandle<bool>>,
    /// Where the admin listener is, if there is one.
    pub admin: Option<SocketAddr>,
}

/// The public base URL of variants in redirect mode.
pub const PUBLIC_URL: &str = "https://pictures.example.com/v";

/// Originals and variants in one bucket, each below a prefix of its own.
pub fn settings(bucket: &Bucket) -> Config {
    let mut config = Config::default();
    config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.server.threads = 1;
    config.server.drain_timeout = PATIENCE;
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

/// As [`settings`], answering with redirects.
pub fn redirecting(bucket: &Bucket) -> Config {
    let mut config = settings(bucket);
    config.answers.mode = Mode::Redirect;
    config.variants.public_url = PUBLIC_URL.into();
    config
}

/// As [`settings`], for the real server that `TEST_S3_ENDPOINT` names, if it does, below a prefix that begins with `name`
/// and is this process's own.
pub fn real(bucket: &Bucket, name: &str) -> Option<Config> {
    let mut config = settings(bucket);
    config.s3.endpoint = std::env::var("TEST_S3_ENDPOINT").ok()?;
    config.s3.anonymous = false;
    let prefix = format!("s3://{}/{name}-{}", std::env::var("TEST_S3_BUCKET").unwrap(), std::process::id());
    config.originals.store = format!("{prefix}/originals").parse().unwrap();
    config.variants.store = format!("{prefix}/variants").parse().unwrap();
    Some(config)
}

/// Constants with which recorded spans are exported at once.
pub fn exporting_at_once() -> Tuning {
    let span_export = SpanExport { interval: Duration::from_millis(10), ..SpanExport::default() };
    Tuning { span_export, ..Tuning::default() }
}

impl Stage {
    /// Starts a proxy as main does, on a free port.
    pub async fn start(config: Config) -> Self {
        Self::start_with(config, Tuning::default()).await
    }

    /// As [`Stage::start`], with other constants.
    pub async fn start_with(config: Config, tuning: Tuning) -> Self {
        let handle = tokio::runtime::Handle::current();
        let metrics = Arc::new(Metrics::new());
        let proxy = Proxy::open(&config, &tuning, Tasks::new(handle.clone()), metrics.clone()).await.unwrap();
        let proxy = Arc::new(proxy);
        let current = HotSwap::new(proxy.clone());
        let server = Server::bind(&config.server, &tuning).unwrap();
        let address = server.address();
        let log = AccessLog::start(&config.log, std::io::sink()).unwrap();
        let stop = CancellationToken::new();
        let (stopped, served) = (stop.clone(), proxy.clone());
        let admin = admin::bind(&config.admin).unwrap().map(|listener| {
            let address = listener.local_addr().unwrap();
            let server = routes::server(AdminContext {
                token: HotSwap::new(config.admin.token.clone()),
                config: HotSwap::new(config.clone()),
                proxy: current.clone(),
                notifier: proxy.notifier().cloned(),
                metrics: metrics.clone(),
                draining: stop.clone(),
                reload: Arc::new(|| Err("a stage has no configuration file".to_owned())),
            });
            handle.spawn(server.run(listener, CancellationToken::new()));
            address
        });
        let (notifying, stop_notifying) = (proxy.clone(), stop.clone());
        handle.spawn(async move { notifying.notify(stop_notifying).await });
        let server = std::thread::spawn(move || {
            server.run(&current, &log, &stopped).unwrap();
            handle.block_on(served.drain(config.server.drain_timeout))
        });
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE).build().unwrap();
        Self { address, proxy, metrics, client, stop, server: Some(server), admin }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method.parse().unwrap(), self.url(path))
    }

    /// A request to the admin listener.
    pub fn admin(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let address = self.admin.expect("settings with an admin.listen");
        self.client.request(method.parse().unwrap(), format!("http://{address}{path}"))
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request("GET", path).send().await.unwrap()
    }

    /// The same GET from so many clients at once, each on a connection of its own: statuses and `Cache-Status`.
    pub async fn herd(&self, clients: usize, path: &str) -> Vec<(StatusCode, String, Vec<u8>)> {
        join_all((0..clients).map(|_| async {
            let response = self.get(path).await;
            let cache = header(&response, "cache-status").to_owned();
            (response.status(), cache, response.bytes().await.unwrap().to_vec())
        }))
        .await
    }

    /// Begins to stop as SIGTERM does.
    pub fn drain(&self) {
        self.stop.cancel();
    }

    /// Stops as SIGTERM does; `true` if everything under way was finished.
    pub async fn stop(mut self) -> bool {
        self.stop.cancel();
        let server = self.server.take().unwrap();
        tokio::task::spawn_blocking(move || server.join().unwrap()).await.unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A header's text, or "" if there is none.
pub fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// Waits until `condition` holds.
#[track_caller]
pub fn until(what: &'static str, mut condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let start = Instant::now();
    async move {
        while !condition() {
            assert!(start.elapsed() < PATIENCE, "in vain: {what}");
            tokio::task::yield_now().await;
        }
    }
}
