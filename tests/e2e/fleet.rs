//! Many nodes, one bucket: four processes of the real program.

use std::process::Command;

use futures_util::future::join_all;
use reqwest::{Client, StatusCode};

use crate::bucket::{Bucket, Operation};
use crate::node::{Node, on_bucket};
use crate::pictures::{jpeg, see};
use crate::stage::{PATIENCE, until};

const NODES: usize = 4;
const CLIENTS: usize = 250;
const CAT: &str = "/cat_40x40.jpg";
const CAT_STORED: &str = "variants/cat.jpg/40x40_q80.jpg";
const LEASE: &str = "variants/cat.jpg/40x40_q80.jpg.lease";

/// What so many clients get at once; those that a killed node leaves without an answer get none.
async fn herd(node: &Node) -> Vec<Option<(StatusCode, Vec<u8>)>> {
    let client = Client::builder().timeout(PATIENCE).build().unwrap();
    let ask = async || {
        let response = client.get(format!("{}{CAT}", node.url)).send().await.ok()?;
        Some((response.status(), response.bytes().await.ok()?.to_vec()))
    };
    join_all((0..CLIENTS).map(|_| ask())).await
}

async fn stage(lease: bool) -> (Bucket, Vec<Node>) {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/cat.jpg", jpeg(400, 300), "image/jpeg");
    let mut settings = on_bucket(&bucket);
    settings.push(("RESIZED_FLEET__LEASE", lease.to_string()));
    settings.push(("RESIZED_FLEET__LEASE_TIME", "2s".into()));
    let start = move || (0..NODES).map(|_| Node::start(&settings)).collect();
    let nodes = tokio::task::spawn_blocking(start).await.unwrap();
    (bucket, nodes)
}

#[track_caller]
fn all_got_the_picture(answers: &[Option<(StatusCode, Vec<u8>)>]) {
    let first = &answers[0].as_ref().unwrap().1;
    assert_eq!(see(first).width, 40);
    for answer in answers {
        let (status, bytes) = answer.as_ref().unwrap();
        assert_eq!((*status, bytes), (StatusCode::OK, first));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_nodes_and_a_thousand_clients_store_a_variant_once() {
    let (bucket, nodes) = stage(false).await;
    let answers = join_all(nodes.iter().map(herd)).await.concat();
    all_got_the_picture(&answers);
    until("it is stored", || bucket.object(CAT_STORED).is_some()).await;
    assert_eq!(bucket.stored(CAT_STORED), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_lease_four_nodes_and_a_thousand_clients_make_a_variant_once() {
    let (bucket, nodes) = stage(true).await;
    let answers = join_all(nodes.iter().map(herd)).await.concat();
    all_got_the_picture(&answers);
    assert_eq!(bucket.count(Operation::Get, "originals/"), 1, "what is not downloaded is not decoded");
    assert_eq!(bucket.count(Operation::Put, CAT_STORED) - bucket.count(Operation::Put, LEASE), 1);
    assert_eq!(bucket.stored(CAT_STORED), 1);
    until("the lease is given up", || bucket.object(LEASE).is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_whose_holder_is_killed_is_taken_over_once() {
    let (bucket, mut nodes) = stage(true).await;
    let gate = bucket.stall(Operation::Get, "originals/");
    let first = join_all(nodes.iter().map(herd));
    let kill = async {
        until("one node makes it", || bucket.count(Operation::Get, "originals/") == 1).await;
        let lease = String::from_utf8(bucket.object(LEASE).unwrap().bytes.to_vec()).unwrap();
        let holder: u32 = lease.split(' ').nth(1).unwrap().parse().unwrap();
        let holder = nodes.iter().position(|node| node.process.id() == holder).unwrap();
        // SIGKILL, by hand: the nodes are borrowed by their clients.
        assert!(Command::new("kill").args(["-9", &nodes[holder].process.id().to_string()]).status().unwrap().success());
        gate.release();
        holder
    };
    let (mut answers, holder) = tokio::join!(first, kill);
    assert!(answers.remove(holder).iter().all(Option::is_none));
    nodes.remove(holder);
    all_got_the_picture(&answers.concat());
    assert_eq!(bucket.count(Operation::Get, "originals/"), 2, "the killed one's, and one of the three others'");
    assert_eq!(bucket.stored(CAT_STORED), 1);
}
