//! Limits of the responses that are being sent, in total and for each client.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::StatusCode;
use resized::config::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::serving::wire::statuses;
use crate::support::bucket::{Bucket, Operation};
use crate::support::pictures::jpeg;
use crate::support::stage::{PATIENCE, Stage, settings, until};

/// The smallest memory for the default limits; few bodies fit.
const MEMORY: &str = "272MiB";

/// A server with little memory and the originals `cat.jpg` and `big.jpg`, which is larger than the buffers of a connection.
async fn stage(change: impl FnOnce(&mut Config)) -> (Bucket, Stage) {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/cat.jpg", jpeg(160, 120), "image/jpeg");
    bucket.put_object("originals/big.jpg", [jpeg(16, 16), vec![0; 16 << 20]].concat(), "image/jpeg");
    let mut config = settings(&bucket);
    config.memory = resized::config::Memory(MEMORY.parse().unwrap());
    config.server.connections = resized::config::Server::default().connections;
    config.server.write_timeout = Duration::from_secs(3600);
    change(&mut config);
    let stage = Stage::start(config).await;
    (bucket, stage)
}

/// A connection from `address` on which `/big.jpg` was requested, and the beginning of the response. The rest stays unread.
async fn start_reading(stage: &Stage, address: [u8; 4]) -> (TcpStream, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind(SocketAddr::from((address, 0))).unwrap();
    let mut stream = socket.connect(stage.address).await.unwrap();
    stream.write_all(b"GET /big.jpg HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut head = vec![0; 2048];
    let read = stream.read(&mut head).await.unwrap();
    (stream, String::from_utf8_lossy(&head[..read]).into_owned())
}

/// Starts responses to clients from `address` until one is refused. Returns the open ones and the refusal.
async fn fill(stage: &Stage, address: [u8; 4]) -> (Vec<TcpStream>, String) {
    let mut open = Vec::new();
    loop {
        let (stream, head) = start_reading(stage, address).await;
        if statuses(&head) != ["200"] {
            return (open, head);
        }
        open.push(stream);
        assert!(open.len() < 200, "nothing is refused");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_receives_too_many_originals_gets_429_and_others_are_served() {
    let (_bucket, stage) = stage(|_| {}).await;
    let (mut open, refusal) = fill(&stage, [127, 0, 0, 1]).await;
    assert_eq!(statuses(&refusal), ["429"]);
    assert!(
        refusal.contains("\r\nretry-after: 1\r\n") && refusal.contains("this client receives too many"),
        "{refusal}"
    );
    assert!(open.len() > 10, "{}", open.len());
    assert_eq!(stage.get("/cat_40x40.jpg").await.status(), StatusCode::OK, "variants need no such permit");
    let (_other, head) = start_reading(&stage, [127, 0, 0, 2]).await;
    assert_eq!(statuses(&head), ["200"]);
    open.pop();
    let again = async { while statuses(&start_reading(&stage, [127, 0, 0, 1]).await.1) != ["200"] {} };
    tokio::time::timeout(PATIENCE, again).await.expect("the permit is returned");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_clients_together_get_503_when_the_memory_for_bodies_is_in_use() {
    // The test connects as a trusted proxy, which has no limit for one client.
    let (_bucket, stage) = stage(|config| config.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let (open, refusal) = fill(&stage, [127, 0, 0, 1]).await;
    assert_eq!(statuses(&refusal), ["503"]);
    assert!(refusal.contains("\r\nretry-after: 1\r\n") && refusal.contains("(memory)"), "{refusal}");
    assert_eq!(stage.get("/cat_40x40.jpg").await.status(), StatusCode::OK);
    drop(open);
}

#[tokio::test(flavor = "multi_thread")]
async fn originals_that_clients_read_slowly_take_no_permits_of_s3() {
    let (bucket, stage) = stage(|config| {
        config.s3.concurrency = std::num::NonZeroUsize::new(2).unwrap();
        config.s3.operation_timeout = Duration::from_secs(10);
    })
    .await;
    let mut open = Vec::new();
    for _ in 0..8 {
        let (stream, head) = start_reading(&stage, [127, 0, 0, 1]).await;
        assert_eq!(statuses(&head), ["200"]);
        open.push(stream);
    }
    assert_eq!(stage.get("/cat_40x40.jpg").await.status(), StatusCode::OK);
    until("the variant is stored", || bucket.object("variants/cat.jpg/40x40_q80.jpg").is_some()).await;
    assert!(bucket.count(Operation::Get, "originals/big.jpg") >= open.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_streams_of_one_client_are_limited_over_all_its_connections() {
    let (_bucket, stage) = stage(|_| {}).await;
    assert_eq!(stage.get("/cat_40x40.jpg").await.status(), StatusCode::OK);
    let (mut clients, mut open) = (Vec::new(), Vec::new());
    let refused = 'refused: loop {
        let stream = TcpStream::connect(stage.address).await.unwrap();
        let mut builder = h2::client::Builder::new();
        let (client, connection) = builder.initial_window_size(0).handshake::<_, bytes::Bytes>(stream).await.unwrap();
        tokio::spawn(connection);
        for _ in 0..100 {
            let request = http::Request::get("http://localhost/cat_40x40.jpg").body(()).unwrap();
            let (response, _) = client.clone().ready().await.unwrap().send_request(request, true).unwrap();
            let response = response.await.unwrap();
            if response.status() != 200 {
                break 'refused response;
            }
            open.push(response);
        }
        clients.push(client);
        assert!(open.len() < 5000, "nothing is refused");
    };
    assert_eq!(
        (refused.status(), &refused.headers()["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"1".parse().unwrap())
    );
    let mut body = refused.into_body();
    while let Some(data) = body.data().await {
        assert_eq!(data.expect("the response ends without a window").len(), 0);
    }
    assert!(open.len() > 100, "one connection alone is not refused: {}", open.len());
    assert_eq!(stage.get("/cat_40x40.jpg").await.status(), StatusCode::OK, "HTTP/1 needs no such permit");
}
