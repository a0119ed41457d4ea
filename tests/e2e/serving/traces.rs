//! Traces: the spans of a request, their parents, and that requests never wait for the collector.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use resized::config::{Config, Signing, SpanExport, Tuning};
use resized::variant::{Signer, UrlToSign};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::bucket::{ACCESS_KEY, Bucket, Fault, Operation, SECRET_KEY};
use crate::support::collector::{Behavior, Collector, Span};
use crate::support::node::{self, Node, TOKEN, UPLOAD_SECRET, on_bucket};
use crate::support::pictures::jpeg;
use crate::support::receiver::{self, Receiver, SECRET};
use crate::support::stage::{PATIENCE, Stage, exporting_at_once, redirecting, settings, until};
use crate::uploads::receiving::{notifying, send};

/// Span kinds as numbered by OTLP.
const SERVER: i32 = 2;
const CLIENT: i32 = 3;

/// Id of the remote parent span in all traces.
const PARENT: &str = "b7ad6b7169203331";

/// Returns the id of trace `n`.
fn trace(n: u8) -> String {
    format!("{:032x}", 0x0af7_6519 + u32::from(n))
}

fn traceparent(n: u8, flags: &str) -> String {
    format!("00-{}-{PARENT}-{flags}", trace(n))
}

/// Adds settings that record only requests with a `traceparent`.
fn traced(mut config: Config, collector: &Collector) -> Config {
    config.traces.endpoint = collector.url();
    config.traces.sample = 0.0;
    config
}

async fn bucket_with_a_cat() -> Bucket {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/cat.jpg", jpeg(160, 120), "image/jpeg");
    bucket
}

/// Sends a GET with a sampled parent in trace `n`, and returns its status.
async fn get(stage: &Stage, n: u8, path: &str) -> StatusCode {
    let answer = stage.request("GET", path).header("traceparent", traceparent(n, "01")).send().await.unwrap();
    let status = answer.status();
    answer.bytes().await.unwrap();
    status
}

/// Returns the name of each span with the name of its parent, sorted.
fn tree(spans: &[Span]) -> Vec<(String, String)> {
    let name = |id: &str| spans.iter().find(|span| span.id == id).map_or(id, |span| &span.name).to_owned();
    let mut tree: Vec<_> = spans.iter().map(|span| (span.name.clone(), name(&span.parent))).collect();
    tree.sort();
    tree
}

fn single<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let named: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(named.len(), 1, "{name}: {spans:#?}");
    named[0]
}

fn is_within(inner: &Span, outer: &Span) -> bool {
    outer.time.0 <= inner.time.0 && inner.time.0 <= inner.time.1 && inner.time.1 <= outer.time.1
}

