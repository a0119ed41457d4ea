//! Many nodes, one bucket: four processes of the real program.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use futures_util::future::join_all;
use reqwest::{Client, StatusCode};

use crate::bucket::{Bucket, Operation};
use crate::pictures::{jpeg, see};
use crate::stage::{PATIENCE, until};

const NODES: usize = 4;
const CLIENTS: usize = 250;
const CAT: &str = "/cat_40x40.jpg";
const CAT_STORED: &str = "variants/cat.jpg/40x40_q80.jpg";
const LEASE: &str = "variants/cat.jpg/40x40_q80.jpg.lease";

/// A process, killed when dropped.
struct Node {
    process: Child,
    url: String,
}

impl Node {
    fn start(bucket: &Bucket, lease: bool) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_resized"))
            // Beside no config.toml.
            .current_dir(std::env::temp_dir())
            .envs([
                ("RESIZED_SERVER__LISTEN", "127.0.0.1:0"),
                ("RESIZED_LOG__ACCESS", "false"),
                ("RESIZED_LOG__FORMAT", "json"),
                ("RESIZED_S3__ENDPOINT", &bucket.url()),
                ("RESIZED_S3__REGION", "us-east-1"),
                ("RESIZED_S3__ANONYMOUS", "true"),
                ("RESIZED_ORIGINALS__STORE", &format!("s3://{}/originals", bucket.name())),
                ("RESIZED_VARIANTS__STORE", &format!("s3://{}/variants", bucket.name())),
                ("RESIZED_FLEET__LEASE", if lease { "true" } else { "false" }),
                ("RESIZED_FLEET__LEASE_TIME", "2s"),
            ])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = lines.by_ref().map(|line| line.unwrap()).find_map(|line| {
            let event: serde_json::Value = serde_json::from_str(&line).ok()?;
            let fields = event.get("fields").unwrap_or(&event);
            (fields["message"] == "listening").then(|| fields["address"].as_str().unwrap().to_owned())
        });
        // What nobody reads would block it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, url: format!("http://{}", address.unwrap()) }
    }

    /// What so many clients get at once; those that a killed node leaves without an answer get none.
    async fn herd(&self) -> Vec<Option<(StatusCode, Vec<u8>)>> {
        let client = Client::builder().timeout(PATIENCE).build().unwrap();
        let ask = async || {
            let response = client.get(format!("{}{CAT}", self.url)).send().await.ok()?;
            Some((response.status(), response.bytes().await.ok()?.to_vec()))
        };
        join_all((0..CLIENTS).map(|_| ask())).await
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn stage(lease: bool) -> (Bucket, Vec<Node>) {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/cat.jpg", jpeg(400, 300), "image/jpeg");
    let started = bucket.clone();
    let start = move || (0..NODES).map(|_| Node::start(&started, lease)).collect();
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
    let answers = join_all(nodes.iter().map(Node::herd)).await.concat();
    all_got_the_picture(&answers);
    until("it is stored", || bucket.object(CAT_STORED).is_some()).await;
    assert_eq!(bucket.stored(CAT_STORED), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_lease_four_nodes_and_a_thousand_clients_make_a_variant_once() {
    let (bucket, nodes) = stage(true).await;
    let answers = join_all(nodes.iter().map(Node::herd)).await.concat();
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
    let first = join_all(nodes.iter().map(Node::herd));
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
