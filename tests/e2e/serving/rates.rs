//! Rate limits and connection limits.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::bucket::{Bucket, Operation};
use crate::support::pictures::jpeg;
use crate::support::stage::{Stage, header, settings, until};

async fn bucket() -> Bucket {
    let bucket = Bucket::start().await;
    for name in ["cat", "dog"] {
        bucket.put_object(&format!("originals/{name}.jpg"), jpeg(160, 120), "image/jpeg");
    }
    bucket
}

/// CPU time that a small variant is charged.
const VARIANT_COST: Duration = Duration::from_nanos(1_000_000_000 / 30);

#[track_caller]
fn assert_limited(response: &Response) {
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    // Debts of more than a minute take longer to pay than a minute.
    assert!((1..=600).contains(&header(response, "retry-after").parse::<u32>().unwrap()), "{response:?}");
    assert_eq!(header(response, "cache-control"), "no-store");
}

async fn get_for(stage: &Stage, client: &str, path: &str) -> Response {
    stage.request("GET", path).header("x-forwarded-for", client).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn new_variants_of_an_original_are_rate_limited() {
    let bucket = bucket().await;
    let mut config = settings(&bucket);
    config.rates.cpu_per_original = 5 * VARIANT_COST;
    let stage = Stage::start(config).await;
    let mut made = 0;
    for side in 1..=40 {
        let response = stage.get(&format!("/cat_{side}x{side}.jpg")).await;
        match response.status() {
            StatusCode::OK => made += 1,
            _ => assert_limited(&response),
        }
    }
    // A variant that takes longer than the minimum counts as more, and the time is given back continuously.
    assert!((5..=10).contains(&made), "{made}");
    until("all are stored", || bucket.keys("variants/").len() == made).await;
    assert_eq!(stage.get("/cat_1x1.jpg").await.status(), StatusCode::OK, "a stored variant is served");
    assert_eq!(stage.get("/dog_1x1.jpg").await.status(), StatusCode::OK, "other originals are not limited");
    assert!(bucket.count(Operation::Get, "originals/") <= made + 1, "a limited request does not read the original");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_client_of_a_trusted_proxy_has_a_separate_limit() {
    let bucket = bucket().await;
    let mut config = settings(&bucket);
    config.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    config.rates.cpu_per_client = VARIANT_COST;
    let stage = Stage::start(config).await;
    let mut limited = None;
    // One variant takes the time of a minute, so the third has to wait for the debt of the second.
    for side in 1..=3 {
        let response = get_for(&stage, "192.0.2.1", &format!("/cat_{side}x.jpg")).await;
        limited = Some(response).filter(|response| response.status() != StatusCode::OK).or(limited);
    }
    assert_limited(&limited.unwrap());
    assert_eq!(get_for(&stage, "192.0.2.2", "/cat_9x.jpg").await.status(), StatusCode::OK);
    // Only the last address comes from the proxy; a client can forge the others.
    let mut limited = None;
    for side in 1..=3 {
        let forged = stage
            .request("GET", &format!("/dog_{side}x.jpg"))
            .header("x-forwarded-for", format!("203.0.113.{side}, 192.0.2.1"))
            // The proxy passes on headers that it does not know.
            .header("forwarded", format!("for=203.0.113.{side}"))
            .send()
            .await
            .unwrap();
        limited = Some(forged).filter(|response| response.status() != StatusCode::OK).or(limited);
    }
    assert_limited(&limited.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_trusted_proxies_forwarding_headers_are_ignored() {
    let bucket = bucket().await;
    let mut config = settings(&bucket);
    config.rates.requests_per_client = 10;
    let stage = Stage::start(config).await;
    let mut limited = Vec::new();
    for n in 0..40 {
        let response = get_for(&stage, &format!("192.0.2.{n}"), "/cat_40x.jpg").await;
        if response.status() != StatusCode::OK {
            limited.push(response);
        }
    }
    assert!(limited.len() >= 20, "{}", limited.len());
    limited.iter().for_each(assert_limited);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_joined_the_flight_of_a_limited_client_is_served() {
    let bucket = bucket().await;
    let mut config = settings(&bucket);
    config.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    config.rates.cpu_per_client = VARIANT_COST;
    let stage = std::sync::Arc::new(Stage::start(config).await);
    for side in 1..=2 {
        get_for(&stage, "192.0.2.1", &format!("/cat_{side}x.jpg")).await;
    }
    let gate = bucket.stall(Operation::Get, "variants/");
    let lookups = bucket.count(Operation::Get, "variants/");
    let request = |client: &'static str| {
        let stage = stage.clone();
        tokio::spawn(async move { get_for(&stage, client, "/cat_40x.jpg").await.status() })
    };
    let first = request("192.0.2.1");
    until("the flight looks the variant up", || bucket.count(Operation::Get, "variants/") > lookups).await;
    let second = request("192.0.2.2");
    gate.release();
    let first = first.await.unwrap();
    assert!(matches!(first, StatusCode::TOO_MANY_REQUESTS | StatusCode::OK), "{first}");
    assert_eq!(second.await.unwrap(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_that_costs_more_than_a_minute_allows_is_made_and_then_paid_off() {
    let bucket = bucket().await;
    let mut config = settings(&bucket);
    config.rates.cpu_per_original = Duration::from_millis(1);
    let stage = Stage::start(config).await;
    assert_eq!(stage.get("/cat_80x.jpg.png").await.status(), StatusCode::OK, "the whole minute is available");
    let response = stage.get("/cat_81x.jpg.png").await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(header(&response, "retry-after").parse::<u32>().unwrap() > 60, "{response:?}");
    assert!(response.text().await.unwrap().contains("rates.cpu_per_original"));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_per_client_are_limited() {
    let bucket = bucket().await;
    let mut config = settings(&bucket);
    config.server.connections_per_client = 2;
    let stage = Stage::start(config).await;
    let (one, two) =
        (TcpStream::connect(stage.address).await.unwrap(), TcpStream::connect(stage.address).await.unwrap());
    let mut third = TcpStream::connect(stage.address).await.unwrap();
    assert_eq!(third.read(&mut [0; 1]).await.unwrap_or(0), 0, "the third connection is closed");
    drop((one, two));
    // Their permits are released when the server notices that they are closed.
    let request = "GET /cat_40x.jpg HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for _ in 0..1000 {
        let mut stream = TcpStream::connect(stage.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = Vec::new();
        if stream.read_to_end(&mut response).await.is_ok() && response.starts_with(b"HTTP/1.1 200") {
            return;
        }
    }
    panic!("the permits were not released");
}
