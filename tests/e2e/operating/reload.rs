//! Reloads of the configuration: their effect, their limits, and that no request fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use reqwest::{Client, Response, StatusCode};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::bucket::{Bucket, Operation};
use crate::support::collector::Collector;
use crate::support::node::{Node, on_bucket};
use crate::support::pictures::{jpeg, see};
use crate::support::stage::until;

/// A node with a configuration file.
struct ConfiguredNode {
    bucket: Bucket,
    process: Node,
    folder: tempfile::TempDir,
    client: Client,
}

impl ConfiguredNode {
    async fn start(toml: &str) -> Self {
        let bucket = Bucket::start().await;
        bucket.put_object("originals/cat.jpg", jpeg(64, 48), "image/jpeg");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, toml).unwrap();
        let settings = on_bucket(&bucket);
        let process =
            tokio::task::spawn_blocking(move || Node::start_with(&["--config".as_ref(), file.as_os_str()], &settings));
        Self { bucket, process: process.await.unwrap(), folder, client: Client::new() }
    }

    fn write(&self, toml: &str) {
        std::fs::write(self.folder.path().join("config.toml"), toml).unwrap();
    }

    async fn reload(&self, token: &str) -> (StatusCode, String) {
        let request = self.client.post(format!("{}/reload", self.process.admin)).bearer_auth(token);
        let answer = request.send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.process.url)).send().await.unwrap()
    }

    async fn cache_control(&self) -> String {
        let answer = self.get("/cat_32x.jpg").await;
        answer.headers()["cache-control"].to_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn presets_limits_response_headers_and_the_token_are_reloaded() {
    let node = ConfiguredNode::start("[answers]\ncache_control = \"max-age=1\"\n[admin]\ntoken = \"first\"").await;
    assert_eq!(node.cache_control().await, "max-age=1");
    assert_eq!(node.get("/cat_small.jpg").await.status(), StatusCode::NOT_FOUND);
    node.write(
        "[answers]\ncache_control = \"max-age=2\"\n[admin]\ntoken = \"second\"\n[presets]\nsmall = \"20x20\"\n\
         [limits]\nmax_side = 100",
    );
    let (status, text) = node.reload("first").await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, "{\"reloaded\":true,\"restart\":[]}\n"));
    assert_eq!(node.cache_control().await, "max-age=2", "of cached responses, too");
    assert_eq!(see(&node.get("/cat_small.jpg").await.bytes().await.unwrap()).width, 20);
    assert_eq!(node.get("/cat_101x.jpg").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(node.reload("first").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(node.reload("second").await.0, StatusCode::OK);
    until("the reload is logged", || node.process.log().contains("settings reloaded")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_rate_limit_counts_unless_the_rate_changes() {
    let limited = "[rates]\nrequests_per_client = 2\n";
    let node = ConfiguredNode::start(limited).await;
    let status = async || node.get("/cat_32x.jpg").await.status();
    assert_eq!((status().await, status().await), (StatusCode::OK, StatusCode::OK));
    assert_eq!(status().await, StatusCode::TOO_MANY_REQUESTS);
    node.write(&format!("{limited}[limits]\nmax_side = 100\n"));
    assert_eq!(node.reload("").await.0, StatusCode::OK);
    assert_eq!(status().await, StatusCode::TOO_MANY_REQUESTS);
    node.write("[rates]\nrequests_per_client = 0\n");
    assert_eq!(node.reload("").await.0, StatusCode::OK);
    assert_eq!(status().await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_cached_variants() {
    let node = ConfiguredNode::start("[originals]\nimmutable = true").await;
    assert_eq!(node.get("/cat_32x.jpg").await.status(), StatusCode::OK);
    until("the variant is stored", || !node.bucket.keys("variants/").is_empty()).await;
    let asked = node.bucket.count(Operation::Get, "");
    node.write("[originals]\nimmutable = true\n[limits]\nmax_side = 100");
    assert_eq!(node.reload("").await.0, StatusCode::OK);
    let hit = node.get("/cat_32x.jpg").await;
    assert_eq!(hit.headers()["cache-status"], "resized; hit");
    assert_eq!(node.bucket.count(Operation::Get, ""), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_settings_change_nothing_and_are_reported() {
    let good = "[answers]\ncache_control = \"max-age=1\"\n";
    let node = ConfiguredNode::start(good).await;
    let broken = [
        ("[answers]\ncache_control = \"max-age=2\"\n[cache]\nmemroy = 1", "did you mean cache.memory"),
        ("[answers]\ncache_control = \"max-age=2\"\n[presets]\nsmall = \"huge\"", "presets.small"),
        ("[answers]\ncache_control = \"max-age=2\"\n[server.tls]\ncertificate = \"no\"\nkey = \"no\"", "server.tls"),
        ("[answers]\ncache_control = \"max-age=2\"\n[log]\nlevel = \"a=b=c\"", "log.level"),
        ("[answers]\ncache_control = \"two\\nlines\"", "answers.cache_control"),
        ("[answers", "TOML"),
    ];
    for (toml, expected) in broken {
        node.write(toml);
        let (status, text) = node.reload("").await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{toml}");
        assert!(text.starts_with("settings not reloaded: ") && text.contains(expected), "{expected}: {text}");
        assert_eq!(node.cache_control().await, "max-age=1", "{toml}");
    }
    until("the reload is logged", || node.process.log().matches("settings not reloaded").count() == broken.len()).await;
    node.write("[answers]\ncache_control = \"max-age=3\"\n");
    assert_eq!(node.reload("").await.0, StatusCode::OK);
    assert_eq!(node.cache_control().await, "max-age=3");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_need_a_restart_are_reported_and_unchanged() {
    let node = ConfiguredNode::start("[cache]\nmemory = \"1MiB\"").await;
    // Another spelling of the same value is not a change.
    node.write("[cache]\nmemory = \"1 MiB\"\n[work]\nflight_time = \"50s\"");
    assert_eq!(node.reload("").await.1, "{\"reloaded\":true,\"restart\":[]}\n");
    node.write("[cache]\nmemory = \"2MiB\"\n[work]\nthreads = 3\n[limits]\nmax_side = 100");
    let expected = "{\"reloaded\":true,\"restart\":[\"cache.memory\",\"work.threads\"]}\n";
    assert_eq!(node.reload("").await.1, expected);
    assert_eq!(node.get("/cat_101x.jpg").await.status(), StatusCode::NOT_FOUND, "other settings are reloaded");
    until("the reload is logged", || node.process.log().contains("cache.memory, work.threads")).await;
    assert_eq!(node.reload("").await.1, expected, "reported until the restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_sample_is_reloaded_and_the_endpoint_needs_a_restart() {
    let (collector, other) = (Collector::start().await, Collector::start().await);
    let to =
        |collector: &Collector, sample: u8| format!("[traces]\nendpoint = \"{}\"\nsample = {sample}", collector.url());
    let node = ConfiguredNode::start(&to(&collector, 0)).await;
    assert_eq!(node.get("/cat_32x.jpg").await.status(), StatusCode::OK);
    node.write(&to(&collector, 1));
    assert_eq!(node.reload("").await.1, "{\"reloaded\":true,\"restart\":[]}\n");
    assert_eq!(node.get("/cat_33x.jpg").await.status(), StatusCode::OK);
    until("the span is exported", || collector.spans().iter().any(|span| span.name == "GET")).await;
    assert!(
        collector.spans().iter().all(|span| span.attributes.get("url.path").is_none_or(|path| path == "/cat_33x.jpg"))
    );
    node.write(&to(&other, 1));
    assert_eq!(node.reload("").await.1, "{\"reloaded\":true,\"restart\":[\"traces.endpoint\"]}\n");
    assert_eq!(node.get("/cat_34x.jpg").await.status(), StatusCode::OK);
    let is_exported = |span: &crate::support::collector::Span| {
        span.attributes.get("url.path").is_some_and(|path| path == "/cat_34x.jpg")
    };
    until("the span is exported to the old endpoint", || collector.spans().iter().any(is_exported)).await;
    assert_eq!(other.spans(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_reloads_under_load_fail_no_request() {
    let node = Arc::new(ConfiguredNode::start("").await);
    let (ended, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|n| {
            let (node, ended, answered) = (node.clone(), ended.clone(), answered.clone());
            tokio::spawn(async move {
                let mut side = 10;
                while !ended.load(Ordering::Relaxed) {
                    // Mostly cache hits, sometimes a new variant.
                    side =
                        if answered.load(Ordering::Relaxed).is_multiple_of(50) { 10 + (side + n) % 50 } else { side };
                    let answer = node.get(&format!("/cat_{side}x.jpg")).await;
                    assert_eq!(answer.status(), StatusCode::OK);
                    assert!(!answer.bytes().await.unwrap().is_empty());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let process = Pid::from_raw(i32::try_from(node.process.id()).unwrap()).unwrap();
    for n in 1..=100 {
        node.write(&format!("[answers]\ncache_control = \"max-age={n}\"\n[limits]\nmax_side = {}", 1000 + n));
        kill_process(process, Signal::HUP).unwrap();
        let before = answered.load(Ordering::Relaxed);
        until("requests are answered during the reload", || answered.load(Ordering::Relaxed) > before + 4).await;
        until("the settings are reloaded", || node.process.log().matches("settings reloaded").count() >= n).await;
    }
    ended.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(node.cache_control().await, "max-age=100");
}
