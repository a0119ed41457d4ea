//! Limits of connections: sizes, timeouts and counts, with misbehaving clients.

use std::time::Duration;

use reqwest::StatusCode;
use resized::config::{Config, Tuning};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::serving::connections::send_raw;
use crate::serving::wire::statuses;
use crate::support::bucket::Bucket;
use crate::support::node::TOKEN;
use crate::support::pictures::jpeg;
use crate::support::stage::{PATIENCE, Stage};
use crate::uploads::receiving::uploading;

async fn stage(change: impl FnOnce(&mut Config)) -> (Bucket, Stage) {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/cat.jpg", jpeg(160, 120), "image/jpeg");
    let mut config = uploading(&bucket);
    change(&mut config);
    let stage = Stage::start(config).await;
    (bucket, stage)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ambiguous_upload_is_rejected_and_closes_the_connection() {
    let (bucket, stage) = stage(|_| {}).await;
    let token = format!("Authorization: Bearer {TOKEN}");
    for (method, path) in [("POST", "/upload"), ("PUT", "/upload/a.jpg")] {
        let refused = [
            ("no host", "Content-Length: 5\r\n\r\nhello"),
            ("two hosts", "Host: x\r\nHost: y\r\nContent-Length: 5\r\n\r\nhello"),
            ("a length and a coding", "Host: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            ("a coding and a length", "Host: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
            ("two equal lengths", "Host: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
            ("a signed length", "Host: x\r\nContent-Length: +5\r\n\r\nhello"),
            ("a hexadecimal length", "Host: x\r\nContent-Length: 0x5\r\n\r\nhello"),
            ("a bare LF", "Host: x\nContent-Length: 5\r\n\r\nhello"),
            ("a bare LF at the end", "Host: x\r\nContent-Length: 5\n\nhello"),
            ("a chunk of no number", "Host: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n"),
        ];
        for (what, rest) in refused {
            let request = format!("{method} {path} HTTP/1.1\r\n{token}\r\n{rest}");
            let answer = send_raw(&stage, &format!("{request}GET /cat_40x40.jpg HTTP/1.1\r\nHost: x\r\n\r\n")).await;
            assert_eq!(statuses(&answer), ["400"], "{method}: {what}");
        }
    }
    assert_eq!(bucket.keys("originals/"), ["originals/cat.jpg"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_after_an_upload_are_checked_as_strictly_as_before_it() {
    let (_bucket, stage) = stage(|_| {}).await;
    let upload = |body: &str| format!("POST /upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n{body}");
    let sized = upload("Content-Length: 5\r\n\r\nh\nllo");
    let good = "GET /cat_40x40.jpg HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_eq!(
        statuses(&send_raw(&stage, &[&sized, good].concat()).await),
        ["415", "200"],
        "the connection stays open"
    );
    let bare = "GET /cat_40x40.jpg HTTP/1.1\nHost: x\r\n\r\n";
    assert_eq!(statuses(&send_raw(&stage, &[&sized, bare, good].concat()).await), ["415", "400"]);
    let chunks = upload("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(
        statuses(&send_raw(&stage, &[&chunks, good].concat()).await),
        ["415"],
        "no request is read after a chunked body"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_and_size_of_headers_and_the_length_of_urls_are_limited() {
    let (_bucket, stage) = stage(|_| {}).await;
    let many = |count| format!("GET /cat_40x40.jpg HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(count));
    let closed = "Connection: close\r\n\r\n";
    let few = many(50).replace("A: b\r\n\r\n", closed);
    assert_eq!(statuses(&send_raw(&stage, &few).await), ["200"]);
    assert_eq!(statuses(&send_raw(&stage, &many(101)).await), ["431"]);
    let large = format!("GET /cat_40x40.jpg HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "b".repeat(20_000));
    assert_eq!(statuses(&send_raw(&stage, &large).await), ["431"]);
    let long = |bytes| format!("GET /{} HTTP/1.1\r\nHost: x\r\n{closed}", "a".repeat(bytes));
    assert_eq!(statuses(&send_raw(&stage, &long(1_020)).await), ["400"], "longer than any key");
    assert!(matches!(*statuses(&send_raw(&stage, &long(20_000)).await), ["414" | "431"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_closed_after_the_maximum_number_of_requests() {
    let (bucket, _stage) = stage(|_| {}).await;
    let tuning = Tuning { requests_per_connection: 3, ..Tuning::default() };
    let stage = Stage::start_with(uploading(&bucket), tuning).await;
    let answer = send_raw(&stage, &"GET /cat_40x40.jpg HTTP/1.1\r\nHost: x\r\n\r\n".repeat(5)).await;
    assert_eq!(statuses(&answer), ["200"; 3]);
    assert_eq!(answer.matches("connection: close").count(), 1, "only the last response closes the connection");
}

/// Sends `request` over the only allowed connection and reads nothing. The next client is served only once the server has closed
/// that connection.
async fn assert_is_closed(change: impl FnOnce(&mut Config), request: &[u8]) -> TcpStream {
    let (bucket, stage) = stage(|config| {
        config.server.connections = std::num::NonZeroUsize::MIN.into();
        config.server.idle_timeout = Duration::from_secs(3600);
        config.server.write_timeout = Duration::from_secs(3600);
        change(config);
    })
    .await;
    // Larger than the socket buffers.
    bucket.put_object("originals/big.jpg", [jpeg(16, 16), vec![0; 16 << 20]].concat(), "image/jpeg");
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(stage.address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let next = tokio::time::timeout(PATIENCE, stage.get("/cat_40x40.jpg")).await;
    assert_eq!(next.expect("the first connection is closed").status(), StatusCode::OK);
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_too_slowly_is_disconnected() {
    let short = |config: &mut Config| config.server.write_timeout = Duration::from_millis(100);
    assert_is_closed(short, b"GET /big.jpg HTTP/1.1\r\nHost: x\r\n\r\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_header_and_an_idle_connection_are_closed() {
    for request in ["", "GET /cat.jpg HTTP/1.1\r\nHost: x\r\nA:", "GET /cat_40x40.jpg HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let short = |config: &mut Config| config.server.idle_timeout = Duration::from_millis(100);
        assert_is_closed(short, request.as_bytes()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_is_answered_408_and_the_connection_closed() {
    let short = |config: &mut Config| config.upload.read_timeout = Duration::from_millis(100);
    let head =
        format!("POST /upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 500\r\n\r\n");
    let mut stream = assert_is_closed(short, [head.as_bytes(), &jpeg(16, 16)[..20]].concat().as_slice()).await;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(statuses(&String::from_utf8_lossy(&answer)), ["408"]);
}

fn get(path: &str) -> http::Request<()> {
    http::Request::get(format!("http://localhost{path}")).body(()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_keeps_resetting_http_2_streams_is_disconnected() {
    let (_bucket, stage) = stage(|_| {}).await;
    let stream = TcpStream::connect(stage.address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut sent = 0;
    while let Ok(mut ready) = client.clone().ready().await {
        let Ok((_, mut request)) = ready.send_request(get(&format!("/cat_{}x.jpg", 1 + sent % 160)), false) else {
            break;
        };
        request.send_reset(h2::Reason::CANCEL);
        sent += 1;
        assert!(sent < 100_000, "the client was not disconnected");
    }
    drop(client);
    let error = connection.await.unwrap().unwrap_err();
    // A client that still writes may notice the closed connection before it reads the reason.
    assert!(error.is_io() || error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM), "{error} after {sent}");
    assert_eq!(stage.get("/cat_40x40.jpg").await.status(), StatusCode::OK, "other clients are served");
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_limits_concurrent_streams_and_header_bytes() {
    let (_bucket, stage) = stage(|_| {}).await;
    let stream = TcpStream::connect(stage.address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let (first, _) = client.send_request(get("/cat_40x40.jpg"), true).unwrap();
    assert_eq!(first.await.unwrap().status(), StatusCode::OK);
    assert_eq!(client.current_max_send_streams(), 100);
    let mut large = get("/cat_40x40.jpg");
    for n in 0..40 {
        let name = http::HeaderName::try_from(format!("x-filler-{n}")).unwrap();
        large.headers_mut().insert(name, "a".repeat(1000).parse().unwrap());
    }
    let mut client = client.ready().await.unwrap();
    let (answer, _) = client.send_request(large, true).unwrap();
    assert_eq!(answer.await.unwrap().status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}
