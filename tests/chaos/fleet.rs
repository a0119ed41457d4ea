//! The three processes of `resized`, one of them in redirect mode: start, kill, terminate, and measure their memory.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use reqwest::Client;

use crate::bucket::address_of;
use crate::model::{FLIGHT_TIME, REVALIDATE_AFTER};
use crate::process::{Node, Settings};

pub const NODES: usize = 3;
/// Index of the node in redirect mode.
const REDIRECTING: usize = 2;

pub const PUBLIC_URL: &str = "http://bucket.example/variants/";
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Longest time from SIGTERM to exit: `server.drain_timeout` plus a margin.
const EXIT_TIMEOUT: Duration = Duration::from_secs(15);

/// Configured memory of cache, downloads, pixels and write-backs, and the overhead of a process, in MiB.
const BUDGETS_MIB: [u64; 4] = [2, 8, 32, 4];
const OVERHEAD_MIB: u64 = 112;
pub const MEMORY_BYTES_MAX: f64 =
    ((BUDGETS_MIB[0] + BUDGETS_MIB[1] + BUDGETS_MIB[2] + BUDGETS_MIB[3] + OVERHEAD_MIB) << 20) as f64;

/// One process of a node: its PID and addresses change with each restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInstance {
    pub node: usize,
    pub pid: u64,
    pub url: String,
    pub admin: String,
}

pub struct Fleet {
    nodes: [Mutex<Option<(NodeInstance, Node)>>; NODES],
    endpoint: String,
    client: Client,
    /// Highest resident memory of any process so far.
    pub memory_bytes_peak: Mutex<f64>,
}

impl Fleet {
    pub async fn start(endpoint: &str) -> Self {
        let _ = fs::remove_dir_all(logs());
        fs::create_dir_all(logs()).unwrap();
        let client = Client::builder().timeout(Duration::from_secs(2)).build().unwrap();
        let this = Self {
            nodes: Default::default(),
            endpoint: endpoint.to_owned(),
            client,
            memory_bytes_peak: Mutex::default(),
        };
        for node in 0..NODES {
            this.start_node(node).await;
        }
        this
    }

    /// The running process of a node; `None` while it is killed.
    pub fn instance(&self, node: usize) -> Option<NodeInstance> {
        self.nodes[node].lock().unwrap().as_ref().map(|(instance, _)| instance.clone())
    }

    /// Kills a node with SIGKILL.
    pub async fn kill(&self, node: usize) {
        self.record_memory(node).await;
        let killed = self.nodes[node].lock().unwrap().take();
        if let Some((_, process)) = killed {
            keep_log(node, &process);
        }
    }

    pub async fn start_node(&self, node: usize) {
        let settings = settings(node, &self.endpoint);
        let process = tokio::task::spawn_blocking(move || Node::start(&settings)).await.unwrap();
        let (url, admin) = (process.url.clone(), process.admin.clone());
        let instance = NodeInstance { node, pid: process.id().into(), url, admin };
        *self.nodes[node].lock().unwrap() = Some((instance, process));
    }

    /// Reads the peak memory of a node from its metrics.
    pub async fn record_memory(&self, node: usize) {
        let Some(instance) = self.instance(node) else { return };
        let Ok(answer) = self.client.get(format!("{}/metrics", instance.admin)).send().await else { return };
        let text = answer.text().await.unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("resized_process_resident_memory_peak_bytes "));
        if let Some(peak) = peak.and_then(|peak| peak.parse().ok()) {
            let mut most = self.memory_bytes_peak.lock().unwrap();
            *most = most.max(peak);
        }
    }

    /// Sends SIGTERM; `false` if the process did not exit with success in time.
    pub async fn terminate(&self, node: usize) -> bool {
        let taken = self.nodes[node].lock().unwrap().take();
        let Some((_, mut process)) = taken else { return true };
        let start = Instant::now();
        assert!(Command::new("kill").arg(process.id().to_string()).status().unwrap().success());
        let ended = loop {
            match process.process.try_wait().unwrap() {
                None if start.elapsed() < EXIT_TIMEOUT => tokio::time::sleep(Duration::from_millis(20)).await,
                ended => break ended.is_some_and(|status| status.success()),
            }
        };
        keep_log(node, &process);
        ended
    }

    /// Log lines that report a panic.
    pub fn panics(&self) -> Vec<String> {
        let logs = (0..NODES).map(|node| fs::read_to_string(log_of(node)).unwrap());
        logs.flat_map(|log| log.lines().filter(|line| line.contains("panicked")).map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }
}

fn settings(node: usize, endpoint: &str) -> Settings {
    let [cache, download, pixels, write_back] = BUDGETS_MIB.map(|mib| format!("{mib}MiB"));
    let mode = if node == REDIRECTING { "redirect" } else { "stream" };
    vec![
        ("RESIZED_LOG__ACCESS", "false".into()),
        ("RESIZED_S3__ENDPOINT", endpoint.into()),
        ("RESIZED_S3__REGION", "us-east-1".into()),
        ("RESIZED_S3__PATH_STYLE", "true".into()),
        ("RESIZED_S3__ATTEMPTS", "2".into()),
        ("RESIZED_S3__CONNECT_TIMEOUT", "500ms".into()),
        ("RESIZED_S3__OPERATION_TIMEOUT", "2500ms".into()),
        ("RESIZED_S3__CIRCUIT_BREAKER_PAUSE", "500ms".into()),
        ("RESIZED_ORIGINALS__STORE", address_of("originals")),
        ("RESIZED_VARIANTS__STORE", address_of("variants")),
        ("RESIZED_VARIANTS__PUBLIC_URL", PUBLIC_URL.into()),
        ("RESIZED_ANSWERS__MODE", mode.into()),
        ("RESIZED_CACHE__MEMORY", cache),
        ("RESIZED_CACHE__FAILURES", "500ms".into()),
        ("RESIZED_CACHE__REVALIDATE_AFTER", format!("{}s", REVALIDATE_AFTER.as_secs())),
        ("RESIZED_LIMITS__ORIGINAL_BYTES", "1MiB".into()),
        ("RESIZED_WORK__DOWNLOAD_MEMORY", download),
        ("RESIZED_WORK__PIXEL_MEMORY", pixels),
        ("RESIZED_WORK__WRITE_BACK_MEMORY", write_back),
        ("RESIZED_WORK__FLIGHT_TIME", format!("{}s", FLIGHT_TIME.as_secs())),
        ("RESIZED_WORK__QUEUE_TIME", "3s".into()),
        ("RESIZED_SERVER__DRAIN_TIMEOUT", "10s".into()),
        // This test purges and requests the same originals far more often than real clients do.
        ("RESIZED_RATES__CPU_PER_ORIGINAL", "0s".into()),
        ("RESIZED_FLEET__LEASE", "true".into()),
        ("RESIZED_FLEET__LEASE_TIME", "1s".into()),
        ("RESIZED_UPLOAD__ENABLED", "true".into()),
        ("RESIZED_UPLOAD__BYTES", "1MiB".into()),
        ("RESIZED_UPLOAD__TOKEN", TOKEN.into()),
        ("RESIZED_UPLOAD__OVERWRITE", "always".into()),
        ("RESIZED_UPLOAD__BASE_URL", "http://images.example".into()),
    ]
}

fn logs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/chaos")
}

fn log_of(node: usize) -> PathBuf {
    logs().join(format!("node-{node}.log"))
}

fn keep_log(node: usize, process: &Node) {
    let mut log = File::options().create(true).append(true).open(log_of(node)).unwrap();
    log.write_all(process.log().as_bytes()).unwrap();
}
