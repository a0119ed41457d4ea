//! Requests that are not valid HTTP, on both listeners: status, headers and body of the response, and the end of the
//! connection.

use std::net::SocketAddr;

use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::serving::wire::statuses;
use crate::support::bucket::{Bucket, Operation};
use crate::support::pictures::jpeg;
use crate::support::stage::{PATIENCE, Stage, settings, until};

async fn stage() -> (Bucket, Stage, SocketAddr) {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/cat.jpg", jpeg(160, 120), "image/jpeg");
    let mut config = settings(&bucket);
    config.admin.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let stage = Stage::start(config).await;
    let admin = stage.admin.unwrap();
    (bucket, stage, admin)
}

/// Sends `request`, keeps the connection open, and reads until the server closes it.
async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may refuse the request before it has arrived as a whole.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the connection closes").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// A request of either listener, and the status of a client's error in it.
fn refused() -> Vec<(String, &'static str)> {
    let get = |rest: &str| format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{rest}");
    let post = |rest: &str| format!("POST /reload HTTP/1.1\r\nHost: localhost\r\n{rest}");
    vec![
        // Only the first line: the rest is not awaited.
        ("GET /healthz HTTP/1.1\n".into(), "400"),
        (get("A: b\n"), "400"),
        (get("A: b\r\n c\r\n\r\n"), "400"),
        (get("A : b\r\n\r\n"), "400"),
        (get("A: \0\r\n\r\n"), "400"),
        (get("Host: localhost\r\n\r\n"), "400"),
        (get("Content-Length: 5\r\n\r\nhello"), "400"),
        ("GET /healthz HTTP/1.1\r\n\r\n".into(), "400"),
        ("GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n".into(), "400"),
        ("GETS /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n".into(), "400"),
        (post("Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), "400"),
        (post("Content-Length: +5\r\n\r\nhello"), "400"),
        (post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "400"),
        (post("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), "400"),
        ("\u{16}\u{3}\u{1}\u{2}".into(), "400"),
        ("GET /healthz HTTP/1.2\r\nHost: localhost\r\n\r\n".into(), "505"),
        ("GET /healthz HTTP/3.0\r\n".into(), "505"),
        (format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(9_000)), "414"),
        // Without an end.
        (format!("GET /{}", "a".repeat(200_000)), "414"),
        (get(&"A: b\r\n".repeat(101)), "431"),
        (get(&format!("A: {}", "b".repeat(200_000))), "431"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn both_listeners_refuse_invalid_requests_with_the_same_status() {
    let (_bucket, stage, admin) = stage().await;
    for (request, status) in refused() {
        for (listener, address) in [("public", stage.address), ("admin", admin)] {
            let answer = exchange(address, request.as_bytes()).await;
            assert_eq!(statuses(&answer), [status], "{listener}: {:?}", &request[..request.len().min(200)]);
            assert!(answer.contains("\r\nconnection: close\r\n") && answer.contains("\r\ndate: "), "{answer}");
            assert!(answer.contains("\r\ncache-control: no-store\r\n"), "{answer}");
            assert!(answer.contains("\r\nx-content-type-options: nosniff\r\n"), "{answer}");
        }
    }
    assert_eq!(stage.get("/cat_40x40.jpg").await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_before_an_invalid_one_are_answered() {
    let (_bucket, stage, admin) = stage().await;
    for (address, path) in [(stage.address, "/cat_40x40.jpg"), (admin, "/healthz")] {
        let valid = format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        for (request, status) in refused() {
            let answer = exchange(address, [&valid, &valid, request.as_str()].concat().as_bytes()).await;
            assert_eq!(statuses(&answer), ["200", "200", status], "{:?}", &request[..request.len().min(200)]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_a_problem_document_like_other_errors() {
    let (_bucket, stage, _) = stage().await;
    let other = stage.get("/%").await;
    let answer = exchange(stage.address, b"GET / HTTP/1.1\n").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&problem["type"], &problem["status"]), (&"urn:resized:problem:bad-request".into(), &400.into()));
    for (name, value) in other.headers() {
        let line = format!("\r\n{name}: {}", value.to_str().unwrap());
        let differs = matches!(name.as_str(), "date" | "content-length");
        assert!(differs || head.contains(&line), "{line} is missing in {head}");
    }
    assert!(head.contains(&format!("\r\ncontent-length: {}", body.len())), "{head}");
    let head = exchange(stage.address, b"HEAD / HTTP/1.1\r\nHost: x\n").await;
    assert!(head.starts_with("HTTP/1.1 400 ") && head.ends_with("\r\n\r\n"), "{head}");
    let metrics = stage.metrics.encode();
    assert!(metrics.contains("resized_requests_total{outcome=\"bad_request\"} 3"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_chunk_of_a_command_is_400() {
    let (_bucket, _stage, admin) = stage().await;
    for body in ["5\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n", "5\r\nhello!\r\n0\r\n\r\n", "0\r\n a: b\r\n\r\n"]
    {
        let request = format!("POST /events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        let answer = exchange(admin, request.as_bytes()).await;
        assert_eq!(statuses(&answer), ["400"], "{body:?}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_closed_its_direction_gets_its_response() {
    let (bucket, stage, admin) = stage().await;
    let gate = bucket.stall(Operation::Get, "originals/");
    for (address, path) in [(stage.address, "/cat_40x40.jpg"), (admin, "/healthz")] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        until("the original is being read", || bucket.count(Operation::Get, "originals/") == 1).await;
        gate.release();
        let mut answer = Vec::new();
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{path}: {}", answer.escape_ascii());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_http_2_preface_after_a_request_is_refused() {
    let (_bucket, stage, admin) = stage().await;
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let first = "HEAD /cat_40x40.jpg HTTP/1.1\r\nHost: x\r\n\r\n";
    // The frames that follow a preface would hide a request from the checks.
    let smuggled = "GET /cat_40x40.jpg HTTP/1.1\nHost: x\r\n\r\n";
    let answer = exchange(stage.address, [first, preface, smuggled].concat().as_bytes()).await;
    assert_eq!(statuses(&answer), ["200", "505"]);
    assert_eq!(statuses(&exchange(admin, preface.as_bytes()).await), ["505"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_requests_name_one_host() {
    let (_bucket, stage, _) = stage().await;
    let stream = TcpStream::connect(stage.address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for (host, status) in
        [("localhost", 200), ("LOCALHOST", 200), ("other.example", 400), ("localhost:81", 400), ("a b", 400)]
    {
        let request = http::Request::get("http://localhost/cat_40x40.jpg").header("host", host).body(()).unwrap();
        let (answer, _) = client.clone().ready().await.unwrap().send_request(request, true).unwrap();
        assert_eq!(answer.await.unwrap().status().as_u16(), status, "{host}");
    }
}
