//! Notifications of uploads: retries, dead letters, and the order of the steps.

use reqwest::StatusCode;
use serde_json::Value;

use super::receiving::{notifying, send};
use crate::operating::check::resized;
use crate::support::bucket::{Bucket, Fault, Operation};
use crate::support::node::{self, on_bucket};
use crate::support::pictures::jpeg;
use crate::support::receiver::{Behavior, Receiver};
use crate::support::stage::{Stage, until};

#[tokio::test(flavor = "multi_thread")]
async fn failed_notification_is_retried_until_the_api_accepts_it() {
    let (bucket, receiver) = (Bucket::start().await, Receiver::start().await);
    receiver.set(Behavior::Status(500));
    let stage = Stage::start(notifying(&bucket, &receiver)).await;
    let response = send(&stage, "PUT", "/upload/a.jpg", jpeg(16, 16), &[]).await;
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["notified"], false);
    until("delivery is retried", || receiver.requests() >= 2).await;
    receiver.set(Behavior::Status(200));
    until("notification is delivered", || receiver.ids_and_keys().0.contains(answer["id"].as_str().unwrap())).await;
    until("outbox is empty", || bucket.keys("variants/.resized-outbox").is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notification_becomes_a_dead_letter_after_the_last_attempt() {
    let (bucket, receiver) = (Bucket::start().await, Receiver::start().await);
    receiver.set(Behavior::Status(302));
    let mut config = notifying(&bucket, &receiver);
    config.admin.listen = Some(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
    let stage = Stage::start(config).await;
    send(&stage, "PUT", "/upload/a.jpg", jpeg(16, 16), &[]).await;
    until("notification is a dead letter", || bucket.keys("variants/.resized-outbox/dead/").len() == 1).await;
    until("dead letter is the only entry", || bucket.keys("variants/.resized-outbox").len() == 1).await;
    assert_eq!(receiver.requests(), 4, "one attempt and three retries");
    receiver.set(Behavior::Status(204));
    let ids = stage.admin("GET", "/outbox/dead").send().await.unwrap().text().await.unwrap();
    let answer = stage.admin("POST", "/outbox/redeliver").body(format!("{ids}../x\n")).send().await.unwrap();
    assert_eq!(
        answer.text().await.unwrap(),
        format!("{} will be redelivered\n../x is not a dead letter\n", ids.trim())
    );
    until("notification is delivered", || receiver.ids_and_keys().0.contains(ids.trim())).await;
    until("outbox is empty", || bucket.keys("variants/.resized-outbox").is_empty()).await;

    // The `outbox` command does the same while the node is running.
    receiver.set(Behavior::Status(500));
    send(&stage, "PUT", "/upload/b.jpg", jpeg(16, 16), &[]).await;
    until("notification is a dead letter", || bucket.keys("variants/.resized-outbox/dead/").len() == 1).await;
    receiver.set(Behavior::Status(204));
    let environment = [on_bucket(&bucket), node::notifying(&receiver)].concat();
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let outbox = |arguments: &[&str]| {
        let (out, _, status) = resized(&[&["outbox"], arguments].concat(), &environment);
        (out, status)
    };
    let (ids, status) = tokio::task::block_in_place(|| outbox(&[]));
    assert_eq!((ids.lines().count(), status), (1, 0), "{ids}");
    let unknown = tokio::task::block_in_place(|| outbox(&["redeliver", "msg_0"]));
    assert_eq!(unknown, ("msg_0 is not a dead letter\n".to_owned(), 1));
    assert_eq!(
        tokio::task::block_in_place(|| outbox(&["redeliver", "--all"])),
        (format!("{} will be redelivered\n", ids.trim()), 0)
    );
    until("notification is delivered", || receiver.ids_and_keys().0.contains(ids.trim())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_410_stops_deliveries_and_keeps_notifications() {
    let (bucket, receiver) = (Bucket::start().await, Receiver::start().await);
    receiver.set(Behavior::Status(410));
    let stage = Stage::start(notifying(&bucket, &receiver)).await;
    for n in 0..3 {
        let response = send(&stage, "PUT", &format!("/upload/{n}.jpg"), jpeg(16, 16), &[]).await;
        assert_eq!(response.status(), StatusCode::CREATED);
    }
    assert_eq!(receiver.requests(), 1);
    until("all notifications are pending", || bucket.keys("variants/.resized-outbox/pending/").len() == 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_gets_no_201_before_the_notification_is_in_the_outbox() {
    let (bucket, receiver) = (Bucket::start().await, Receiver::start().await);
    let stage = Stage::start(notifying(&bucket, &receiver)).await;
    bucket.fail(Operation::Put, "variants/.resized-outbox", Fault::Status(500));
    let response = send(&stage, "PUT", "/upload/a.jpg", jpeg(16, 16), &[]).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    bucket.heal();
    let again = send(&stage, "PUT", "/upload/a.jpg", jpeg(16, 16), &[]).await;
    assert_eq!(again.status(), StatusCode::OK);
    assert_eq!(again.json::<Value>().await.unwrap()["notified"], true);
}
