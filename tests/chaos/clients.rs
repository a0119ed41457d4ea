//! Clients that request, upload, purge and replace pictures at random, and check every answer.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Client, Response, StatusCode, redirect};
use resized::variant::ObjectKey;
use serde_json::json;
use tokio::sync::watch;

use crate::Harness;
use crate::bucket::{address_of, original};
use crate::fleet::{NODES, NodeInstance, PUBLIC_URL, TOKEN};
use crate::model::PICTURES;
use crate::picture::Identity;
use crate::random::Random;

/// Suffix of each requested variant, and its size for an original of 480 x 320 pixels.
pub const VARIANTS: [(&str, u32, u32); 6] = [
    ("_60x40.jpg", 60, 40),
    ("_120x80.jpg", 120, 80),
    ("_240x160_q60.jpg", 240, 160),
    ("_120x80.jpg.webp", 120, 80),
    ("_90x60.jpg.png", 90, 60),
    ("-150x100.jpg", 150, 100),
];

/// Longer than any flight, queue or store operation may take. A request that exceeds it counts as hanging.
pub const HANG_TIMEOUT: Duration = Duration::from_secs(15);

const HERD: usize = 20;

/// Sends requests until `stopped` is true.
pub async fn run(harness: Arc<Harness>, mut random: Random, stopped: watch::Receiver<bool>) {
    let client = TestClient::new(&harness);
    while !*stopped.borrow() {
        tokio::time::sleep(Duration::from_millis(random.below(20))).await;
        let picture = random.zipf(PICTURES);
        let node = usize::try_from(random.below(NODES as u64)).unwrap();
        let Some(instance) = harness.fleet.instance(node) else { continue };
        let variant = random.choose(&VARIANTS);
        match random.below(100) {
            0..3 => client.fetch_missing(&instance, random.below(1000)).await,
            3..6 => drop(join_all((0..HERD).map(|_| client.fetch_and_check(&instance, picture, variant))).await),
            6..10 => harness.model.replace(&harness.bucket, picture).await,
            10..13 => client.upload(&instance, picture).await,
            13..15 => client.purge(&instance, picture).await,
            15..17 => client.event(&instance, picture).await,
            _ => client.fetch_and_check(&instance, picture, variant).await,
        }
    }
}

/// An HTTP client that checks its answers against the model.
pub struct TestClient<'a> {
    harness: &'a Harness,
    pub client: Client,
}

impl<'a> TestClient<'a> {
    pub fn new(harness: &'a Harness) -> Self {
        let client = Client::builder().redirect(redirect::Policy::none()).timeout(HANG_TIMEOUT).build().unwrap();
        Self { harness, client }
    }

    /// Sends a request. `None` without an answer, which is a violation unless the process was killed.
    async fn send(&self, instance: &NodeInstance, request: reqwest::RequestBuilder) -> Option<(Response, String)> {
        match request.send().await {
            Ok(response) => {
                let cache = response.headers().get("cache-status").map_or("", |value| value.to_str().unwrap());
                let cache = cache.to_owned();
                Some((response, cache))
            }
            Err(error) => {
                self.report_send_error(instance, &error);
                None
            }
        }
    }

    fn report_send_error(&self, instance: &NodeInstance, error: &reqwest::Error) {
        if self.harness.fleet.instance(instance.node).as_ref() == Some(instance) {
            let what = if error.is_timeout() { "hangs" } else { "breaks a connection" };
            self.harness.report.violation(format!("node {} is running and {what}: {error:?}", instance.node));
        } else {
            self.harness.report.count("answer: none, process killed");
        }
    }

    /// Requests a variant and checks it against the model.
    pub async fn fetch_and_check(&self, instance: &NodeInstance, picture: usize, variant: (&str, u32, u32)) {
        let path = format!("/p{picture}{}", variant.0);
        let floor = self.harness.model.oldest_allowed(picture, instance);
        let Some((response, cache)) = self.send(instance, self.client.get(format!("{}{path}", instance.url))).await
        else {
            return;
        };
        let status = response.status();
        let bytes = match status {
            StatusCode::OK => match response.bytes().await {
                Ok(bytes) => bytes,
                Err(error) => return self.report_send_error(instance, &error),
            },
            StatusCode::MOVED_PERMANENTLY => match self.follow(&response, picture, &cache).await {
                Some(bytes) => bytes,
                None => return,
            },
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT | StatusCode::SERVICE_UNAVAILABLE => {
                return self.harness.report.count(format!("answer: {status}"));
            }
            _ => return self.harness.report.violation(format!("{path}: {status}, {cache}")),
        };
        self.harness.report.count(format!("answer: {status}, {cache}"));
        let floor = if cache.contains("detail=stale") { 0 } else { floor };
        if let Err(problem) = self.check_picture(&bytes, picture, variant, floor) {
            self.harness.report.violation(format!("{path} of node {} ({status}, {cache}): {problem}", instance.node));
        }
    }

