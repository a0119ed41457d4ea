//! A process of the real program, for what needs more than one of them, or one that can be killed.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::bucket::{ACCESS_KEY, Bucket, SECRET_KEY};
use crate::receiver::{Receiver, SECRET};

/// What every node's uploads are sent with.
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";
pub const UPLOAD_SECRET: &str = "fedcba9876543210fedcba9876543210";

/// A process, killed when dropped.
pub struct Node {
    pub process: Child,
    pub url: String,
    told: Arc<Mutex<String>>,
}

/// Settings by the names of their environment variables.
pub type Settings = Vec<(&'static str, String)>;

/// Originals and variants in the bucket in this process.
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

/// The same on the real server that `TEST_S3_ENDPOINT` names, if there is one, below a prefix of this process and `name`.
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

/// Uploads by [`TOKEN`], and signed URLs.
pub fn uploading() -> Settings {
    vec![
        ("RESIZED_UPLOAD__ENABLED", "true".into()),
        ("RESIZED_UPLOAD__TOKEN", TOKEN.into()),
        ("RESIZED_UPLOAD__SECRET", UPLOAD_SECRET.into()),
        ("RESIZED_UPLOAD__BASE_URL", "http://images.test".into()),
    ]
}

/// An API that hears of them.
pub fn notifying(receiver: &Receiver) -> Settings {
    vec![("RESIZED_NOTIFY__URL", receiver.url()), ("RESIZED_NOTIFY__SECRET", SECRET.into())]
}

impl Node {
    /// Waits until it listens.
    pub fn start(settings: &[(&'static str, String)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_resized"))
            // Beside no config.toml.
            .current_dir(std::env::temp_dir())
            .envs([
                ("RESIZED_SERVER__LISTEN", "127.0.0.1:0"),
                ("RESIZED_SERVER__THREADS", "1"),
                ("RESIZED_ADMIN__LISTEN", ""),
                ("RESIZED_LOG__FORMAT", "json"),
            ])
            .envs(settings.iter().map(|(name, value)| (*name, value)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let told = Arc::new(Mutex::new(String::new()));
        // What nobody reads would block it.
        let (mut out, heard) = (process.stdout.take().unwrap(), told.clone());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = out.read(&mut bytes) {
                heard.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
        });
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = lines.by_ref().map(|line| line.unwrap()).find_map(|line| {
            let event: serde_json::Value = serde_json::from_str(&line).ok()?;
            let fields = event.get("fields").unwrap_or(&event);
            (fields["message"] == "listening").then(|| fields["address"].as_str().unwrap().to_owned())
        });
        let heard = told.clone();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| heard.lock().unwrap().push_str(&(line + "\n")));
        });
        Self { process, url: format!("http://{}", address.expect("it listens")), told }
    }

    /// What it has logged since it listens: events and requests.
    pub fn told(&self) -> String {
        self.told.lock().unwrap().clone()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