#[tokio::test(flavor = "multi_thread")]
async fn cold_variant_has_nested_spans_and_a_hit_has_a_single_span() {
    let (bucket, collector) = (bucket_with_a_cat().await, Collector::start().await);
    let stage = Stage::start_with(traced(settings(&bucket), &collector), exporting_at_once()).await;
    assert_eq!(get(&stage, 1, "/cat_40x40.jpg?v=1").await, StatusCode::OK);
    until("all spans are exported", || collector.trace(&trace(1)).len() >= 13).await;
    let spans = collector.trace(&trace(1));
    let expected = [
        ("GET", PARENT),
        ("decode", "render"),
        ("encode", "render"),
        ("flight", "GET"),
        ("lookup", "flight"),
        ("original", "flight"),
        ("queue", "flight"),
        ("render", "flight"),
        ("s3.get", "lookup"),
        ("s3.get", "original"),
        ("s3.put", "write_back"),
        ("scale", "render"),
        ("write_back", "flight"),
    ];
    assert_eq!(tree(&spans), expected.map(|(name, parent)| (name.to_owned(), parent.to_owned())));
    let root = single(&spans, "GET");
    let attributes = [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("network.protocol.version", "1.1"),
        ("resized.outcome", "made"),
        ("url.path", "/cat_40x40.jpg"),
        ("url.scheme", "http"),
    ];
    assert_eq!(root.attributes, attributes.map(|(name, value)| (name.into(), value.into())).into());
    assert_eq!((root.kind, root.is_error), (SERVER, false));
    assert!(["flight", "lookup", "original", "decode"].iter().all(|name| is_within(single(&spans, name), root)));
    let original =
        spans.iter().find(|span| span.attributes.get("url.full").is_some_and(|url| url.contains("originals")));
    let original = original.unwrap();
    assert_eq!(original.attributes["url.full"], format!("{}/{}/originals/cat.jpg", bucket.url(), bucket.name()));
    assert_eq!((original.kind, &*original.attributes["http.response.status_code"]), (CLIENT, "200"));
    assert_eq!(original.attributes["server.address"], "127.0.0.1");
    assert!(bucket.url().ends_with(&original.attributes["server.port"]));
    assert!(spans.iter().all(|span| !span.is_error), "a missing variant is not an error: {spans:#?}");
    assert_eq!(single(&spans, "encode").attributes["resized.format"], "jpg");
    assert_eq!(root.resource["service.name"], "resized");
    assert_eq!(root.resource["service.version"], env!("CARGO_PKG_VERSION"));

    assert_eq!(get(&stage, 2, "/cat_40x40.jpg").await, StatusCode::OK);
    assert_eq!(get(&stage, 3, "/cat_40x40.jpg").await, StatusCode::OK);
    until("a later span is exported", || collector.has(&trace(3), "GET")).await;
    let hit = collector.trace(&trace(2));
    assert_eq!((hit.len(), &*hit[0].attributes["resized.outcome"]), (1, "hit"));
    until("spans are counted", || stage.metrics.spans.sent.get() == 15).await;
    assert_eq!(collector.spans().len(), 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn redirect_stores_in_its_flight_and_an_original_is_probed_before_it_is_streamed() {
    let (bucket, collector) = (bucket_with_a_cat().await, Collector::start().await);
    let stage = Stage::start_with(traced(redirecting(&bucket), &collector), exporting_at_once()).await;
    assert_eq!(get(&stage, 1, "/cat_40x40.jpg").await, StatusCode::MOVED_PERMANENTLY);
    assert_eq!(get(&stage, 2, "/cat.jpg").await, StatusCode::OK);
    until("both traces are exported", || collector.has(&trace(1), "GET") && collector.has(&trace(2), "GET")).await;
    let made = tree(&collector.trace(&trace(1)));
    for (name, parent) in [("store", "flight"), ("s3.put", "store"), ("s3.head", "lookup")] {
        assert!(made.contains(&(name.into(), parent.into())), "{name}: {made:#?}");
    }
    let streamed = tree(&collector.trace(&trace(2)));
    let expected = [("GET", PARENT), ("flight", "GET"), ("s3.get", "GET"), ("s3.get", "flight")];
    assert_eq!(streamed, expected.map(|(name, parent)| (name.to_owned(), parent.to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn sampling_decision_of_the_parent_is_honored() {
    let (bucket, collector) = (bucket_with_a_cat().await, Collector::start().await);
    let mut config = traced(settings(&bucket), &collector);
    config.traces.sample = 1.0;
    let stage = Stage::start_with(config, exporting_at_once()).await;
    let ask = async |parent: &str| {
        let request = stage.request("GET", "/cat_40x40.jpg").header("traceparent", parent).header("tracestate", "a=1");
        assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    };
    ask(&traceparent(1, "00")).await;
    ask(&traceparent(2, "01").to_uppercase()).await;
    ask(&traceparent(3, "01")).await;
    stage.get("/cat_40x40.jpg").await;
    assert!(stage.stop().await);
    let requests: Vec<_> = collector.spans().into_iter().filter(|span| span.kind == SERVER).collect();
    assert_eq!(requests.len(), 3, "{requests:#?}");
    let exported = |n| requests.iter().filter(|span| span.trace == trace(n)).collect::<Vec<_>>();
    assert!(exported(1).is_empty(), "the parent is not sampled");
    assert!(collector.trace(&trace(1)).is_empty(), "no step is recorded");
    assert!(exported(2).is_empty(), "an invalid parent is ignored");
    assert_eq!((exported(3).len(), &*exported(3)[0].parent, &*exported(3)[0].state), (1, PARENT, "a=1"));
    assert_eq!(requests.iter().filter(|span| span.parent.is_empty() && span.state.is_empty()).count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn traceparent_is_ignored_if_config_does_not_trust_it() {
    let (bucket, collector) = (bucket_with_a_cat().await, Collector::start().await);
    let mut config = traced(settings(&bucket), &collector);
    config.traces.trust_traceparent = false;
    let stage = Stage::start_with(config.clone(), exporting_at_once()).await;
    get(&stage, 1, "/cat_40x40.jpg").await;
    assert!(stage.stop().await);
    assert_eq!(collector.spans(), [], "sample is 0");
    config.traces.sample = 1.0;
    let stage = Stage::start_with(config, exporting_at_once()).await;
    get(&stage, 1, "/cat_40x40.jpg").await;
    assert!(stage.stop().await);
    let spans = collector.spans();
    assert!(single(&spans, "GET").parent.is_empty() && spans.iter().all(|span| span.trace != trace(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_wait_for_a_flight_or_download_are_linked_to_it() {
    let (bucket, collector) = (bucket_with_a_cat().await, Collector::start().await);
    let stage = Stage::start_with(traced(settings(&bucket), &collector), exporting_at_once()).await;
    let gate = bucket.stall(Operation::Get, "originals/");
    let ask = async |n, path: &str| {
        let mut stream = TcpStream::connect(stage.address).await.unwrap();
        let parent = traceparent(n, "01");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nTraceparent: {parent}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    };
    let mut first = ask(1, "/cat_40x40.jpg").await;
    until("the first download is in progress", || bucket.count(Operation::Get, "originals/") == 1).await;
    let mut same = ask(2, "/cat_40x40.jpg").await;
    let mut other = ask(3, "/cat_50x50.jpg").await;
    let waiting = "resized_waiting{for=\"original\"} 2.0\n";
    until("the other size waits for the same download", || stage.metrics.encode().contains(waiting)).await;
    // There is one serving thread, so earlier requests were read before this one.
    assert_eq!(get(&stage, 9, "/a//b").await, StatusCode::BAD_REQUEST);
    gate.release();
    for stream in [&mut first, &mut same, &mut other] {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    }
    assert!(stage.stop().await);
    let (first, same, other) = (collector.trace(&trace(1)), collector.trace(&trace(2)), collector.trace(&trace(3)));
    let flight = (trace(1), single(&first, "flight").id.clone());
    let expected = [("GET", PARENT), ("wait", "GET")];
    assert_eq!(tree(&same), expected.map(|(name, parent)| (name.to_owned(), parent.to_owned())));
    assert_eq!(single(&same, "wait").links, std::slice::from_ref(&flight));
    assert_eq!(single(&same, "GET").attributes["resized.outcome"], "joined");
    assert!(tree(&other).contains(&("wait".into(), "flight".into())), "{other:#?}");
    assert_eq!(single(&other, "wait").links, [flight]);
    let encoded = |spans: &[Span]| spans.iter().filter(|span| span.name == "encode").count();
    assert_eq!((encoded(&first), encoded(&other)), (2, 0), "steps belong to the request that started them");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_attempts_are_separate_spans_with_errors() {
    let (bucket, collector) = (bucket_with_a_cat().await, Collector::start().await);
    let mut config = traced(settings(&bucket), &collector);
    config.s3.attempts = 2.try_into().unwrap();
    let stage = Stage::start_with(config, exporting_at_once()).await;
    bucket.fail(Operation::Get, "originals/", Fault::Status(503));
    assert_eq!(get(&stage, 1, "/cat_40x40.jpg").await, StatusCode::BAD_GATEWAY);
    assert!(stage.stop().await);
    let spans = collector.trace(&trace(1));
    let root = single(&spans, "GET");
    let of_root = ["http.response.status_code", "resized.outcome", "error.type"].map(|name| &*root.attributes[name]);
    assert_eq!((of_root, root.is_error), (["502", "store_failed", "store_failed"], true));
    let attempts: Vec<_> = spans.iter().filter(|span| span.is_error && span.kind == CLIENT).collect();
    assert_eq!(attempts.len(), 2, "{spans:#?}");
    assert!(attempts.iter().all(|span| span.attributes["error.type"] == "503"));
    assert!(
        attempts[0].time.1 <= attempts[1].time.0 || attempts[1].time.1 <= attempts[0].time.0,
        "one after the other: {attempts:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn notification_carries_the_trace_of_its_upload() {
    let (bucket, collector, receiver) = (Bucket::start().await, Collector::start().await, Receiver::start().await);
    let stage = Stage::start_with(traced(notifying(&bucket, &receiver), &collector), exporting_at_once()).await;
    let parent = traceparent(1, "01");
    let sent = [("traceparent", parent.as_str()), ("tracestate", "a=1")];
    let stored = send(&stage, "PUT", "/upload/a.jpg", jpeg(16, 16), &sent).await;
    assert_eq!(stored.status(), StatusCode::CREATED);
    until("span is exported", || collector.has(&trace(1), "PUT")).await;
    let spans = collector.trace(&trace(1));
    let (call, root) = (single(&spans, "notify"), single(&spans, "PUT"));
    assert_eq!((call.kind, &call.parent, &*call.attributes["http.request.method"]), (CLIENT, &root.id, "POST"));
    let traceparent_of_call = format!("00-{}-{}-01", trace(1), call.id);
    assert_eq!(receiver.trace_headers(), [(Some(traceparent_of_call), Some("a=1".to_owned()))]);
    assert_eq!((&*root.parent, &*root.attributes["http.response.status_code"]), (PARENT, "201"));
    assert!(spans.iter().any(|span| span.name == "s3.put") && spans.iter().any(|span| span.name == "receive"));

    let parent = traceparent(2, "00");
    send(&stage, "PUT", "/upload/b.jpg", jpeg(16, 16), &[("traceparent", &parent)]).await;
    send(&stage, "PUT", "/upload/c.jpg", jpeg(16, 16), &[]).await;
    assert_eq!(
        receiver.trace_headers()[1..],
        [(Some(parent), None), (None, None)],
        "the parent is passed on if the request is not recorded"
    );
    receiver.set(receiver::Behavior::Status(404));
    let parent = traceparent(3, "01");
    send(&stage, "PUT", "/upload/d.jpg", jpeg(16, 16), &[("traceparent", &parent)]).await;
    assert!(stage.stop().await);
    let refused = collector.trace(&trace(3));
    let call = single(&refused, "notify");
    assert_eq!((call.is_error, &*call.attributes["error.type"]), (true, "404"));
    assert_eq!(collector.spans().len(), spans.len() + refused.len(), "unrecorded requests have no spans");
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_collector_delays_no_request_and_the_queue_is_bounded() {
    let (bucket, collector) = (bucket_with_a_cat().await, Collector::start().await);
    collector.set(Behavior::Hang);
    let config = traced(settings(&bucket), &collector);
    let (timeout, interval) = (Duration::from_secs(3), Duration::from_secs(3600));
    let span_export = SpanExport { timeout, interval, queue_length: 8, batch_length: 4 };
    let stage = Stage::start_with(config, Tuning { span_export, ..Tuning::default() }).await;
    let hits = async |count| {
        for _ in 0..count {
            assert_eq!(get(&stage, 1, "/cat_40x40.jpg").await, StatusCode::OK);
        }
    };
    assert_eq!(stage.get("/cat_40x40.jpg").await.status(), StatusCode::OK);
    hits(4).await;
    until("a batch is being sent", || collector.request_headers().len() == 1).await;
    hits(200).await;
    assert_eq!(stage.metrics.spans.dropped.get(), 192, "all spans that did not fit into the queue");
    assert!(stage.metrics.encode().contains("resized_trace_spans_total{outcome=\"dropped\"} 192\n"));
    let stopped = tokio::time::timeout(PATIENCE, stage.stop()).await;
    assert!(stopped.expect("shutdown waits at most the export timeout"));
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_collector_delays_no_request() {
    let (bucket, collector) = (bucket_with_a_cat().await, Collector::start().await);
    let mut config = traced(settings(&bucket), &collector);
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    config.traces.endpoint = format!("http://{gone}/v1/traces");
    let mut tuning = exporting_at_once();
    (tuning.span_export.queue_length, tuning.span_export.batch_length) = (4, 4);
    let stage = Stage::start_with(config, tuning).await;
    for size in 40..60 {
        assert_eq!(get(&stage, 1, &format!("/cat_{size}x{size}.jpg")).await, StatusCode::OK);
    }
    until("spans are dropped", || stage.metrics.spans.dropped.get() > 0).await;
    assert!(stage.stop().await);
    assert_eq!(collector.spans(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_collector_errors_are_retried_and_permanent_ones_are_not() {
    let (bucket, collector) = (bucket_with_a_cat().await, Collector::start().await);
    let stage = Stage::start_with(traced(settings(&bucket), &collector), exporting_at_once()).await;
    let counts = stage.metrics.spans.clone();
    collector.set(Behavior::Status(503));
    get(&stage, 1, "/a//b").await;
    until("first attempt", || collector.request_headers().len() == 1).await;
    collector.set(Behavior::Accept);
    until("span is exported", || collector.has(&trace(1), "GET")).await;
    until("spans are counted", || counts.sent.get() == 1).await;
    assert_eq!(counts.failed.get(), 0);
    collector.set(Behavior::Status(400));
    get(&stage, 2, "/a//b").await;
    until("batch is rejected", || counts.failed.get() == 1).await;
    assert_eq!((collector.request_headers().len(), counts.sent.get()), (3, 1));
    assert!(stage.stop().await);
    assert_eq!(collector.request_headers().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_exports_the_last_spans() {
    let (bucket, collector) = (bucket_with_a_cat().await, Collector::start().await);
    let mut tuning = Tuning::default();
    (tuning.span_export.interval, tuning.span_export.batch_length) = (Duration::from_secs(3600), 5);
    let stage = Stage::start_with(traced(settings(&bucket), &collector), tuning).await;
    get(&stage, 1, "/cat_40x40.jpg").await;
    assert!(stage.stop().await);
    let names = tree(&collector.trace(&trace(1))).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert!(names.contains(&"GET".to_owned()) && names.contains(&"write_back".to_owned()), "{names:?}");
    assert_eq!(names.len(), 13, "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_contain_no_secrets_and_the_collector_gets_its_headers() {
    let (bucket, collector, receiver) = (bucket_with_a_cat().await, Collector::start().await, Receiver::start().await);
    let key = "0123456789abcdefabcdef0123456789-signing";
    let more = vec![
        ("RESIZED_TRACES__ENDPOINT", collector.url()),
        ("RESIZED_TRACES__HEADERS", "authorization=Bearer%20hush-collector".into()),
        ("RESIZED_TRACES__SAMPLE", "1".into()),
        ("RESIZED_SIGNING__KEYS", key.into()),
    ];
    let settings = [on_bucket(&bucket), node::uploading(), node::notifying(&receiver), more].concat();
    let node = tokio::task::spawn_blocking(move || Node::start(&settings)).await.unwrap();
    let client = Client::new();

    let UrlToSign { key: key_of, prefix: url } = UrlToSign::parse("/cat_40x40.jpg").unwrap();
    let signature = Signer::new(&Signing { keys: key.into(), ..Signing::default() }).unwrap().query(&key_of, None);
    let picture = client.get(format!("{}{url}{signature}&v=hush-query", node.url)).header("cookie", "hush-cookie");
    assert_eq!(picture.send().await.unwrap().status(), StatusCode::OK);
    let request = serde_json::json!({ "key": "b.jpg", "content_type": "image/jpeg", "bytes": jpeg(16, 16).len() });
    let signed =
        client.post(format!("{}/upload/sign", node.url)).bearer_auth(TOKEN).json(&request).send().await.unwrap();
    let signed: BTreeMap<String, serde_json::Value> = signed.json().await.unwrap();
    let put = client.put(signed["url"].as_str().unwrap()).header("content-type", "image/jpeg").body(jpeg(16, 16));
    assert!(put.send().await.unwrap().status().is_success());
    let complete = signed["complete"].as_str().unwrap().replace("http://images.test", &node.url);
    assert!(client.post(&complete).send().await.unwrap().status().is_success());
    let paths = ["/cat_40x40.jpg", "/upload/sign", "/upload/complete"];
    let exported =
        |path: &&str| collector.spans().iter().any(|span| span.attributes.get("url.path").is_some_and(|p| p == path));
    until("all requests are exported", || paths.iter().all(exported)).await;

    let ticket = complete.split_once('?').unwrap().1.to_owned();
    let (sent, signature) = (collector.text(), signature.trim_start_matches('?'));
    let keys = [TOKEN, UPLOAD_SECRET, SECRET, ACCESS_KEY, SECRET_KEY, key];
    for secret in keys.into_iter().chain([signature, &ticket, "hush", "Bearer", "Amz-Signature"]) {
        assert!(!sent.contains(secret), "{secret}");
    }
    let spans = collector.spans();
    let values = spans.iter().flat_map(|span| span.attributes.values());
    assert_eq!(values.filter(|value| value.contains('?')).count(), 0, "no query strings: {spans:#?}");
    assert!(collector.request_headers().iter().all(|head| head["authorization"] == "Bearer hush-collector"));
    assert!(!node.log().contains("hush-collector"));
}
