//! Several nodes share one outbox: every event is delivered once, with a bounded number of requests to the API and the store.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use reqwest::Client;

use crate::support::bucket::{Bucket, Operation};
use crate::support::node::{Node, TOKEN, notifying, on_bucket, uploading};
use crate::support::pictures::jpeg;
use crate::support::receiver::{Behavior, Receiver};
use crate::support::stage::until;

const NODES: usize = 3;
const UPLOADS: usize = 60;
const POLL: Duration = Duration::from_millis(500);
const PENDING: &str = "variants/.resized-outbox/pending/";

/// Requests that a node may send to a failing API before it pauses: five failures, and the requests
/// that are in progress by then.
const REQUESTS_BEFORE_PAUSE: usize = 5 + 8;

#[tokio::test(flavor = "multi_thread")]
async fn several_nodes_deliver_from_one_outbox_without_a_retry_storm() {
    let (bucket, receiver) = (Bucket::start().await, Receiver::start().await);
    receiver.set(Behavior::Status(500));
    let mut settings = [on_bucket(&bucket), uploading(), notifying(&receiver)].concat();
    settings.push(("RESIZED_NOTIFY__POLL_INTERVAL", "500ms".into()));
    settings.push(("RESIZED_NOTIFY__WAIT", "10ms".into()));
    settings.push(("RESIZED_NOTIFY__RETRIES", format!("[{}]", ["\"500ms\""; 100].join(", "))));
    let begun = Instant::now();
    let start = move || (0..NODES).map(|_| Node::start(&settings)).collect::<Vec<_>>();
    let nodes = tokio::task::spawn_blocking(start).await.unwrap();
    let (client, picture) = (Client::new(), jpeg(16, 16));
    let upload = async |n: usize| {
        let url = format!("{}/upload/{n}.jpg", nodes[n % NODES].url);
        let answer = client.put(url).bearer_auth(TOKEN).body(picture.clone()).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 201);
    };
    stream::iter(0..UPLOADS).for_each_concurrent(8, upload).await;

    // The API fails for several sweeps of each node.
    let rounds = |n| bucket.count(Operation::List, PENDING) >= n;
    until("outbox is swept", || rounds(6 * NODES)).await;
    let (polls, failed) = (begun.elapsed().div_duration_f64(POLL).ceil() as usize + 1, receiver.requests());
    assert!(bucket.keys(PENDING).len() >= UPLOADS, "every notification is in the outbox");
    assert!(failed <= NODES * REQUESTS_BEFORE_PAUSE * polls, "{failed} requests to a failing API in {polls} polls");

    receiver.set(Behavior::Status(204));
    until("all notifications are delivered", || bucket.keys("variants/.resized-outbox/").is_empty()).await;
    let polls = begun.elapsed().div_duration_f64(POLL).ceil() as usize + 1;
    assert_eq!(receiver.ids_and_keys().1.len(), UPLOADS);
    assert_eq!(receiver.accepted(), UPLOADS, "each is accepted once, because nodes claim it before they send it");
    let lists = bucket.count(Operation::List, PENDING);
    assert!(lists <= NODES * polls, "{lists} listings by {NODES} nodes in {polls} polls");
    let claims = bucket.count(Operation::Get, PENDING);
    assert!(
        claims <= NODES * (receiver.requests() + UPLOADS),
        "{claims} entries were read for {} attempts",
        receiver.requests()
    );
}
