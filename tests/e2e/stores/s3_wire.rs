//! Requests to S3 as they are on the wire, against a server that sends scripted responses.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use resized::config;
use resized::observability::metrics;
use resized::origin::{Attributes, ByteRange, Precondition, PutOutcome, Store, StoreError};
use resized::variant::ObjectKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Response to a request.
#[derive(Clone)]
enum Response {
    Text(String),
    /// Closes the connection.
    Close,
    /// The text, followed by zeros until the client closes the connection.
    Endless(String),
}

/// A server that answers each request with the next scripted response.
struct Script {
    url: String,
    responses: Arc<Mutex<VecDeque<Response>>>,
    /// The number of the connection and the lowercase header section of each request.
    requests: Arc<Mutex<Vec<(usize, String)>>>,
}

impl Script {
    async fn start(responses: impl IntoIterator<Item = Response>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (responses, requests) = (Arc::new(Mutex::new(responses.into_iter().collect())), Arc::default());
        let script = Self { url, responses: Arc::clone(&responses), requests: Arc::clone(&requests) };
        tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, connection, Arc::clone(&responses), Arc::clone(&requests)));
            }
        });
        script
    }

    /// Appends a response.
    fn push(&self, response: Response) {
        self.responses.lock().unwrap().push_back(response);
    }

    async fn open(&self, attempts: u32) -> Store {
        let settings = config::S3 {
            endpoint: self.url.clone(),
            region: "us-east-1".into(),
            path_style: true,
            anonymous: true,
            attempts: NonZeroU32::new(attempts).unwrap(),
            ..Default::default()
        };
        Store::open(&"s3://pictures/a b".parse().unwrap(), "", &settings, &metrics::S3Metrics::default()).await.unwrap()
    }

    fn requests(&self) -> Vec<(usize, String)> {
        self.requests.lock().unwrap().clone()
    }

    fn connections(&self) -> Vec<usize> {
        self.requests().into_iter().map(|(connection, _)| connection).collect()
    }
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    responses: Arc<Mutex<VecDeque<Response>>>,
    seen: Arc<Mutex<Vec<(usize, String)>>>,
) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { return };
            head.push(byte);
        }
        seen.lock().unwrap().push((connection, String::from_utf8(head).unwrap().to_lowercase()));
        let response = responses.lock().unwrap().pop_front();
        match response.unwrap_or(Response::Close) {
            Response::Text(text) => stream.write_all(text.as_bytes()).await.unwrap(),
            Response::Close => return,
            Response::Endless(text) => {
                let mut piece = text.into_bytes();
                while stream.write_all(&piece).await.is_ok() {
                    piece = vec![b'0'; 10_000];
                }
                return;
            }
        }
    }
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

fn object(body: &str) -> Response {
    Response::Text(format!("{}\r\n{body}", head(body.len())))
}

fn head(bytes: usize) -> String {
    let date = httpdate::fmt_http_date(SystemTime::now());
    format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\netag: \"e\"\r\nlast-modified: {date}\r\n")
}

fn refusal(status: &str, headers: &str, code: &str) -> Response {
    let body = format!("<Error><Code>{code}</Code><Message>No.</Message></Error>");
    Response::Text(format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len()))
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
    let script = Script::start([object("hello"), Response::Text(format!("{}\r\n", head(5)))]).await;
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
async fn a_response_without_required_headers_is_an_error() {
    let date = httpdate::fmt_http_date(SystemTime::now());
    for headers in [
        format!("content-length: 1\r\nlast-modified: {date}\r\n"),
        "content-length: 1\r\netag: \"e\"\r\n".to_owned(),
        "content-length: 1\r\netag: \"e\"\r\nlast-modified: yesterday\r\n".to_owned(),
        format!("transfer-encoding: chunked\r\netag: \"e\"\r\nlast-modified: {date}\r\n"),
    ] {
        let script = Script::start([Response::Text(format!("HTTP/1.1 200 OK\r\n{headers}\r\n1\r\n"))]).await;
        let error = read(&script.open(1).await).await.unwrap_err();
        assert!(matches!(error, StoreError::Other { .. }), "{headers}: {error:?}");
    }
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
    let stored = Response::Text("HTTP/1.1 200 OK\r\ncontent-length: 0\r\netag: \"e\"\r\n\r\n".to_owned());
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