    /// Reads the object that a redirect leads to.
    async fn follow(&self, response: &Response, picture: usize, cache: &str) -> Option<bytes::Bytes> {
        let location = response.headers()["location"].to_str().unwrap();
        let key = location.strip_prefix(PUBLIC_URL).and_then(|rest| rest.split_once("?v=")).map(|(key, _)| key);
        let key = ObjectKey::new(key.unwrap_or_else(|| panic!("{location}"))).unwrap();
        match self.harness.bucket.variants.get_bounded(&key, 1 << 20).await {
            Ok(Some((_, bytes))) => return Some(bytes),
            Ok(None) if self.harness.model.was_purged_recently(picture) => {
                self.harness.report.count("answer: 301 to a variant that another node just purged");
            }
            // A node that cannot reach the store does not learn of deletions by other nodes.
            Ok(None) if cache.contains("detail=stale") => {
                self.harness.report.count("answer: 301, stale, to a deleted object")
            }
            Ok(None) => {
                self.harness.report.violation(format!("a redirect leads to a missing object: {location} ({cache})"))
            }
            Err(_) => self.harness.report.count("answer: 301, bucket unavailable"),
        }
        None
    }

    fn check_picture(&self, bytes: &[u8], picture: usize, variant: (&str, u32, u32), floor: u32) -> Result<(), String> {
        let (identity, width, height) = Identity::read(bytes)?;
        if identity.number != u32::try_from(picture).unwrap() {
            return Err(format!("wrong picture: {identity:?}"));
        }
        if (width, height) != (variant.1, variant.2) {
            return Err(format!("wrong size: {width} x {height}"));
        }
        let ceiling = self.harness.model.newest_possible(picture);
        if identity.version > ceiling {
            return Err(format!("version {} is newer than the newest written one, {ceiling}", identity.version));
        }
        if identity.version < floor {
            return Err(format!("version {} is stale, {floor} replaced it", identity.version));
        }
        Ok(())
    }

    async fn fetch_missing(&self, instance: &NodeInstance, number: u64) {
        let path = format!("/missing-{number}_60x40.jpg");
        let Some((response, _)) = self.send(instance, self.client.get(format!("{}{path}", instance.url))).await else {
            return;
        };
        let status = response.status();
        self.harness.report.count(format!("answer for a missing original: {status}"));
        if status != StatusCode::NOT_FOUND && !status.is_server_error() {
            self.harness.report.violation(format!("{path}: {status}"));
        }
    }

    async fn upload(&self, instance: &NodeInstance, picture: usize) {
        let Some((identity, _guard)) = self.harness.model.begin_replace(picture) else { return };
        self.harness.model.record_purge(picture);
        let url = format!("{}/upload/{}", instance.url, original(picture));
        let put = self.client.put(url).bearer_auth(TOKEN).body(identity.encode());
        let answer = self.send(instance, put).await;
        let status = answer.map(|(response, _)| response.status());
        self.harness.report.count(format!("upload: {status:?}"));
        self.harness.model.record_purge(picture);
        if status.is_some_and(|status| status.is_success()) {
            self.harness.model.invalidated(picture, instance, identity.version);
            return self.harness.model.record_stored(picture, identity.version);
        }
        if let Some(status) = status.filter(|status| !status.is_server_error()) {
            self.harness.report.violation(format!("an upload was answered with {status}"));
        }
        self.harness.model.record_observed(picture, self.harness.bucket.read_original(picture).await.version);
    }

    async fn purge(&self, instance: &NodeInstance, picture: usize) {
        let url = format!("{}/purge/{}", instance.admin, original(picture));
        self.forget(instance, picture, self.client.post(url), "purge").await;
    }

    async fn event(&self, instance: &NodeInstance, picture: usize) {
        let address = address_of("originals");
        let (bucket, prefix) = address.strip_prefix("s3://").unwrap().split_once('/').unwrap();
        let s3 = json!({"bucket": {"name": bucket}, "object": {"key": format!("{prefix}/{}", original(picture))}});
        let event = json!({"Records": [{"eventName": "ObjectCreated:Put", "s3": s3}]});
        let post = self.client.post(format!("{}/events", instance.admin)).body(event.to_string());
        self.forget(instance, picture, post, "event").await;
    }

    async fn forget(&self, instance: &NodeInstance, picture: usize, request: reqwest::RequestBuilder, what: &str) {
        let current = self.harness.model.current(picture);
        self.harness.model.record_purge(picture);
        let Some((response, _)) = self.send(instance, request).await else { return };
        let status = response.status();
        self.harness.report.count(format!("{what}: {status}"));
        self.harness.model.record_purge(picture);
        if status.is_success() {
            self.harness.model.invalidated(picture, instance, current);
        } else if !status.is_server_error() {
            self.harness.report.violation(format!("a {what} was answered with {status}"));
        }
    }
}
