//! HTTP/1.1 message syntax (RFC 9112): accepted and rejected requests, and when the connection closes.

use std::time::Duration;

use reqwest::StatusCode;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::serving::connections::{send_raw, stage_with_cat};
use crate::support::bucket::{Bucket, Operation};
use crate::support::pictures::jpeg;
use crate::support::stage::{Stage, settings, until};

/// The status codes of all responses in `text`, in order.
pub fn statuses(text: &str) -> Vec<&str> {
    let status =
        |at: usize| text.get(at + 9..at + 12).filter(|status| status.bytes().all(|byte| byte.is_ascii_digit()));
    text.match_indices("HTTP/1.1 ").filter_map(|(at, _)| status(at)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_requests_are_rejected_and_close_the_connection() {
    let (_bucket, stage) = stage_with_cat().await;
    let refused = [
        ("two lengths", "GET /cat.jpg HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
        ("a list of lengths", "GET /cat.jpg HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 6\r\n\r\nhello"),
        ("a signed length", "GET /cat.jpg HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello"),
        (
            "a length and a coding",
            "GET /cat.jpg HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "a coding and a length",
            "GET /cat.jpg HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        ),
        (
            "a last coding that is not chunked",
            "GET /cat.jpg HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        ),
        ("an unknown coding", "GET /cat.jpg HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n"),
        ("a coding in HTTP/1.0", "GET /cat.jpg HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("a body of GET", "GET /cat.jpg HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"),
        ("no host", "GET /cat.jpg HTTP/1.1\r\n\r\n"),
        ("two hosts", "GET /cat.jpg HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
        ("a space before a colon", "GET /cat.jpg HTTP/1.1\r\nHost : x\r\n\r\n"),
        ("a folded line", "GET /cat.jpg HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\n\r\n"),
        ("a space in the target", "GET /cat .jpg HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("a tab after the method", "GET\t/cat.jpg HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("a bare LF", "GET /cat.jpg HTTP/1.1\nHost: x\r\n\r\n"),
        ("a bare LF at the end", "GET /cat.jpg HTTP/1.1\r\nHost: x\n\n"),
        ("a bare CR", "GET /cat.jpg HTTP/1.1\r\nHost: x\rX-A: b\r\n\r\n"),
        ("a NUL", "GET /cat.jpg HTTP/1.1\r\nHost: x\r\nX-A: \0\r\n\r\n"),
        ("a version to come", "GET /cat.jpg HTTP/3.0\r\nHost: x\r\n\r\n"),
    ];
    for (what, request) in refused {
        // The smuggled request must not be answered.
        let answer = send_raw(&stage, &format!("{request}GET /cat_40x40.jpg HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        let seen = statuses(&answer);
        let expected = if what == "a version to come" { "505" } else { "400" };
        assert_eq!(seen, [expected], "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_request_target_is_handled_as_in_rfc_9112() {
    let (_bucket, stage) = stage_with_cat().await;
    let table = [
        ("GET /cat_40x40.jpg", "200"),
        ("GET http://elsewhere.example/cat_40x40.jpg?v=1", "200"),
        ("GET elsewhere.example:80", "400"),
        ("GET *", "400"),
        ("CONNECT elsewhere.example:80", "405"),
        ("OPTIONS *", "204"),
        ("TRACE /cat_40x40.jpg", "405"),
        ("GET /%", "400"),
        ("GET /%zz.jpg", "400"),
        ("GET /%00.jpg", "400"),
        ("GET /%ff.jpg", "400"),
    ];
    for (line, status) in table {
        let answer = send_raw(&stage, &format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(statuses(&answer), [status], "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_kept_alive_or_closed_as_requested() {
    let (_bucket, stage) = stage_with_cat().await;
    let one = "GET /cat_40x40.jpg HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer =
        send_raw(&stage, &[one, &one.replace("x\r\n\r\n", "x\r\nConnection: close\r\n\r\n"), one].concat()).await;
    assert_eq!(statuses(&answer), ["200", "200"], "no response after close");
    let old = send_raw(&stage, "GET /cat_40x40.jpg HTTP/1.0\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.0 200") || old.starts_with("HTTP/1.1 200"), "closed by the server: {old:.40}");
    let continued = "GET /cat_40x40.jpg HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    assert_eq!(
        statuses(&send_raw(&stage, continued).await),
        ["200"],
        "the server does not wait for a body and sends no 100"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_finishes_http_2_requests_and_accepts_no_new_connections() {
    let (bucket, stage) = stage_with_cat().await;
    let gate = bucket.stall(Operation::Get, "originals/");
    let stream = TcpStream::connect(stage.address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = || http::Request::get("http://localhost/cat_40x40.jpg").body(()).unwrap();
    let (answer, _) = client.send_request(request(), true).unwrap();
    let answer = tokio::spawn(answer);
    until("the original is being read", || bucket.count(Operation::Get, "originals/") == 1).await;
    let address = stage.address;
    let stopped = tokio::spawn(stage.stop());
    // After GOAWAY the client itself refuses to send requests. The responses are kept, because dropping them would reset the
    // streams, and the server limits resets.
    let mut more = Vec::new();
    while let Ok(mut ready) = client.clone().ready().await {
        match ready.send_request(request(), true) {
            Ok(sent) => more.push(sent),
            Err(_) => break,
        }
        tokio::task::yield_now().await;
    }
    gate.release();
    assert_eq!(answer.await.unwrap().unwrap().status(), StatusCode::OK);
    drop(client);
    connection.await.unwrap().unwrap();
    assert!(stopped.await.unwrap());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_must_send_the_proxy_protocol_if_configured() {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/cat.jpg", jpeg(160, 120), "image/jpeg");
    let mut config = settings(&bucket);
    config.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    config.server.proxy_protocol = true;
    config.server.idle_timeout = Duration::from_secs(10);
    let stage = Stage::start(config).await;
    let request = "GET /cat_40x40.jpg HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let proxied = format!("PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\r\n{request}");
    assert_eq!(statuses(&send_raw(&stage, &proxied).await), ["200"]);
    for pieces in [proxied.as_bytes().chunks(1), proxied.as_bytes().chunks(20)] {
        let mut stream = TcpStream::connect(stage.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for piece in pieces {
            stream.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut answer = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"), "a header in several segments");
    }
    let mut without = TcpStream::connect(stage.address).await.unwrap();
    without.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The server may close the socket with unread bytes, which resets the connection.
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut without, &mut answer).await;
    assert!(answer.is_empty(), "no response without the PROXY protocol");
}
