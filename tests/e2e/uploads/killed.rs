//! The real program: it is killed repeatedly during uploads, and its memory is measured during a large one.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use resized::config::Config;
use resized::observability::metrics::S3Metrics;
use resized::origin::Store;
use resized::variant::ObjectKey;

use crate::support::api::Api;
use crate::support::bucket::Bucket;
use crate::support::node::{self, Settings, TOKEN, on_bucket, on_real_bucket};
use crate::support::pictures::jpeg;
use crate::support::receiver::{Behavior, Receiver};
use crate::support::stage::{PATIENCE, settings};

const UPLOADS: usize = 500;
const KILLS: usize = 10;

/// Starts the program on a fixed port, so that it can be restarted after a kill.
fn start(settings: &Settings, port: u16) -> Child {
    Command::new(env!("CARGO_BIN_EXE_resized"))
        .current_dir(std::env::temp_dir())
        .env("RESIZED_SERVER__LISTEN", format!("127.0.0.1:{port}"))
        .envs([("RESIZED_SERVER__THREADS", "1"), ("RESIZED_ADMIN__LISTEN", ""), ("RESIZED_LOG__ACCESS", "false")])
        .envs(settings.iter().map(|(name, value)| (*name, value)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Settings with both stores in a folder.
fn on_folder(folder: &std::path::Path) -> Settings {
    let store = |name: &str| format!("file:{}", folder.join(name).display());
    vec![("RESIZED_ORIGINALS__STORE", store("originals")), ("RESIZED_VARIANTS__STORE", store("variants"))]
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_folder_acknowledged_uploads_survive_kills_and_are_notified_once() {
    let folder = tempfile::tempdir().unwrap();
    check_kills(on_folder(folder.path()), Config::default().s3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_s3_acknowledged_uploads_survive_kills_and_are_notified_once() {
    let bucket = Bucket::start().await;
    check_kills(on_bucket(&bucket), settings(&bucket).s3).await;
    assert_eq!(bucket.unfinished(), 0);
    if let Some(real) = on_real_bucket("killed") {
        let mut s3 = settings(&bucket).s3;
        s3.endpoint = real[0].1.clone();
        s3.anonymous = false;
        check_kills(real, s3).await;
    }
}

async fn check_kills(stores: Settings, s3: resized::config::S3) {
    let folder = tempfile::tempdir().unwrap();
    let mut api = Api::start(folder.path()).await;
    let receiver = Receiver::with_upstream(Some(api.hook())).await;
    let pauses = format!("[{}]", ["\"300ms\""; 60].join(", "));
    let timing: Settings = vec![
        ("RESIZED_NOTIFY__TIMEOUT", "1s".into()),
        ("RESIZED_NOTIFY__WAIT", "100ms".into()),
        ("RESIZED_NOTIFY__POLL_INTERVAL", "200ms".into()),
        ("RESIZED_NOTIFY__RETRIES", pauses),
    ];
    let settings = [stores.clone(), node::uploading(), node::notifying(&receiver), timing].concat();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let picture = jpeg(16, 16);
    let done = AtomicUsize::new(0);

    // Each client repeats its upload until it gets a response.
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
        let behaviors = [
            Behavior::Disconnect,
            Behavior::Status(500),
            Behavior::Status(204),
            Behavior::Slow,
            Behavior::Garbage,
            Behavior::Status(429),
        ];
        let mut server = start(&settings, port);
        for kill in 1..=KILLS {
            while done.load(Ordering::Relaxed) < kill * UPLOADS / (KILLS + 1) {
                assert!(server.try_wait().unwrap().is_none(), "the server exited");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            server.kill().unwrap();
            server.wait().unwrap();
            api.kill();
            receiver.set(behaviors[kill % behaviors.len()]);
            server = start(&settings, port);
        }
        server
    };
    let ((), mut server) = tokio::join!(uploads, killing);

    receiver.set(Behavior::Status(204));
    let expected: BTreeMap<String, usize> = (0..UPLOADS).map(|n| (format!("picture-{n}.jpg"), 1)).collect();
    let open = async |name: &str| {
        let address = stores.iter().find(|(key, _)| *key == name).unwrap().1.parse().unwrap();
        Store::open(&address, "", &s3, &S3Metrics::default()).await
    };
    let (originals, variants) =
        (open("RESIZED_ORIGINALS__STORE").await.unwrap(), open("RESIZED_VARIANTS__STORE").await.unwrap());
    let start = Instant::now();
    loop {
        let (waiting, rows) =
            (variants.list(".resized-outbox/", None, 1000).await.unwrap().objects.len(), api.rows().await);
        if waiting == 0 && rows == expected {
            break;
        }
        let twice = rows.values().filter(|rows| **rows != 1).count();
        assert!(start.elapsed() < 4 * PATIENCE, "{waiting} pending, {} rows, {twice} of them duplicated", rows.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for n in 0..UPLOADS {
        let key = ObjectKey::new(&format!("picture-{n}.jpg")).unwrap();
        let (_, stored) = originals.get_bounded(&key, 1 << 20).await.unwrap().expect("stored original");
        assert!(stored == [picture.as_slice(), format!("{n}").as_bytes()].concat(), "{key}");
    }
    server.kill().unwrap();
    server.wait().unwrap();
}

/// Returns the peak memory of a process in bytes (proc(5), "VmHWM").
fn peak(process: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_of_200_mb_uses_less_than_32_mb_of_memory() {
    let folder = tempfile::tempdir().unwrap();
    let limits: Settings =
        vec![("RESIZED_LIMITS__ORIGINAL_BYTES", "256MiB".into()), ("RESIZED_UPLOAD__BYTES", "256MiB".into())];
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = start(&[on_folder(folder.path()), node::uploading(), limits].concat(), port);
    let client = reqwest::Client::new();
    let put = async |name: &str, body: Vec<u8>| {
        let url = format!("http://127.0.0.1:{port}/upload/{name}");
        client.put(url).bearer_auth(TOKEN).body(body).send().await
    };
    let begun = Instant::now();
    while put("small.jpg", jpeg(16, 16)).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "the server does not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let idle = peak(&server);
    let mut large = jpeg(160, 120);
    large.resize(200_000_000, 0);
    assert_eq!(put("large.jpg", large).await.unwrap().status().as_u16(), 201);
    let growth = peak(&server) - idle;
    assert!(growth < 32_000_000, "{growth} bytes");
    assert_eq!(std::fs::metadata(folder.path().join("originals/large.jpg")).unwrap().len(), 200_000_000);
    server.kill().unwrap();
    server.wait().unwrap();
}
