//! The admin listener: health checks, metrics, commands, pages and access control.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use resized::config::Config;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::bucket::{Bucket, Fault, Operation};
use crate::support::node::TOKEN;
use crate::support::pictures::{jpeg, see};
use crate::support::receiver::{Behavior, Receiver, SECRET};
use crate::support::stage::{Stage, header, settings, until};

fn operated(bucket: &Bucket) -> Config {
    let mut config = settings(bucket);
    config.admin.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    config
}

async fn bucket_with_a_cat() -> Bucket {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/cat.jpg", jpeg(160, 120), "image/jpeg");
    bucket
}

/// The current metrics, by series.
async fn scrape(stage: &Stage) -> BTreeMap<String, f64> {
    let text = stage.admin("GET", "/metrics").send().await.unwrap().text().await.unwrap();
    let series = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap());
    series.map(|(series, value)| (series.to_owned(), value.parse().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_requests_and_outcomes() {
    let bucket = bucket_with_a_cat().await;
    let stage = Stage::start(operated(&bucket)).await;
    for path in ["/cat_40x40.jpg", "/cat_40x40.jpg", "/cat_40x40.jpg", "/dog_40x40.jpg", "/cat.jpg", "/a//b"] {
        stage.get(path).await.bytes().await.unwrap();
    }
    let stored = "resized_write_backs_total{outcome=\"stored\"} 1\n";
    until("the variant is stored and counted", || stage.metrics.encode().contains(stored)).await;
    let metrics = scrape(&stage).await;
    let requests = |outcome: &str| metrics[&format!("resized_requests_total{{outcome=\"{outcome}\"}}")];
    let outcomes = ["made", "hit", "not_found", "original", "bad_request", "internal"].map(requests);
    assert_eq!(outcomes, [1.0, 2.0, 1.0, 1.0, 1.0, 0.0]);
    let gets = bucket.count(Operation::Get, "");
    let counted = metrics.iter().filter(|(series, _)| series.starts_with("resized_s3_requests_total{kind=\"get\""));
    assert_eq!(counted.map(|(_, value)| value).sum::<f64>(), gets as f64);
    assert_eq!(metrics[r#"resized_resize_seconds_count{stage="render",format="jpg"}"#], 1.0);
    for stage in ["decode", "scale", "encode"] {
        let time = |part| metrics[&format!(r#"resized_resize_seconds_{part}{{stage="{stage}",format="jpg"}}"#)];
        assert_eq!(time("count"), 1.0, "{stage}");
        assert!(time("sum") <= metrics[r#"resized_resize_seconds_sum{stage="render",format="jpg"}"#], "{stage}");
    }
    let plan = resized::config::MemoryPlan::new(&operated(&bucket)).unwrap();
    let share = resized::support::memory::MemoryShare::Pixels;
    assert_eq!(metrics[r#"resized_memory_limit_bytes{share="pixels"}"#], plan.bytes(share) as f64);
    assert!(metrics["resized_memory_unaccounted_bytes"] > 1e6);
    // One for the header of the original, one for its pixels.
    assert_eq!(metrics[r#"resized_wait_seconds_count{for="pixels"}"#], 2.0);
    // The two entries are the picture and the cached 404 of the missing dog.
    assert_eq!(metrics["resized_cache_entries"], 2.0);
    assert!(metrics["resized_cache_bytes"] > 2048.0);
    assert_eq!(metrics["resized_flights"], 0.0);
}

/// The names of all metrics of a node.
async fn exported_metrics() -> BTreeSet<String> {
    let bucket = bucket_with_a_cat().await;
    let mut config = operated(&bucket);
    config.notify.url = "http://127.0.0.1:9/".into();
    config.notify.secret = SECRET.into();
    let stage = Stage::start(config).await;
    stage.get("/cat_40x40.jpg").await;
    let text = stage.metrics.encode();
    text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboards_and_alerts_use_existing_metrics() {
    let exported = exported_metrics().await;
    for (file, text) in [
        ("grafana.json", include_str!("../../../deploy/monitoring/grafana.json")),
        ("alerts.yml", include_str!("../../../deploy/monitoring/alerts.yml")),
        ("dashboard.js", include_str!("../../../src/admin/pages/dashboard.js")),
    ] {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let named: BTreeSet<_> = words.filter(|word| word.starts_with("resized_")).collect();
        assert!(named.len() > 8, "{file}: {named:?}");
        for name in named {
            let parts = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
            assert!(exported.contains(name) || parts.is_some_and(|whole| exported.contains(whole)), "{file}: {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_metrics_are_complete() {
    let exported = exported_metrics().await;
    let docs = include_str!("../../../docs/METRICS.md");
    let listed: BTreeSet<_> =
        docs.lines().filter_map(|line| line.strip_prefix("| `")?.split(['`', '{']).next()).map(str::to_owned).collect();
    assert_eq!(exported, listed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_ready_from_the_first_response_of_its_stores_until_shutdown() {
    let bucket = bucket_with_a_cat().await;
    bucket.fail(Operation::Head, "variants/", Fault::Status(503));
    let stage = Stage::start(operated(&bucket)).await;
    let probe = async |path: &str| {
        let response = stage.admin("GET", path).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    };
    let (status, problem) = probe("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(problem.contains("variants.store"), "{problem}");
    bucket.heal();
    while probe("/readyz").await.0 != StatusCode::OK {}
    stage.drain();
    assert_eq!(probe("/readyz").await, (StatusCode::SERVICE_UNAVAILABLE, "draining\n".into()));
    assert_eq!(probe("/healthz").await.0, StatusCode::OK, "the node is alive while it drains");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_required_except_for_health_checks() {
    let bucket = bucket_with_a_cat().await;
    let mut config = operated(&bucket);
    config.admin.token = "hush".into();
    let stage = Stage::start(config).await;
    assert_eq!(stage.admin("GET", "/healthz").send().await.unwrap().status(), StatusCode::OK);
    let refused = stage.admin("GET", "/metrics").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(refused.headers().contains_key("www-authenticate"));
    let shown = stage.admin("GET", "/metrics").bearer_auth("hush").send().await.unwrap();
    assert_eq!(shown.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_listener_rejects_unknown_paths_methods_and_hosts() {
    let bucket = bucket_with_a_cat().await;
    let stage = Stage::start(operated(&bucket)).await;
    assert_eq!(stage.admin("GET", "/nothing").send().await.unwrap().status(), StatusCode::NOT_FOUND);
    let refused = stage.admin("POST", "/metrics").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(refused.headers()["allow"], "GET");
    let head = stage.admin("HEAD", "/metrics").send().await.unwrap();
    assert_eq!((head.status(), &head.headers()["cache-control"]), (StatusCode::OK, &"no-store".parse().unwrap()));
    assert_eq!(head.bytes().await.unwrap().len(), 0);
    let url = format!("http://{}/metrics", stage.admin.unwrap());
    let named = Client::new().get(url).header("host", "evil.example").send().await.unwrap();
    assert_eq!(named.status(), StatusCode::FORBIDDEN, "another host name");
    assert_eq!(stage.get("/metrics").await.status(), StatusCode::NOT_FOUND, "the public listener has no metrics");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_or_an_event_invalidates_variants_of_an_immutable_original() {
    let bucket = Bucket::start().await;
    let mut config = operated(&bucket);
    config.originals.immutable = true;
    let stage = Stage::start(config).await;
    let event = format!(
        r#"{{"Records":[{{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{{"bucket":{{"name":"{}"}},
            "object":{{"key":"originals/a+cat.jpg"}}}}}}]}}"#,
        bucket.name()
    );
    let width = async || see(&stage.get("/a%20cat_200x.jpg").await.bytes().await.unwrap()).width;
    let replace = |side| bucket.put_object("originals/a cat.jpg", jpeg(side, side), "image/jpeg");
    replace(160);
    assert_eq!(width().await, 160);
    for (side, path, body) in [(120, "/purge/a%20cat.jpg", String::new()), (80, "/events", event)] {
        let before = width().await;
        replace(side);
        assert_eq!(width().await, before, "an immutable original is not checked again");
        let answer = stage.admin("POST", path).body(body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert_eq!(width().await, side, "{path}");
    }
    for (path, body) in [("/purge/a//b", ""), ("/purge/%ff", ""), ("/events", "{}")] {
        let answer = stage.admin("POST", path).body(body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path}");
    }
    bucket.fail(Operation::List, "", Fault::Status(500));
    let failed = stage.admin("POST", "/purge/a%20cat.jpg").send().await.unwrap();
    assert_eq!(failed.status(), StatusCode::BAD_GATEWAY, "the sender retries");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_uploads_and_pending_notifications() {
    let (bucket, receiver) = (Bucket::start().await, Receiver::start().await);
    let mut config = operated(&bucket);
    config.upload.enabled = true;
    config.upload.token = TOKEN.into();
    config.upload.base_url = "http://images.test".into();
    config.notify.url = receiver.url();
    config.notify.secret = SECRET.into();
    config.notify.poll_interval = Duration::from_millis(20);
    config.notify.retries = vec![Duration::from_millis(20).into(), Duration::from_secs(3600).into()];
    let stage = Stage::start(config).await;
    let put = async |path: &str, body| {
        let request = stage.request("PUT", path).bearer_auth(TOKEN).body(body);
        request.send().await.unwrap().status().as_u16()
    };
    let picture = jpeg(16, 16);
    assert_eq!(put("/upload/a.jpg", picture.clone()).await, 201);
    assert_eq!(put("/upload/a.jpg", picture.clone()).await, 200);
    assert_eq!(put("/upload/b.jpg", b"text".to_vec()).await, 415);
    receiver.set(Behavior::Status(500));
    assert_eq!(put("/upload/c.jpg", picture.clone()).await, 201);
    until("the notification waits for its second retry", || {
        let text = stage.metrics.encode();
        let waits = ["attempts_total{status=\"500\"} 2\n", "outbox_pending 1", "outbox_overdue_seconds 0.0\n"];
        waits.iter().all(|line| text.contains(line))
    })
    .await;
    let metrics = scrape(&stage).await;
    let uploads = |outcome: &str| metrics[&format!("resized_uploads_total{{outcome=\"{outcome}\"}}")];
    assert_eq!(["stored", "duplicate", "unsupported-type"].map(uploads), [2.0, 1.0, 1.0]);
    assert_eq!(metrics["resized_upload_bytes_total"], 2.0 * picture.len() as f64);
    assert_eq!(metrics[r#"resized_notification_attempts_total{status="204"}"#], 2.0);
    assert_eq!(metrics["resized_notifications_dead_total"], 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_are_complete_and_restricted_to_their_origin() {
    let bucket = bucket_with_a_cat().await;
    let stage = Stage::start(operated(&bucket)).await;
    for (path, kind) in [("/", "text/html"), ("/playground", "text/html"), ("/assets/dashboard.js", "text/javascript")]
    {
        let page = stage.admin("GET", path).send().await.unwrap();
        assert_eq!(page.status(), StatusCode::OK, "{path}");
        assert!(header(&page, "content-type").starts_with(kind), "{path}");
        assert!(header(&page, "content-security-policy").contains("default-src 'none'"), "{path}");
    }
    let settings = stage.admin("GET", "/settings.json").send().await.unwrap().text().await.unwrap();
    let settings: serde_json::Value = serde_json::from_str(&settings).unwrap();
    assert_eq!(settings["max_side"], 4096);
    let names = stage.admin("GET", "/playground/originals").send().await.unwrap().text().await.unwrap();
    assert_eq!(serde_json::from_str::<Vec<String>>(&names).unwrap(), ["/cat.jpg"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_playground_resizes_a_sent_picture_without_storing_it() {
    let bucket = bucket_with_a_cat().await;
    let mut config = operated(&bucket);
    config.limits.original_bytes = "64KiB".parse().unwrap();
    let stage = Stage::start(config).await;
    let try_out = async |path: &str, picture: Vec<u8>| {
        let response = stage.admin("POST", &format!("/playground/try{path}")).body(picture).send().await.unwrap();
        (response.status(), header(&response, "server-timing").to_owned(), response.bytes().await.unwrap())
    };
    let (status, timing, bytes) = try_out("/my%20dog_40x40_crop.jpg.webp", jpeg(160, 120)).await;
    assert_eq!((status, see(&bytes).width, see(&bytes).height), (StatusCode::OK, 40, 40));
    assert!(timing.contains("render;dur="), "{timing}");
    assert_eq!(bucket.count(Operation::Put, "") + bucket.count(Operation::Get, ""), 0);
    assert_eq!(stage.get("/my%20dog_40x40.jpg").await.status(), StatusCode::NOT_FOUND);
    let (status, _, problem) = try_out("/dog.jpg", jpeg(160, 120)).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "no size: {problem:?}");
    assert_eq!(try_out("/dog_40x40.jpg", b"no picture".to_vec()).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(try_out("/dog_40x40.jpg", vec![0; 65 << 10]).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    // Slow senders hold the permits; without a free permit a request is rejected.
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut sender = tokio::net::TcpStream::connect(stage.admin.unwrap()).await.unwrap();
        let head = "POST /playground/try/dog_40x40.jpg HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9000\r\n\
                    expect: 100-continue\r\n\r\n";
        sender.write_all(head.as_bytes()).await.unwrap();
        // The server requests the body once the request has a permit.
        let mut status = [0; 12];
        sender.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 100");
        slow.push(sender);
    }
    assert_eq!(try_out("/dog_40x40.jpg", jpeg(80, 80)).await.0, StatusCode::SERVICE_UNAVAILABLE);
    drop(slow);
    let freed = async { while try_out("/dog_40x40.jpg", jpeg(80, 80)).await.0 != StatusCode::OK {} };
    tokio::time::timeout(Duration::from_secs(30), freed).await.expect("permits are returned");
    // Failed requests have returned their permits.
    for _ in 0..8 {
        assert_eq!(try_out("/dog_40x40.jpg", jpeg(80, 80)).await.0, StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_playground_shows_the_response_of_the_public_listener() {
    let bucket = bucket_with_a_cat().await;
    let stage = Stage::start(operated(&bucket)).await;
    let shown = stage.admin("GET", "/playground/get/cat_40x40.jpg").send().await.unwrap();
    assert_eq!(header(&shown, "cache-status"), "resized; fwd=miss; detail=made");
    let shown = shown.bytes().await.unwrap();
    assert_eq!(shown, stage.get("/cat_40x40.jpg").await.bytes().await.unwrap());
    let original = stage.admin("GET", "/playground/get/cat.jpg").send().await.unwrap();
    assert_eq!(original.bytes().await.unwrap(), jpeg(160, 120));
}
