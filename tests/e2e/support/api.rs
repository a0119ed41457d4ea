//! Runs examples/api-receiver as a process that can be killed, and reads the rows of its database.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::receiver::SECRET;
use crate::support::stage::PATIENCE;

/// The running example. Dropping it kills the process but keeps its database.
pub struct Api {
    process: Child,
    program: PathBuf,
    database: PathBuf,
    address: String,
}

impl Api {
    /// Starts the example with its database in `folder`.
    pub async fn start(folder: &Path) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (program, database) = (tokio::task::block_in_place(program), folder.join("api.db"));
        let address = format!("127.0.0.1:{port}");
        let this = Self { process: spawn(&program, &database, &address), program, database, address };
        this.wait_until_listening().await;
        this
    }

    pub fn hook(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Kills the process with SIGKILL and restarts it on the same port.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = spawn(&self.program, &self.database, &self.address);
    }

    /// Returns the number of rows of each key.
    pub async fn rows(&self) -> BTreeMap<String, usize> {
        self.wait_until_listening().await;
        let answer = reqwest::get(format!("http://{}/originals", self.address)).await.unwrap();
        let mut rows = BTreeMap::new();
        for (_id, original) in answer.json::<Vec<(String, serde_json::Value)>>().await.unwrap() {
            *rows.entry(original["key"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        rows
    }

    async fn wait_until_listening(&self) {
        let connected = async {
            while tokio::net::TcpStream::connect(&self.address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, connected).await.expect("the API listens");
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(program: &Path, database: &Path, address: &str) -> Child {
    Command::new(program)
        .envs([("WEBHOOK_SECRET", SECRET), ("LISTEN", address)])
        .env("DATABASE", database)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Returns the path of the example's executable, and builds it if a test run of the whole workspace has not.
fn program() -> PathBuf {
    let ours = Path::new(env!("CARGO_BIN_EXE_resized"));
    let program = ours.with_file_name("api-receiver");
    if !program.exists() {
        let target = ours.parent().and_then(Path::parent).unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--locked", "-p", "api-receiver", "--target-dir"]).arg(target);
        assert!(build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    }
    program
}
