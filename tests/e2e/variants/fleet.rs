//! Several nodes on one bucket: four processes of the real program, with the S3 server in this process and, if
//! `TEST_S3_ENDPOINT` is set, with a real server.

use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::{Client, StatusCode};
use resized::config::{Config, StoreAddress};
use resized::observability::metrics::S3Metrics;
use resized::origin::{Attributes, Precondition, Store};
use resized::variant::ObjectKey;

use crate::support::bucket::{Bucket, Gate, Operation};
use crate::support::node::Node;
use crate::support::pictures::{jpeg, see};
use crate::support::stage::{PATIENCE, real, settings, until};

const NODES: usize = 4;
const REVALIDATE_AFTER: &str = "1s";
const CLIENTS: usize = 250;
const CAT: &str = "/cat_40x40.jpg";
const STORED: &str = "cat.jpg/40x40_q80.jpg";
const LEASE: &str = "cat.jpg/40x40_q80.jpg.lease";

/// Nodes on a bucket with one original.
struct Fleet {
    nodes: Vec<Node>,
    originals: Store,
    variants: Store,
    client: Client,
    /// The server in this process, unless the fleet uses the real server.
    bucket: Option<Bucket>,
}

impl Fleet {
    /// A fleet for each available kind of server.
    async fn each(name: &str, lease: bool) -> Vec<Self> {
        let bucket = Bucket::start().await;
        let mut fleets = vec![Self::start(settings(&bucket), lease, Some(bucket.clone())).await];
        if let Some(config) = real(&bucket, name) {
            fleets.push(Self::start(config, lease, None).await);
        }
        fleets
    }

    async fn start(config: Config, lease: bool, bucket: Option<Bucket>) -> Self {
        let store =
            async |address: &StoreAddress| Store::open(address, "", &config.s3, &S3Metrics::default()).await.unwrap();
        let originals = store(&config.originals.store).await;
        let variants = store(&config.variants.store).await;
        let start = move || (0..NODES).map(|_| node(&config, lease)).collect();
        let nodes = tokio::task::spawn_blocking(start).await.unwrap();
        let client = Client::builder().timeout(PATIENCE).build().unwrap();
        let fleet = Self { nodes, originals, variants, client, bucket };
        // Large enough that decoding is still running when the node is killed.
        fleet.put_cat(4000, 3000).await;
        fleet
    }

    async fn put_cat(&self, width: u32, height: u32) {
        let attributes = Attributes { content_type: "image/jpeg".into(), ..Default::default() };
        let (key, bytes) = (key("cat.jpg"), jpeg(width, height).into());
        self.originals.put(&key, bytes, &attributes, Precondition::None).await.unwrap();
    }

    /// Height of the picture in a node's response.
    async fn height(&self, node: usize) -> u32 {
        let response = self.client.get(format!("{}{CAT}", self.nodes[node].url)).send().await.unwrap();
        see(&response.bytes().await.unwrap()).height
    }

    /// Responses to concurrent requests of [`CLIENTS`] clients of each node; `None` for a connection that a killed node closed.
    async fn herd(&self) -> Vec<Vec<Option<(StatusCode, Vec<u8>)>>> {
        let request = async |node: &Node| {
            let response = self.client.get(format!("{}{CAT}", node.url)).send().await.ok()?;
            Some((response.status(), response.bytes().await.ok()?.to_vec()))
        };
        join_all(self.nodes.iter().map(|node| join_all((0..CLIENTS).map(move |_| request(node))))).await
    }

    async fn decodes(&self) -> f64 {
        self.sum("resized_resize_seconds_count", "stage=\"render\"").await
    }

    async fn write_backs(&self, outcome: &str) -> f64 {
        self.sum("resized_write_backs_total", outcome).await
    }

    /// Sum of a metric's series with `label`, over all nodes.
    async fn sum(&self, name: &str, label: &str) -> f64 {
        let mut sum = 0.0;
        for node in &self.nodes {
            let response = self.client.get(format!("{}/metrics", node.admin)).send().await.unwrap();
            let text = response.text().await.unwrap();
            let series = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
            sum += series.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum::<f64>();
        }
        sum
    }

    /// Waits until every made variant has been stored, by the node that made it or by another one.
    async fn write_backs_done(&self) {
        let start = Instant::now();
        while self.write_backs("stored").await + self.write_backs("lost_race").await < self.decodes().await {
            assert!(start.elapsed() < PATIENCE, "write-backs do not finish");
        }
    }

    async fn has(&self, name: &str) -> bool {
        self.variants.head(&key(name)).await.unwrap().is_some()
    }
}

fn node(config: &Config, lease: bool) -> Node {
    Node::start(&[
        ("RESIZED_S3__ENDPOINT", config.s3.endpoint.clone()),
        ("RESIZED_S3__REGION", config.s3.region.clone()),
        ("RESIZED_S3__PATH_STYLE", "true".into()),
        ("RESIZED_S3__ANONYMOUS", config.s3.anonymous.to_string()),
        ("RESIZED_LOG__ACCESS", "false".into()),
        ("RESIZED_ORIGINALS__STORE", config.originals.store.to_string()),
        ("RESIZED_VARIANTS__STORE", config.variants.store.to_string()),
        ("RESIZED_FLEET__LEASE", lease.to_string()),
        // Linear light slows a release binary down, so that there is time to kill a node. Planar decoding takes only
        // ten milliseconds.
        ("RESIZED_FORMATS__LINEAR_LIGHT", std::env::var_os("TEST_BINARY").is_some().to_string()),
        ("RESIZED_FLEET__LEASE_TIME", "2s".into()),
        ("RESIZED_CACHE__REVALIDATE_AFTER", REVALIDATE_AFTER.into()),
    ])
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(name).unwrap()
}

