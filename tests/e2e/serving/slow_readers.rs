//! Clients that take their responses slowly or not at all.

use std::time::Duration;

use h2::client::SendRequest;
use resized::config::Config;
use tokio::net::TcpStream;

use crate::support::bucket::Bucket;
use crate::support::pictures::jpeg;
use crate::support::stage::{PATIENCE, Stage, settings};

/// The size of `big.jpg`, more than the buffers of a connection hold.
const BIG_BYTES: usize = 16 << 20;

/// A server with the originals `cat.jpg` and `big.jpg`.
async fn stage(change: impl FnOnce(&mut Config)) -> (Bucket, Stage) {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/cat.jpg", jpeg(160, 120), "image/jpeg");
    bucket.put_object("originals/big.jpg", [jpeg(16, 16), vec![0; BIG_BYTES]].concat(), "image/jpeg");
    let mut config = settings(&bucket);
    change(&mut config);
    let stage = Stage::start(config).await;
    (bucket, stage)
}

/// Connects with a window of `window` bytes for each stream.
async fn connect(
    stage: &Stage,
    window: u32,
) -> (SendRequest<bytes::Bytes>, tokio::task::JoinHandle<Result<(), h2::Error>>) {
    let stream = TcpStream::connect(stage.address).await.unwrap();
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(window).initial_connection_window_size(1 << 20);
    let (client, connection) = builder.handshake(stream).await.unwrap();
    (client, tokio::spawn(connection))
}

/// Requests `path` and returns its body once the header has arrived.
async fn open(client: &SendRequest<bytes::Bytes>, path: &str) -> h2::RecvStream {
    let request = http::Request::get(format!("http://localhost{path}")).body(()).unwrap();
    let (response, _) = client.clone().ready().await.unwrap().send_request(request, true).unwrap();
    let response = response.await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    response.into_body()
}

/// Reads without opening the window again. Returns the reason for which the server resets the stream.
async fn reset_reason(mut body: h2::RecvStream) -> Option<h2::Reason> {
    let read = async {
        while let Some(data) = body.data().await {
            if let Err(error) = data {
                return error.reason();
            }
        }
        None
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the stream is reset")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_client_opens_no_window_is_reset_and_the_connection_goes_on() {
    let (_bucket, stage) = stage(|config| config.server.write_timeout = Duration::from_millis(200)).await;
    let (client, connection) = connect(&stage, 0).await;
    for path in ["/big.jpg", "/cat_40x40.jpg", "/cat_40x40.jpg"] {
        let body = open(&client, path).await;
        assert_eq!(reset_reason(body).await, Some(h2::Reason::CANCEL), "{path}");
    }
    assert!(!connection.is_finished());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_stalls_after_its_first_window_is_reset_while_others_are_served() {
    let (_bucket, stage) = stage(|config| config.server.write_timeout = Duration::from_millis(200)).await;
    let (client, _connection) = connect(&stage, 65_535).await;
    let stalled = tokio::spawn(reset_reason(open(&client, "/big.jpg").await));
    let mut served = 0;
    while !stalled.is_finished() || served < 2 {
        let mut body = open(&client, "/cat_40x40.jpg").await;
        while let Some(data) = body.data().await {
            body.flow_control().release_capacity(data.unwrap().len()).unwrap();
        }
        served += 1;
    }
    assert_eq!(stalled.await.unwrap(), Some(h2::Reason::CANCEL));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_takes_every_window_is_complete() {
    let (_bucket, stage) = stage(|config| config.server.write_timeout = Duration::from_secs(5)).await;
    let (client, _connection) = connect(&stage, 1000).await;
    let mut body = open(&client, "/cat.jpg").await;
    let mut bytes = 0;
    while let Some(data) = body.data().await {
        let length = data.unwrap().len();
        assert!(length <= 1000);
        bytes += length;
        body.flow_control().release_capacity(length).unwrap();
    }
    assert_eq!(bytes, jpeg(160, 120).len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_http_2_connection_is_closed_and_its_client_is_told() {
    let (_bucket, stage) = stage(|config| config.server.idle_timeout = Duration::from_millis(200)).await;
    let (client, connection) = connect(&stage, 65_535).await;
    drop(open(&client, "/cat_40x40.jpg").await);
    let ended = tokio::time::timeout(PATIENCE, connection).await.expect("the connection is closed");
    ended.unwrap().expect("GOAWAY without an error");
}
