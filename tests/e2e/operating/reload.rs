//! Other settings in a program that runs: what they change, what they cannot, and that nobody notices the change itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use reqwest::{Client, Response, StatusCode};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::bucket::{Bucket, Operation};
use crate::support::collector::Collector;
use crate::support::node::{Node, on_bucket};
use crate::support::pictures::{jpeg, see};
use crate::support::stage::until;

/// A node and its settings in a file.
struct Stand {
    bucket: Bucket,
    node: Node,
    folder: tempfile::TempDir,
    client: Client,
}

impl Stand {
    async fn start(toml: &str) -> Self {
        let bucket = Bucket::start().await;
        bucket.put_object("originals/cat.jpg", jpeg(64, 48), "image/jpeg");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, toml).unwrap();
        let settings = on_bucket(&bucket);
        let node =
            tokio::task::spawn_blocking(move || Node::start_with(&["--config".as_ref(), file.as_os_str()], &settings));
        Self { bucket, node: node.await.unwrap(), folder, client: Client::new() }
    }

    fn write(&self, toml: &str) {
        std::fs::write(self.folder.path().join("config.toml"), toml).unwrap();
    }

    async fn reload(&self, token: &str) -> (StatusCode, String) {
        let request = self.client.post(format!("{}/reload", self.node.admin)).bearer_auth(token);
        let answer = request.send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.node.url)).send().await.unwrap()
    }

    async fn cache_control(&self) -> String {
        let answer = self.get("/cat_32x.jpg").await;
        answer.headers()["cache-control"].to_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn presets_limits_answers_and_the_token_change_at_once() {
    let stand = Stand::start("[answers]\ncache_control = \"max-age=1\"\n[admin]\ntoken = \"first\"").await;
    assert_eq!(stand.cache_control().await, "max-age=1");
    assert_eq!(stand.get("/cat_small.jpg").await.status(), StatusCode::NOT_FOUND);
    stand.write(
        "[answers]\ncache_control = \"max-age=2\"\n[admin]\ntoken = \"second\"\n[presets]\nsmall = \"20x20\"\n\
         [limits]\nmax_side = 100",
    );
    let (status, text) = stand.reload("first").await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, "{\"reloaded\":true,\"restart\":[]}\n"));
    assert_eq!(stand.cache_control().await, "max-age=2", "of what is in memory, too");
    assert_eq!(see(&stand.get("/cat_small.jpg").await.bytes().await.unwrap()).width, 20);
    assert_eq!(stand.get("/cat_101x.jpg").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(stand.reload("first").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(stand.reload("second").await.0, StatusCode::OK);
    until("it is logged", || stand.node.told().contains("settings reloaded")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_over_its_rate_stays_there_until_the_rate_changes() {
    let limited = "[rates]\nrequests_per_client = 2\n";
    let stand = Stand::start(limited).await;
    let status = async || stand.get("/cat_32x.jpg").await.status();
    assert_eq!((status().await, status().await), (StatusCode::OK, StatusCode::OK));
    assert_eq!(status().await, StatusCode::TOO_MANY_REQUESTS);
    stand.write(&format!("{limited}[limits]\nmax_side = 100\n"));
    assert_eq!(stand.reload("").await.0, StatusCode::OK);
    assert_eq!(status().await, StatusCode::TOO_MANY_REQUESTS);
    stand.write("[rates]\nrequests_per_client = 0\n");
    assert_eq!(stand.reload("").await.0, StatusCode::OK);
    assert_eq!(status().await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_kept() {
    let stand = Stand::start("[originals]\nimmutable = true").await;
    assert_eq!(stand.get("/cat_32x.jpg").await.status(), StatusCode::OK);
    until("it is stored", || !stand.bucket.keys("variants/").is_empty()).await;
    let asked = stand.bucket.count(Operation::Get, "");
    stand.write("[originals]\nimmutable = true\n[limits]\nmax_side = 100");
    assert_eq!(stand.reload("").await.0, StatusCode::OK);
    let hit = stand.get("/cat_32x.jpg").await;
    assert_eq!(hit.headers()["cache-status"], "resized; hit");
    assert_eq!(stand.bucket.count(Operation::Get, ""), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_be_used_change_nothing_and_are_told() {
    let good = "[answers]\ncache_control = \"max-age=1\"\n";
    let stand = Stand::start(good).await;
    let broken = [
        ("[answers]\ncache_control = \"max-age=2\"\n[cache]\nmemroy = 1", "did you mean cache.memory"),
        ("[answers]\ncache_control = \"max-age=2\"\n[presets]\nsmall = \"huge\"", "presets.small"),
        ("[answers]\ncache_control = \"max-age=2\"\n[server.tls]\ncertificate = \"no\"\nkey = \"no\"", "server.tls"),
        ("[answers]\ncache_control = \"max-age=2\"\n[log]\nlevel = \"a=b=c\"", "log.level"),
        ("[answers]\ncache_control = \"two\\nlines\"", "answers.cache_control"),
        ("[answers", "TOML"),
    ];
    for (toml, expected) in broken {
        stand.write(toml);
        let (status, text) = stand.reload("").await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{toml}");
        assert!(text.starts_with("settings not reloaded: ") && text.contains(expected), "{expected}: {text}");
        assert_eq!(stand.cache_control().await, "max-age=1", "{toml}");
    }
    until("it is logged", || stand.node.told().matches("settings not reloaded").count() == broken.len()).await;
    stand.write("[answers]\ncache_control = \"max-age=3\"\n");
    assert_eq!(stand.reload("").await.0, StatusCode::OK);
    assert_eq!(stand.cache_control().await, "max-age=3");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_restart_is_named_and_stays() {
    let stand = Stand::start("[cache]\nmemory = \"1MiB\"").await;
    // The same number in another spelling is no change.
    stand.write("[cache]\nmemory = \"1 MiB\"\n[work]\nflight_time = \"50s\"");
    assert_eq!(stand.reload("").await.1, "{\"reloaded\":true,\"restart\":[]}\n");
    stand.write("[cache]\nmemory = \"2MiB\"\n[work]\nthreads = 3\n[limits]\nmax_side = 100");
    let expected = "{\"reloaded\":true,\"restart\":[\"cache.memory\",\"work.threads\"]}\n";
    assert_eq!(stand.reload("").await.1, expected);
    assert_eq!(stand.get("/cat_101x.jpg").await.status(), StatusCode::NOT_FOUND, "the rest is reloaded");
    until("it is logged", || stand.node.told().contains("cache.memory, work.threads")).await;
    assert_eq!(stand.reload("").await.1, expected, "until it is restarted");
}

#[tokio::test(flavor = "multi_thread")]
async fn how_many_requests_are_traced_changes_at_once_and_where_to_at_a_restart() {
    let (collector, other) = (Collector::start().await, Collector::start().await);
    let to = |collector: &Collector, sample: u8| {
        format!("[traces]\nendpoint = \"{}\"\ninterval = \"10ms\"\nsample = {sample}", collector.url())
    };
    let stand = Stand::start(&to(&collector, 0)).await;
    assert_eq!(stand.get("/cat_32x.jpg").await.status(), StatusCode::OK);
    stand.write(&to(&collector, 1));
    assert_eq!(stand.reload("").await.1, "{\"reloaded\":true,\"restart\":[]}\n");
    assert_eq!(stand.get("/cat_33x.jpg").await.status(), StatusCode::OK);
    until("it is told", || collector.spans().iter().any(|span| span.name == "GET")).await;
    assert!(
        collector.spans().iter().all(|span| span.attributes.get("url.path").is_none_or(|path| path == "/cat_33x.jpg"))
    );
    stand.write(&to(&other, 1));
    assert_eq!(stand.reload("").await.1, "{\"reloaded\":true,\"restart\":[\"traces.endpoint\"]}\n");
    assert_eq!(stand.get("/cat_34x.jpg").await.status(), StatusCode::OK);
    let is_told = |span: &crate::support::collector::Span| {
        span.attributes.get("url.path").is_some_and(|path| path == "/cat_34x.jpg")
    };
    until("it is told to the former", || collector.spans().iter().any(is_told)).await;
    assert_eq!(other.spans(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_reloads_under_load_drop_no_request() {
    let stand = Arc::new(Stand::start("").await);
    let (ended, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|n| {
            let (stand, ended, answered) = (stand.clone(), ended.clone(), answered.clone());
            tokio::spawn(async move {
                let mut side = 10;
                while !ended.load(Ordering::Relaxed) {
                    // A hit, and now and then something to be made.
                    side =
                        if answered.load(Ordering::Relaxed).is_multiple_of(50) { 10 + (side + n) % 50 } else { side };
                    let answer = stand.get(&format!("/cat_{side}x.jpg")).await;
                    assert_eq!(answer.status(), StatusCode::OK);
                    assert!(!answer.bytes().await.unwrap().is_empty());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let process = Pid::from_raw(i32::try_from(stand.node.id()).unwrap()).unwrap();
    for n in 1..=100 {
        stand.write(&format!("[answers]\ncache_control = \"max-age={n}\"\n[limits]\nmax_side = {}", 1000 + n));
        kill_process(process, Signal::HUP).unwrap();
        let before = answered.load(Ordering::Relaxed);
        until("requests are answered meanwhile", || answered.load(Ordering::Relaxed) > before + 4).await;
        until("it is reloaded", || stand.node.told().matches("settings reloaded").count() >= n).await;
    }
    ended.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(stand.cache_control().await, "max-age=100");
}