#[track_caller]
fn assert_all_got_the_picture(responses: &[Option<(StatusCode, Vec<u8>)>]) {
    let first = &responses[0].as_ref().unwrap().1;
    assert_eq!(see(first).width, 40);
    for response in responses {
        let (status, bytes) = response.as_ref().unwrap();
        assert_eq!((*status, bytes), (StatusCode::OK, first));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_nodes_with_a_thousand_clients_store_a_variant_once() {
    for fleet in Fleet::each("fleet", false).await {
        assert_all_got_the_picture(&fleet.herd().await.concat());
        fleet.write_backs_done().await;
        assert_eq!(fleet.write_backs("stored").await, 1.0);
        assert!(fleet.has(STORED).await);
        if let Some(bucket) = &fleet.bucket {
            assert_eq!(bucket.stored(&format!("variants/{STORED}")), 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_leases_four_nodes_with_a_thousand_clients_make_a_variant_once() {
    for fleet in Fleet::each("lease", true).await {
        assert_all_got_the_picture(&fleet.herd().await.concat());
        fleet.write_backs_done().await;
        assert_eq!((fleet.decodes().await, fleet.write_backs("").await), (1.0, 1.0));
        let start = Instant::now();
        while fleet.has(LEASE).await {
            assert!(start.elapsed() < PATIENCE, "the lease is not released");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lease_of_a_slow_holder_is_not_taken_over() {
    let bucket = Bucket::start().await;
    let fleet = Fleet::start(settings(&bucket), true, Some(bucket.clone())).await;
    let gate = bucket.stall(Operation::Get, "originals/");
    let (responses, ()) = tokio::join!(fleet.herd(), async {
        // Each node writes the lease once at the start, and the holder writes it four times per lease time. After this
        // number of writes, the lease is older than two lease times.
        let lease = format!("variants/{LEASE}");
        until("the lease is renewed repeatedly", || bucket.count(Operation::Put, &lease) > NODES + 2 * 4).await;
        gate.release();
    });
    assert_all_got_the_picture(&responses.concat());
    assert_eq!(bucket.count(Operation::Get, "originals/"), 1);
    fleet.write_backs_done().await;
    assert_eq!(fleet.decodes().await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lease_of_a_killed_holder_is_taken_over_once() {
    for mut fleet in Fleet::each("killed", true).await {
        let gate = fleet.bucket.as_ref().map(|bucket| bucket.stall(Operation::Get, "originals/"));
        let variants = fleet.variants.clone();
        // A separate task sends the kill, because a thousand responses keep this one busy and the lease time is short.
        let kill = tokio::spawn(async move {
            let start = Instant::now();
            let lease = loop {
                assert!(start.elapsed() < PATIENCE, "no node takes the lease");
                if let Some((_, lease)) = variants.get_bounded(&key(LEASE), 1024).await.unwrap() {
                    break String::from_utf8(lease.to_vec()).unwrap();
                }
            };
            let holder: u32 = lease.split(' ').nth(1).unwrap().parse().unwrap();
            // Uses the kill command, because the clients borrow the nodes.
            assert!(Command::new("kill").args(["-9", &holder.to_string()]).status().unwrap().success());
            assert!(variants.head(&key(STORED)).await.unwrap().is_none(), "the node was killed too late");
            gate.inspect(Gate::release);
            holder
        });
        let (mut responses, holder) = tokio::join!(fleet.herd(), kill);
        let holder = fleet.nodes.iter().position(|node| node.id() == *holder.as_ref().unwrap()).unwrap();
        assert!(responses.remove(holder).iter().all(Option::is_none));
        fleet.nodes.remove(holder);
        assert_all_got_the_picture(&responses.concat());
        fleet.write_backs_done().await;
        assert_eq!((fleet.decodes().await, fleet.write_backs("stored").await), (1.0, 1.0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_takes_effect_at_once_on_its_node_and_within_revalidate_after_on_all_others() {
    for fleet in Fleet::each("fresh", false).await {
        for node in 0..NODES {
            assert_eq!(fleet.height(node).await, 30);
        }
        fleet.put_cat(400, 200).await;
        let replaced = Instant::now();
        let purge = fleet.client.post(format!("{}/purge/cat.jpg", fleet.nodes[0].admin)).send().await.unwrap();
        assert_eq!(purge.status(), StatusCode::OK);
        assert_eq!(fleet.height(0).await, 20, "the purged node");
        tokio::time::sleep(Duration::from_secs(1).saturating_sub(replaced.elapsed())).await;
        for node in 1..NODES {
            assert_eq!(fleet.height(node).await, 20, "node {node}");
        }
    }
}
