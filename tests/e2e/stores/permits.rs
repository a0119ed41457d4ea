//! Permits of requests to S3 (`s3.concurrency`).

use std::num::NonZeroUsize;
use std::time::Duration;

use resized::observability::metrics::S3Metrics;
use resized::origin::{Store, StoreError};
use resized::variant::ObjectKey;

use crate::support::bucket::Bucket;
use crate::support::stage::settings;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_holds_its_permit_until_its_body_is_read() {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/a.bin", vec![7; 4 << 20], "application/octet-stream");
    let mut config = settings(&bucket);
    config.s3.concurrency = NonZeroUsize::MIN;
    config.s3.operation_timeout = Duration::from_secs(2);
    let store = Store::open(&config.originals.store, "", &config.s3, &S3Metrics::default()).await.unwrap();
    let key = ObjectKey::new("a.bin").unwrap();
    let object = store.get(&key, None).await.unwrap().unwrap();
    assert!(matches!(store.head(&key).await, Err(StoreError::Busy)));
    object.collect(8 << 20).await.unwrap();
    assert!(store.head(&key).await.unwrap().is_some());
    drop(store.get(&key, None).await.unwrap().unwrap());
    assert!(store.head(&key).await.unwrap().is_some(), "a body that is dropped returns its permit");
}
