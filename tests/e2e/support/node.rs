//! Settings for nodes that run as processes, for tests with several nodes or with a node that is killed.

use crate::support::bucket::{ACCESS_KEY, Bucket, SECRET_KEY};
use crate::support::receiver::{Receiver, SECRET};

#[path = "../../shared/process.rs"]
mod process;

pub use process::{Node, Settings};

/// The upload token of every node.
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";
pub const UPLOAD_SECRET: &str = "fedcba9876543210fedcba9876543210";

/// Stores in the S3 server of this process.
pub fn on_bucket(bucket: &Bucket) -> Settings {
    vec![
        ("RESIZED_S3__ENDPOINT", bucket.url()),
        ("RESIZED_S3__REGION", "us-east-1".into()),
        ("RESIZED_S3__PATH_STYLE", "true".into()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY.into()),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.into()),
        ("RESIZED_ORIGINALS__STORE", format!("s3://{}/originals", bucket.name())),
        ("RESIZED_VARIANTS__STORE", format!("s3://{}/variants", bucket.name())),
    ]
}

/// Stores on the real S3 server of `TEST_S3_ENDPOINT`, if set, below a prefix that contains `name` and the process id.
pub fn on_real_bucket(name: &str) -> Option<Settings> {
    let prefix = format!("s3://{}/{name}-{}", std::env::var("TEST_S3_BUCKET").ok()?, std::process::id());
    Some(vec![
        ("RESIZED_S3__ENDPOINT", std::env::var("TEST_S3_ENDPOINT").ok()?),
        ("RESIZED_S3__REGION", "us-east-1".into()),
        ("RESIZED_S3__PATH_STYLE", "true".into()),
        ("RESIZED_ORIGINALS__STORE", format!("{prefix}/originals")),
        ("RESIZED_VARIANTS__STORE", format!("{prefix}/variants")),
    ])
}

/// Enables uploads with [`TOKEN`] and presigned uploads.
pub fn uploading() -> Settings {
    vec![
        ("RESIZED_UPLOAD__ENABLED", "true".into()),
        ("RESIZED_UPLOAD__TOKEN", TOKEN.into()),
        ("RESIZED_UPLOAD__SECRET", UPLOAD_SECRET.into()),
        ("RESIZED_UPLOAD__BASE_URL", "http://images.test".into()),
    ]
}

/// Enables notifications to `receiver`.
pub fn notifying(receiver: &Receiver) -> Settings {
    vec![("RESIZED_NOTIFY__URL", receiver.url()), ("RESIZED_NOTIFY__SECRET", SECRET.into())]
}
