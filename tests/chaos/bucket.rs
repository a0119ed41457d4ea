//! Direct access to the bucket, without the fault-injecting proxy, and control of its server.

use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use resized::config;
use resized::observability::metrics::S3Metrics;
use resized::origin::{Attributes, Precondition, Store, StoreError};
use resized::variant::ObjectKey;

use crate::picture::Identity;

pub struct Bucket {
    pub originals: Store,
    pub variants: Store,
    endpoint: String,
}

/// Address of the `originals` or `variants` store of this run.
pub fn address_of(store: &str) -> String {
    format!("s3://{}/chaos-{}/{store}", std::env::var("TEST_S3_BUCKET").unwrap(), std::process::id())
}

impl Bucket {
    /// Opens the bucket that `TEST_S3_ENDPOINT` and `TEST_S3_BUCKET` name; `None` if they are not set.
    pub async fn open() -> Option<Self> {
        let endpoint = std::env::var("TEST_S3_ENDPOINT").ok()?;
        let settings = config::S3 {
            endpoint: endpoint.clone(),
            region: "us-east-1".into(),
            path_style: true,
            attempts: std::num::NonZeroU32::MIN,
            circuit_breaker_failures: std::num::NonZeroU32::MAX,
            operation_timeout: Duration::from_secs(3),
            ..Default::default()
        };
        let open = async |store| {
            Store::open(&address_of(store).parse().unwrap(), "", &settings, &S3Metrics::default()).await.unwrap()
        };
        Some(Self { originals: open("originals").await, variants: open("variants").await, endpoint })
    }

    /// Host and port of the S3 server.
    pub fn address(&self) -> String {
        self.endpoint.split_once("://").unwrap().1.to_owned()
    }

    pub async fn put_original(&self, picture: usize, identity: Identity) -> Result<(), StoreError> {
        let attributes = Attributes { content_type: "image/jpeg".into(), ..Default::default() };
        let bytes = Bytes::from(identity.encode());
        self.originals.put(&original(picture), bytes, &attributes, Precondition::None).await.map(drop)
    }

    /// Reads the current version of an original, retrying until the server answers.
    pub async fn read_original(&self, picture: usize) -> Identity {
        loop {
            // Gives a write in transit time to arrive or to fail.
            tokio::time::sleep(Duration::from_millis(300)).await;
            if let Ok(Some((_, bytes))) = self.originals.get_bounded(&original(picture), 1 << 20).await {
                return Identity::read(&bytes).unwrap().0;
            }
        }
    }

    /// Kills the S3 server with SIGKILL.
    pub async fn kill() {
        script("kill").await;
    }

    /// Restarts the server with the same objects, and returns once it answers.
    pub async fn restart() {
        script("restart").await;
    }
}

async fn script(verb: &'static str) {
    let seaweedfs = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seaweedfs");
    let run = move || Command::new(seaweedfs).arg(verb).status().unwrap();
    assert!(tokio::task::spawn_blocking(run).await.unwrap().success(), "tests/seaweedfs {verb}");
}

pub fn original(picture: usize) -> ObjectKey {
    ObjectKey::new(&format!("p{picture}.jpg")).unwrap()
}
