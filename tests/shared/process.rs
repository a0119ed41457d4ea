//! A process of the real program, killed when dropped. `TEST_BINARY` names another build of it than the tests' own.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

pub struct Node {
    pub process: Child,
    pub url: String,
    /// The base URL of its admin listener.
    pub admin: String,
    told: Arc<Mutex<String>>,
}

/// Settings by the names of their environment variables.
pub type Settings = Vec<(&'static str, String)>;

impl Node {
    /// Starts it on free ports, and waits until it listens.
    pub fn start(settings: &[(&'static str, String)]) -> Self {
        Self::start_with(&[], settings)
    }

    /// The same with arguments on its command line.
    pub fn start_with(arguments: &[&OsStr], settings: &[(&'static str, String)]) -> Self {
        let binary = std::env::var("TEST_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_resized").into());
        let mut process = Command::new(&binary)
            // Beside no config.toml.
            .current_dir(std::env::temp_dir())
            .args(arguments)
            .envs([
                ("RESIZED_SERVER__LISTEN", "127.0.0.1:0"),
                ("RESIZED_SERVER__THREADS", "1"),
                ("RESIZED_ADMIN__LISTEN", "127.0.0.1:0"),
                ("RESIZED_LOG__FORMAT", "json"),
            ])
            .envs(settings.iter().map(|(name, value)| (*name, value)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{binary}: {error}"));
        let told = Arc::new(Mutex::new(String::new()));
        // What nobody reads would block it.
        let (mut out, heard) = (process.stdout.take().unwrap(), told.clone());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = out.read(&mut bytes) {
                heard.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
        });
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut said = String::new();
        let mut address = |of: &str| {
            for line in lines.by_ref() {
                let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                if event["fields"]["message"] == of {
                    return format!("http://{}", event["fields"]["address"].as_str().unwrap());
                }
                said.push_str(&(line + "\n"));
            }
            panic!("it does not listen:\n{said}");
        };
        let (admin, url) = (address("admin listening"), address("listening"));
        let heard = told.clone();
        std::thread::spawn(move || {
            lines.for_each(|line| heard.lock().unwrap().push_str(&(line + "\n")));
        });
        Self { process, url, admin, told }
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it has logged since it listens: events and requests.
    pub fn told(&self) -> String {
        self.told.lock().unwrap().clone()
    }
}

/// SIGKILL.
impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
