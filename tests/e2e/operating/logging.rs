//! Logs that are closed, full or not read never affect requests, commands or the shutdown.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};

use reqwest::StatusCode;
use rustix::process::{Pid, Signal, kill_process};

use crate::operating::check::resized;
use crate::support::bucket::Bucket;
use crate::support::node::on_bucket;
use crate::support::pictures::jpeg;
use crate::support::receiver::SECRET;
use crate::support::stage::until;

/// A program that logs every request and many events.
fn program(bucket: &Bucket) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_resized"));
    command.current_dir(std::env::temp_dir()).envs(on_bucket(bucket)).envs([
        ("RESIZED_SERVER__LISTEN", "127.0.0.1:0"),
        ("RESIZED_ADMIN__LISTEN", "127.0.0.1:0"),
        ("RESIZED_SERVER__THREADS", "1"),
        ("RESIZED_LOG__FORMAT", "json"),
        ("RESIZED_LOG__LEVEL", "debug"),
        ("RUST_BACKTRACE", "0"),
    ]);
    command
}

/// A running program whose standard error was read until it listens.
struct Running {
    process: Child,
    stderr: BufReader<std::process::ChildStderr>,
    url: String,
    admin: String,
}

impl Running {
    fn start(bucket: &Bucket) -> Self {
        let mut process = program(bucket).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(process.stderr.take().unwrap());
        let mut address = |message: &str| loop {
            let mut line = String::new();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "the program ended");
            let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if event["fields"]["message"] == message {
                return format!("http://{}", event["fields"]["address"].as_str().unwrap());
            }
        };
        let (admin, url) = (address("admin listening"), address("listening"));
        Self { process, stderr, url, admin }
    }
}

fn terminate(mut process: Child) -> ExitStatus {
    kill_process(Pid::from_raw(i32::try_from(process.id()).unwrap()).unwrap(), Signal::TERM).unwrap();
    process.wait().unwrap()
}

async fn bucket() -> Bucket {
    let bucket = Bucket::start().await;
    bucket.put_object("originals/cat.jpg", jpeg(64, 48), "image/jpeg");
    bucket
}

/// Requests pictures until each of `logs` has lost lines.
async fn serve_until_lines_are_lost(url: &str, admin: &str, logs: &[&str]) {
    let lost = async || {
        let metrics = reqwest::get(format!("{admin}/metrics")).await.unwrap().text().await.unwrap();
        logs.iter().all(|log| {
            let series = format!("resized_log_lines_lost_total{{log=\"{log}\"}} ");
            metrics.lines().any(|line| line.strip_prefix(&series).is_some_and(|count| count != "0"))
        })
    };
    let long = "a".repeat(7000);
    let client = reqwest::Client::new();
    while !lost().await {
        for n in 0..50 {
            let path = format!("/cat_{}x.jpg?v={long}", 1 + n % 50);
            let response = client.get(format!("{url}{path}")).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_logs_lose_lines_and_nothing_else() {
    let bucket = bucket().await;
    let running = tokio::task::block_in_place(|| Running::start(&bucket));
    let Running { mut process, stderr, url, admin } = running;
    drop((stderr, process.stdout.take()));
    serve_until_lines_are_lost(&url, &admin, &["events", "access"]).await;
    let status = tokio::task::block_in_place(|| terminate(process));
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_that_nobody_reads_lose_lines_and_nothing_else() {
    let bucket = bucket().await;
    let running = tokio::task::block_in_place(|| Running::start(&bucket));
    // Both pipes stay open and fill up.
    let Running { process, stderr: _open, url, admin } = running;
    serve_until_lines_are_lost(&url, &admin, &["access"]).await;
    let status = tokio::task::block_in_place(|| terminate(process));
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_logs_affects_nothing_else() {
    let bucket = bucket().await;
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let mut command = Command::new("sh");
    let process = command
        .args(["-c", "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" 3<&0 0</dev/null"])
        .arg(env!("CARGO_BIN_EXE_resized"))
        .current_dir(std::env::temp_dir())
        .envs(on_bucket(&bucket))
        .envs([("RESIZED_ADMIN__LISTEN", ""), ("RESIZED_LOG__LEVEL", "debug")])
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .stdout(full())
        .stderr(full())
        .spawn()
        .unwrap();
    for side in 1..20 {
        let response = reqwest::get(format!("{url}/cat_{side}x.jpg")).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    until("the variants are stored", || bucket.keys("variants/").len() == 19).await;
    let status = tokio::task::block_in_place(|| terminate(process));
    assert!(status.success(), "{status}");
}

#[test]
fn commands_end_quietly_when_their_output_is_closed_and_fail_when_it_is_full() {
    let run = |arguments: &[&str], stdout: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_resized"));
        command.current_dir(std::env::temp_dir()).args(arguments).stdout(stdout).output().unwrap()
    };
    for arguments in [&["config"][..], &["config", "--reference"], &["man"], &["completions", "bash"]] {
        // The other end of this pipe is closed.
        let closed = run(arguments, Stdio::from(std::io::pipe().unwrap().1));
        let error = String::from_utf8_lossy(&closed.stderr).into_owned();
        assert!(!error.contains("panicked") && error.is_empty(), "{arguments:?}: {error}");
        let full = run(arguments, Stdio::from(File::options().write(true).open("/dev/full").unwrap()));
        let error = String::from_utf8_lossy(&full.stderr).into_owned();
        assert_eq!(full.status.code(), Some(1), "{arguments:?}: {error}");
        assert!(error.starts_with("Error: cannot write the output: "), "{arguments:?}: {error}");
    }
}

#[test]
fn secrets_in_urls_are_displayed_nowhere() {
    let environment = [
        ("RESIZED_S3__ENDPOINT", "http://me:hush@127.0.0.1:9"),
        ("RESIZED_NOTIFY__URL", "http://127.0.0.1:9/hook?code=hush"),
        ("RESIZED_NOTIFY__SECRET", SECRET),
        ("RESIZED_TRACES__ENDPOINT", "http://127.0.0.1:9/v1/traces?sig=hush"),
        ("RESIZED_S3__REGION", "us-east-1"),
        ("RESIZED_S3__ATTEMPTS", "1"),
        ("RESIZED_S3__ANONYMOUS", "true"),
        ("RESIZED_ORIGINALS__STORE", "s3://bucket/originals"),
        ("RESIZED_VARIANTS__STORE", "s3://bucket/variants"),
    ];
    for arguments in [&["config"][..], &["check"], &["explain", "/cat_40x40.jpg?signature=no"]] {
        let (out, error, _) = resized(arguments, &environment);
        assert!(!out.contains("hush") && !error.contains("hush"), "{arguments:?}: {out}{error}");
    }
    for (key, value) in [
        ("RESIZED_NOTIFY__URL", "ftp://me:hush@a.example/"),
        ("RESIZED_VARIANTS__PUBLIC_URL", "https://me:hush@a.example/<"),
        ("RESIZED_ORIGINALS__STORE", "nowhere://me:hush@a.example/"),
    ] {
        let (out, error, status) = resized(&["check"], &[environment[2], (key, value)]);
        assert!(status == 1 && !out.contains("hush") && !error.contains("hush"), "{key}: {out}{error}");
    }
}
