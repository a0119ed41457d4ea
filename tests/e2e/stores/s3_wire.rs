//! Requests to S3 as they are on the wire, against a server that sends scripted responses.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use resized::config;
use resized::observability::metrics;
use resized::origin::{Attributes, ByteRange, Precondition, PutOutcome, Store, StoreError};
use resized::variant::ObjectKey;
use tokio::net::TcpListener;

use crate::support::s3_script::{Response, Script, head, object, partial_head, refusal};

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

async fn read(store: &Store) -> Result<bytes::Bytes, StoreError> {
    let (_, bytes) = store.get_bounded(&key("c.jpg"), 1 << 20).await?.expect("the object exists");
    Ok(bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn transient_errors_are_retried_on_another_connection() {
    let slow = refusal("400 Bad Request", "x-amz-retry-after: 1\r\n", "SlowDown");
    let broken = refusal("503 Service Unavailable", "x-amz-retry-after: 1\r\n", "");
    let script = Script::start([Response::Close, slow, broken, object("hello")]).await;
    let store = script.open(4).await;
    assert_eq!(read(&store).await.unwrap(), "hello");
    assert_eq!(script.connections(), [0, 1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn permanent_errors_are_not_retried() {
    let region = "x-amz-bucket-region: eu-west-1\r\n";
    let moved = refusal("301 Moved Permanently", region, "PermanentRedirect");
    let script = Script::start([moved, refusal("403 Forbidden", "", "AccessDenied")]).await;
    let store = script.open(3).await;
    let moved = read(&store).await.unwrap_err();
    let source = std::error::Error::source(&moved).unwrap().to_string();
    assert!(matches!(moved, StoreError::Other { .. }), "{moved:?}");
    assert_eq!(source, "S3 answered 301 PermanentRedirect: No. (the bucket is in eu-west-1: s3.region)");
    assert!(matches!(read(&store).await, Err(StoreError::Forbidden { .. })));
    assert_eq!(script.requests().len(), 2, "each request is sent once");
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_skew_is_corrected() {
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    let date = format!("date: {}\r\nx-amz-retry-after: 1\r\n", httpdate::fmt_http_date(hour_ago));
    let script = Script::start([refusal("403 Forbidden", &date, "RequestTimeTooSkewed"), object("hello")]).await;
    assert_eq!(read(&script.open(2).await).await.unwrap(), "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_requests_a_checksum_and_only_the_range() {
    let script = Script::start([object("hello"), Response::Bytes(format!("{}\r\n", head(5)).into())]).await;
    let store = script.open(1).await;
    let part = ByteRange::FromTo { first: 1, last: 3 };
    let object = store.get(&key("ä+c.jpg"), Some(part)).await.unwrap().unwrap();
    assert_eq!(object.body.collect().await.unwrap(), "ell", "the range is cut from the whole object");
    assert_eq!(store.head(&key("c.jpg")).await.unwrap().unwrap().bytes, 5);
    let requests = script.requests();
    let (get, head) = (&requests[0].1, &requests[1].1);
    assert!(get.starts_with("get /pictures/a%20b/%c3%a4%2bc.jpg http/1.1\r\n"), "{get}");
    assert!(get.contains("\r\nrange: bytes=1-3\r\n"), "{get}");
    assert!(get.contains("\r\nx-amz-checksum-mode: enabled\r\n"), "{get}");
    assert!(head.starts_with("head /pictures/a%20b/c.jpg http/1.1\r\n"), "{head}");
    for request in [get, head] {
        assert!(request.contains(&format!("\r\nhost: {}\r\n", &script.url["http://".len()..])), "{request}");
        assert!(!request.contains("authorization"), "an anonymous request is not signed: {request}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_reused_unless_a_body_was_dropped() {
    let script = Script::start([]).await;
    let store = script.open(1).await;
    // A connection returns to the pool shortly after its body has ended.
    while !script.connections().windows(2).any(|pair| pair[0] == pair[1]) {
        assert!(script.requests().len() < 1000, "no connection is reused");
        script.push(object("one"));
        assert_eq!(read(&store).await.unwrap(), "one");
    }
    script.push(Response::Endless(format!("{}\r\n", head(1 << 30))));
    drop(store.get(&key("c.jpg"), None).await.unwrap().unwrap());
    let dropped = script.connections().pop();
    for _ in 0..10 {
        script.push(object("two"));
        assert_eq!(read(&store).await.unwrap(), "two");
        assert_ne!(script.connections().pop(), dropped);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_error_body_is_not_read_to_the_end() {
    let head =
        "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 1000000000\r\n\r\n<Error><Code>InternalError</Code>";
    let script = Script::start([Response::Endless(head.to_owned())]).await;
    let error = read(&script.open(1).await).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_length_and_a_validator_are_required() {
    let date = httpdate::fmt_http_date(SystemTime::now());
    let metadata: String = (0..55).map(|n| format!("x-amz-meta-{n}: {}\r\n", "m".repeat(1000))).collect();
    let date = format!("last-modified: {date}\r\n");
    for headers in [
        format!("content-length: 5\r\n{date}"),
        "content-length: 5\r\netag: \"e\"\r\n".to_owned(),
        "content-length: 5\r\netag: e\r\nlast-modified: yesterday\r\n".to_owned(),
        format!("content-length: 5\r\netag: W/\"e\"\r\n{date}"),
        format!("content-length: 5\r\netag: \"e\"\r\n{date}{metadata}"),
        format!("content-length: 5\r\netag: \"e\"\r\n{date}x-amz-storage-class: COLDER_THAN_ICE\r\n"),
        format!("content-length: 5\r\netag: \"e\"\r\n{date}x-amz-meta-name: \u{1}-latin1\r\n"),
    ] {
        // The control character stands for a byte that is not UTF-8.
        let response = format!("HTTP/1.1 200 OK\r\n{headers}\r\nhello").into_bytes();
        let response = response.into_iter().map(|byte| if byte == 1 { 0xe4 } else { byte }).collect();
        let script = Script::start([Response::Bytes(response)]).await;
        assert_eq!(read(&script.open(1).await).await.unwrap(), "hello", "{headers}");
    }
    let script = Script::start([Response::Bytes("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello".into())]).await;
    let error = read(&script.open(1).await).await.unwrap_err();
    assert!(matches!(error, StoreError::Other { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_whose_length_is_not_sent_is_measured() {
    let date = httpdate::fmt_http_date(SystemTime::now());
    let chunked =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\netag: \"e\"\r\nlast-modified: {date}\r\n\r\n");
    for has_ranges in [true, false] {
        let chunked = chunked.clone();
        let script = Script::answering(move |request| {
            if request.starts_with("head") {
                return Response::Bytes(chunked.clone().into());
            }
            let part = format!("{}\r\nh", partial_head(1, "0-0/5"));
            let whole = format!("{chunked}2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n");
            let is_part = has_ranges && request.contains("range: bytes=0-0");
            Response::Bytes(if is_part { part.into() } else { whole.into() })
        })
        .await;
        let store = script.open(1).await;
        assert_eq!(store.head(&key("c.jpg")).await.unwrap().unwrap().bytes, 5, "{has_ranges}");
        assert_eq!(read(&store).await.unwrap(), "hello", "{has_ranges}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_object_may_be_answered_like_a_range_outside_of_it() {
    let headers = "content-range: bytes */0\r\n";
    let script = Script::answering(move |request| match request.starts_with("head") {
        true => object(""),
        false => refusal("416 Range Not Satisfiable", headers, "InvalidRange"),
    })
    .await;
    assert_eq!(read(&script.open(1).await).await.unwrap(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_header_is_an_error() {
    let script = Script::start([Response::Endless("HTTP/1.1 200 OK\r\nx: ".to_owned())]).await;
    let error = read(&script.open(1).await).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_tls_handshake_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = config::S3 {
        endpoint: format!("https://{}", listener.local_addr().unwrap()),
        region: "us-east-1".into(),
        anonymous: true,
        connect_timeout: Duration::from_millis(200),
        attempts: NonZeroU32::MIN,
        operation_timeout: Duration::from_secs(600),
        ..Default::default()
    };
    let store =
        Store::open(&"s3://pictures".parse().unwrap(), "", &settings, &metrics::S3Metrics::default()).await.unwrap();
    let start = std::time::Instant::now();
    let error = read(&store).await.unwrap_err();
    assert!(matches!(error, StoreError::Timeout { .. }), "{error:?}");
    assert!(start.elapsed() < settings.attempt_timeout(), "connect_timeout ends it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_retried_with_its_condition_and_attributes() {
    let failed = refusal("500 Internal Server Error", "x-amz-retry-after: 1\r\n", "InternalError");
    let stored = Response::Bytes("HTTP/1.1 200 OK\r\ncontent-length: 0\r\netag: \"e\"\r\n\r\n".into());
    let script = Script::start([failed, stored]).await;
    let attributes = Attributes {
        content_type: "image/webp".into(),
        cache_control: "no-store".into(),
        metadata: vec![("title".into(), "ä".into())],
    };
    let store = script.open(2).await;
    let put = store.put(&key("c.jpg"), "hello".into(), &attributes, Precondition::Absent).await.unwrap();
    assert_eq!(put, PutOutcome::Stored("\"e\"".into()));
    assert_eq!(script.requests().len(), 2);
    for (_, request) in script.requests() {
        // The body of the first attempt may precede the second one on the same connection.
        assert!(request.contains("put /pictures/a%20b/c.jpg?x-id=putobject http/1.1\r\n"), "{request}");
        let headers = [
            "if-none-match: *",
            "content-type: image/webp",
            "cache-control: no-store",
            "x-amz-meta-title: ä",
            "content-length: 5",
        ];
        for header in headers {
            assert!(request.contains(&format!("\r\n{header}\r\n")), "{header}: {request}");
        }
    }
}
