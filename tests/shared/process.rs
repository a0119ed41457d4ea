//! Runs the program as a process, which is killed on drop. `TEST_BINARY` selects another build.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

pub struct Node {
    pub process: Child,
    pub url: String,
    /// The base URL of its admin listener.
    pub admin: String,
    output: Arc<Mutex<String>>,
}

/// Settings by the names of their environment variables.
pub type Settings = Vec<(&'static str, String)>;

impl Node {
    /// Starts a node on free ports and waits until it listens.
    pub fn start(settings: &[(&'static str, String)]) -> Self {
        Self::start_with(&[], settings)
    }

    /// Like [`Node::start`], with command line arguments.
    pub fn start_with(arguments: &[&OsStr], settings: &[(&'static str, String)]) -> Self {
        let binary = std::env::var("TEST_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_resized").into());
        let mut process = Command::new(&binary)
            // A folder without a config.toml.
            .current_dir(std::env::temp_dir())
            .args(arguments)
            .envs([
                ("RESIZED_SERVER__LISTEN", "127.0.0.1:0"),
                ("RESIZED_SERVER__THREADS", "1"),
                // All clients have the same address.
                ("RESIZED_SERVER__CONNECTIONS_PER_CLIENT", "0"),
                ("RESIZED_ADMIN__LISTEN", "127.0.0.1:0"),
                ("RESIZED_LOG__FORMAT", "json"),
            ])
            .envs(settings.iter().map(|(name, value)| (*name, value)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{binary}: {error}"));
        let output = Arc::new(Mutex::new(String::new()));
        // A full pipe would block the process.
        let (mut stdout, collected) = (process.stdout.take().unwrap(), output.clone());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = stdout.read(&mut bytes) {
                collected.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
        });
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut startup_log = String::new();
        let mut address = |message: &str| {
            for line in lines.by_ref() {
                let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                if event["fields"]["message"] == message {
                    return format!("http://{}", event["fields"]["address"].as_str().unwrap());
                }
                startup_log.push_str(&(line + "\n"));
            }
            panic!("the node does not listen:\n{startup_log}");
        };
        let (admin, url) = (address("admin listening"), address("listening"));
        let collected = output.clone();
        std::thread::spawn(move || {
            lines.for_each(|line| collected.lock().unwrap().push_str(&(line + "\n")));
        });
        Self { process, url, admin, output }
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The log since the node started to listen: events and requests.
    pub fn log(&self) -> String {
        self.output.lock().unwrap().clone()
    }
}

/// Kills the process with SIGKILL.
impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
