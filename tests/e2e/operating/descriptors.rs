//! The limit of file descriptors: checked at start, and reached later.

use std::process::Command;

use reqwest::StatusCode;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::support::node::{Node, Settings};
use crate::support::pictures::jpeg;
use crate::support::stage::{PATIENCE, until};

/// A folder with the original `cat.jpg`, and the settings of a node that serves it.
fn folder() -> (TempDir, Settings) {
    let folder = tempfile::tempdir().unwrap();
    let (originals, variants) = (folder.path().join("originals"), folder.path().join("variants"));
    std::fs::create_dir(&originals).unwrap();
    std::fs::write(originals.join("cat.jpg"), jpeg(160, 120)).unwrap();
    let settings = vec![
        ("RESIZED_ORIGINALS__STORE", format!("file:{}", originals.display())),
        ("RESIZED_VARIANTS__STORE", format!("file:{}", variants.display())),
    ];
    (folder, settings)
}

#[test]
fn connections_for_which_descriptors_lack_are_refused_at_start_with_the_number_that_fits() {
    let (_folder, settings) = folder();
    let start = |connections: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n 600; exec {} serve", env!("CARGO_BIN_EXE_resized"))]);
        command.current_dir(std::env::temp_dir()).envs(settings.iter().map(|(name, value)| (*name, value)));
        // The address is not local, so the server stops after the check.
        command.env("RESIZED_SERVER__LISTEN", "192.0.2.1:1").env("RESIZED_ADMIN__LISTEN", "");
        command.env("RESIZED_SERVER__CONNECTIONS", connections);
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    let refused = start("1000");
    assert!(refused.contains("server.connections: 1000 connections need"), "{refused}");
    let fitting = refused.split("at most ").nth(1).unwrap().split(' ').next().unwrap();
    let more = (fitting.parse::<u32>().unwrap() + 1).to_string();
    for (connections, fits) in [(fitting, true), ("auto", true), (&more, false)] {
        let error = start(connections);
        assert_eq!(error.contains("server.listen"), fits, "{connections}: {error}");
    }
}

fn open_descriptors(node: &Node) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", node.id())).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lack_of_descriptors_pauses_accepting_until_connections_close() {
    let (_folder, settings) = folder();
    let node = Node::start(&settings);
    let picture = format!("{}/cat_40x40.jpg", node.url);
    let get = async || reqwest::get(&picture).await.unwrap().status();
    assert_eq!(get().await, StatusCode::OK);
    let pid = Pid::from_raw(node.id().try_into().unwrap());
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    let low = Some(open_descriptors(&node) as u64 + 4);
    prlimit(pid, Resource::Nofile, Rlimit { current: low, maximum }).unwrap();
    let address = node.url.strip_prefix("http://").unwrap();
    let mut connections = Vec::new();
    for _ in 0..20 {
        connections.push(TcpStream::connect(address).await.unwrap());
    }
    until("accepting pauses", || node.log().contains("accepting connections paused")).await;
    drop(connections);
    assert_eq!(get().await, StatusCode::OK, "the listener still works");
    let resumes = async {
        while !node.log().contains("accepting connections resumed") {
            assert_eq!(get().await, StatusCode::OK);
        }
    };
    tokio::time::timeout(PATIENCE, resumes).await.expect("accepting resumes");
    assert_eq!(node.log().matches("accepting connections paused").count(), 1, "logged once");
    let metrics = reqwest::get(format!("{}/metrics", node.admin)).await.unwrap().text().await.unwrap();
    let pauses = metrics.lines().find_map(|line| line.strip_prefix("resized_accept_pauses{listener=\"public\"} "));
    assert!((1.0..1000.0).contains(&pauses.unwrap().parse::<f64>().unwrap()), "{pauses:?}");
}
