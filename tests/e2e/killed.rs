//! The whole binary: killed again and again in the middle of uploads, and how much memory a large one takes.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};

use crate::pictures::jpeg;
use crate::receiver::{Mood, Receiver, SECRET};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const UPLOADS: usize = 500;
const KILLS: usize = 10;

fn start(folder: &Path, port: u16) -> Child {
    Command::new(env!("CARGO_BIN_EXE_resized"))
        .arg("--config")
        .arg(folder.join("config.toml"))
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .env("RESIZED_UPLOAD__TOKEN", TOKEN)
        .env("RESIZED_NOTIFY__SECRET", SECRET)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Files below `folder`; none if it is not there.
fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, |entries| entries.filter_map(Result::ok).count())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_upload_that_was_answered_is_stored_and_heard_of_whatever_is_killed() {
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (originals, variants) = (folder.path().join("originals"), folder.path().join("variants"));
    let pauses = ["\"300ms\""; 60].join(", ");
    let config = format!(
        "[server]\nthreads = 1\n[admin]\nlisten = \"\"\n[log]\naccess = false\n\
         [originals]\nstore = \"file:{}\"\n[variants]\nstore = \"file:{}\"\n\
         [upload]\nenabled = true\nbase_url = \"http://images.test\"\n\
         [notify]\nurl = \"{}\"\ntimeout = \"1s\"\nwait = \"100ms\"\npoll = \"200ms\"\nretries = [{pauses}]\n",
        originals.display(),
        variants.display(),
        receiver.url()
    );
    std::fs::write(folder.path().join("config.toml"), config).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let picture = jpeg(16, 16);
    let done = AtomicUsize::new(0);

    // Each client repeats its upload until it hears that it is done.
    let uploads = stream::iter(0..UPLOADS).for_each_concurrent(8, |n| {
        let (client, picture, done) = (&client, &picture, &done);
        async move {
            let body = [picture.as_slice(), format!("{n}").as_bytes()].concat();
            loop {
                let put = client.put(format!("http://127.0.0.1:{port}/upload/picture-{n}.jpg")).bearer_auth(TOKEN);
                match put.body(body.clone()).send().await {
                    Ok(answer) if answer.status().is_success() => break,
                    Ok(answer) => panic!("{}: {}", answer.status(), answer.text().await.unwrap_or_default()),
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
            done.fetch_add(1, Ordering::Relaxed);
        }
    });
    let killing = async {
        let moods = [Mood::Dead, Mood::Status(500), Mood::Status(204), Mood::Slow, Mood::Garbage, Mood::Status(429)];
        let mut server = start(folder.path(), port);
        for kill in 1..=KILLS {
            while done.load(Ordering::Relaxed) < kill * UPLOADS / (KILLS + 1) {
                assert!(server.try_wait().unwrap().is_none(), "it has ended by itself");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            server.kill().unwrap();
            server.wait().unwrap();
            receiver.set(moods[kill % moods.len()]);
            server = start(folder.path(), port);
        }
        server
    };
    let ((), mut server) = tokio::join!(uploads, killing);

    receiver.set(Mood::Status(204));
    let expected: BTreeSet<String> = (0..UPLOADS).map(|n| format!("picture-{n}.jpg")).collect();
    let pending = variants.join(".resized-outbox/pending");
    let start = Instant::now();
    while files(&pending) > 0 || receiver.ids_and_keys().1 != expected {
        let (ids, keys) = receiver.ids_and_keys();
        let waiting = files(&pending);
        let patience = Duration::from_secs(120);
        assert!(start.elapsed() < patience, "{waiting} wait; {} ids, {} keys", ids.len(), keys.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(files(&variants.join(".resized-outbox/dead")), 0, "no dead letters");
    for n in 0..UPLOADS {
        let stored = std::fs::read(originals.join(format!("picture-{n}.jpg"))).unwrap();
        assert!(stored == [picture.as_slice(), format!("{n}").as_bytes()].concat(), "picture-{n}.jpg");
    }
    server.kill().unwrap();
    server.wait().unwrap();
}

/// The most memory that a process has had, in bytes (proc(5), "VmHWM").
fn peak(process: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_of_200_mb_takes_less_than_32_mb_of_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (originals, variants) = (folder.path().join("originals"), folder.path().join("variants"));
    let config = format!(
        "[server]\nthreads = 1\n[admin]\nlisten = \"\"\n[limits]\noriginal_bytes = \"256MiB\"\n\
         [originals]\nstore = \"file:{}\"\n[variants]\nstore = \"file:{}\"\n\
         [upload]\nenabled = true\nbytes = \"256MiB\"\nbase_url = \"http://images.test\"\n",
        originals.display(),
        variants.display()
    );
    std::fs::write(folder.path().join("config.toml"), config).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = start(folder.path(), port);
    let client = reqwest::Client::new();
    let put = async |name: &str, body: Vec<u8>| {
        let url = format!("http://127.0.0.1:{port}/upload/{name}");
        client.put(url).bearer_auth(TOKEN).body(body).send().await
    };
    let begun = Instant::now();
    while put("small.jpg", jpeg(16, 16)).await.is_err() {
        assert!(begun.elapsed() < crate::stage::PATIENCE, "it does not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let idle = peak(&server);
    let mut large = jpeg(160, 120);
    large.resize(200_000_000, 0);
    assert_eq!(put("large.jpg", large).await.unwrap().status().as_u16(), 201);
    let more = peak(&server) - idle;
    assert!(more < 32_000_000, "{more} bytes");
    assert_eq!(std::fs::metadata(originals.join("large.jpg")).unwrap().len(), 200_000_000);
    server.kill().unwrap();
    server.wait().unwrap();
}
