//! Several nodes share one outbox: every event is delivered once, with a bounded number of requests to the API and the store.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use reqwest::Client;

use crate::operating::check::resized;
use crate::support::bucket::{Bucket, Operation};
use crate::support::node::{Node, TOKEN, notifying, on_bucket, uploading};
use crate::support::pictures::jpeg;
use crate::support::receiver::{Behavior, Receiver};
use crate::support::stage::{Stage, until};

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

/// The content of an entry.
fn entry(id: &str, leased_until: u64) -> Vec<u8> {
    let body = r#"{"type":"original.stored","data":{"key":"KEY"}}"#.replace("KEY", id);
    serde_json::to_vec(&serde_json::json!({ "id": id, "attempts": 0, "leased_until": leased_until, "body": body }))
        .unwrap()
}

fn put_entry(bucket: &Bucket, due: u64, id: &str, leased_until: u64) {
    bucket.put_object(&format!("{PENDING}{due:013}-{id}.json"), entry(id, leased_until), "application/json");
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_entries_are_skipped_reported_and_kept() {
    let (bucket, receiver) = (Bucket::start().await, Receiver::start().await);
    // More than one page of a listing.
    let unreadable = 1001;
    for n in 0..unreadable {
        let bytes = match n {
            0 => Vec::new(),
            1 => vec![b' '; 300_000],
            2 => entry("a/../b", 0),
            n => format!("{{\"id\":{n}").into_bytes(),
        };
        bucket.put_object(&format!("{PENDING}{n:013}-msg_{n}.json"), bytes, "application/json");
    }
    let due = bucket.time_ms();
    put_entry(&bucket, due, "msg_readable", 0);
    let mut config = super::receiving::notifying(&bucket, &receiver);
    config.admin.listen = Some(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
    let stage = Stage::start(config).await;
    until("the readable entry is delivered", || receiver.ids_and_keys().0.contains("msg_readable")).await;
    until("the delivered entry is removed", || bucket.keys(PENDING).len() == unreadable).await;
    let lists = bucket.count(Operation::List, PENDING);
    until("the outbox is swept again", || bucket.count(Operation::List, PENDING) > lists + 4).await;
    assert_eq!(bucket.keys(PENDING).len(), unreadable, "nothing is deleted");
    let reads = bucket.count(Operation::Get, PENDING);
    assert!(reads <= unreadable + 2, "{reads} reads: each is read once");
    let metrics = async || stage.admin("GET", "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics().await.contains("resized_outbox_unreadable 1001"));

    let environment = [on_bucket(&bucket), notifying(&receiver)].concat();
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    bucket.put_object("variants/.resized-outbox/dead/msg_dead.json", b"not JSON".to_vec(), "application/json");
    let (ids, problems, status) = tokio::task::block_in_place(|| resized(&["outbox"], &environment));
    assert_eq!((ids.as_str(), status), ("msg_dead\n", 0));
    for key in ["pending/0000000000000-msg_0.json", "dead/msg_dead.json"] {
        assert!(problems.contains(&format!(".resized-outbox/{key} cannot be read")), "{problems}");
    }
    let redelivery = tokio::task::block_in_place(|| resized(&["outbox", "redeliver", "--all"], &environment));
    assert_eq!((redelivery.0.as_str(), redelivery.2), ("msg_dead cannot be read\n", 1));

    bucket.keys(PENDING).iter().for_each(|key| bucket.remove_object(key));
    while !metrics().await.contains("resized_outbox_unreadable 0") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn due_times_follow_the_clock_of_the_bucket() {
    let hour = 3600 * 1000;
    for seconds_ahead in [3600, -3600] {
        let (bucket, receiver) = (Bucket::start().await, Receiver::start().await);
        bucket.set_clock(seconds_ahead);
        let now = bucket.time_ms();
        put_entry(&bucket, now - 1000, "msg_due", 0);
        put_entry(&bucket, now - 900, "msg_leased", now + hour / 2);
        put_entry(&bucket, now - 800, "msg_leased_by_a_wrong_clock", now + 48 * hour);
        put_entry(&bucket, now + hour / 2, "msg_later", 0);
        let mut config = super::receiving::notifying(&bucket, &receiver);
        config.notify.retries = vec![std::time::Duration::from_secs(1800).into()];
        let stage = Stage::start(config).await;
        until("the due entries are delivered", || receiver.requests() == 2).await;
        let ids = receiver.ids_and_keys().0;
        assert!(ids.contains("msg_due") && ids.contains("msg_leased_by_a_wrong_clock"), "{ids:?}");
        // A failed delivery is due again in half an hour by the clock of the bucket.
        receiver.set(Behavior::Status(500));
        super::receiving::send(&stage, "PUT", "/upload/a.jpg", jpeg(16, 16), &[]).await;
        until("the delivery failed", || receiver.requests() == 3).await;
        let due = |key: &String| key[PENDING.len()..].split('-').next().unwrap().parse::<u64>().unwrap();
        let is_rescheduled = |key: &String| key.contains("msg_") && due(key) > now + hour / 2 + 1000;
        until("the delivery is rescheduled", || {
            bucket.keys(PENDING).iter().filter(|key| is_rescheduled(key)).count() == 1
        })
        .await;
        let last = due(bucket.keys(PENDING).last().unwrap());
        assert!(last < now + hour, "{last} {now}");
        let lists = bucket.count(Operation::List, PENDING);
        until("the outbox is swept again", || bucket.count(Operation::List, PENDING) > lists + 4).await;
        assert_eq!(receiver.requests(), 3, "entries that are leased or due later wait");
    }
}
