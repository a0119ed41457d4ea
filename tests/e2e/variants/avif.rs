//! AVIF originals, decoded by sandbox processes of the real program.

use std::fs;
use std::time::Duration;

use reqwest::StatusCode;

use crate::operating::check::resized;
use crate::support::bucket::Bucket;
use crate::support::node::Node;
use crate::support::pictures::{BLUE, GREEN, RED, YELLOW, jpeg, see};
use crate::support::stage::{Stage, header, settings as settings_on};

/// A damaged original that aborts the process of its decoder.
const ABORTS: &[u8] = include_bytes!("../../../crates/pixels/tests/avif/aborts.avif");

/// Ids of the child processes of a process.
fn children(id: u32) -> String {
    let threads = fs::read_dir(format!("/proc/{id}/task")).unwrap();
    threads.filter_map(|thread| fs::read_to_string(thread.unwrap().path().join("children")).ok()).collect()
}

fn descriptors(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/fd")).unwrap().count()
}

/// A folder with an AVIF of four colors and a damaged AVIF, for originals and variants.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let originals = folder.path().join("originals");
    fs::create_dir(&originals).unwrap();
    let (from, to) = (folder.path().join("cat.jpg"), originals.join("cat.avif"));
    fs::write(&from, jpeg(160, 120)).unwrap();
    let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
    let (_, error, status) = resized(&["resize", "--size", "160x120_q90", "--format", "avif", from, to], &[]);
    assert_eq!(status, 0, "{error}");
    fs::write(originals.join("aborts.avif"), ABORTS).unwrap();
    folder
}

fn settings(folder: &tempfile::TempDir) -> Vec<(&'static str, String)> {
    let folder = folder.path().display();
    vec![
        ("RESIZED_ORIGINALS__STORE", format!("file:{folder}/originals")),
        ("RESIZED_VARIANTS__STORE", format!("file:{folder}/variants")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn avif_originals_render_to_every_format_and_a_damaged_one_affects_no_other_request() {
    let (node, _folder) = tokio::task::block_in_place(|| {
        let folder = folder();
        (Node::start(&settings(&folder)), folder)
    });
    let get = |path: &'static str| reqwest::get(format!("{}/{path}", node.url));
    assert_eq!(get("cat_80x.avif.png").await.unwrap().status(), StatusCode::OK);
    let before = descriptors(node.id());
    for (path, media_type) in [
        ("cat_80x60.avif.jpg", "image/jpeg"),
        ("cat_80x60.avif.webp", "image/webp"),
        ("cat_80x60.avif.png", "image/png"),
        ("cat_80x60.avif.gif", "image/gif"),
    ] {
        let damaged = get("aborts_80x.avif.jpg").await.unwrap();
        assert_eq!(damaged.status(), StatusCode::UNPROCESSABLE_ENTITY, "{}", damaged.text().await.unwrap());
        let response = get(path).await.unwrap();
        assert_eq!(
            (response.status(), &response.headers()["content-type"]),
            (StatusCode::OK, &media_type.parse().unwrap())
        );
        let seen = see(&response.bytes().await.unwrap());
        assert_eq!((seen.width, seen.height), (80, 60));
        seen.has_quarters([RED, GREEN, BLUE, YELLOW]);
    }
    let small = get("cat_40x30.avif").await.unwrap();
    assert_eq!(small.headers()["content-type"], "image/avif");
    assert_eq!(children(node.id()), "", "sandbox processes have exited and were reaped");
    // The number of descriptors varies, because this test opens and closes connections.
    assert!(descriptors(node.id()).abs_diff(before) < 10);
    let metrics = reqwest::get(format!("{}/metrics", node.admin)).await.unwrap().text().await.unwrap();
    let failures = metrics.lines().filter(|line| line.contains("reason=\"damaged\"")).collect::<Vec<_>>();
    assert!(failures.iter().any(|line| !line.ends_with(" 0")), "{failures:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_avif_over_a_limit_or_disabled_is_422_with_the_reason() {
    for (name, value, expected) in [
        ("RESIZED_LIMITS__RENDER_TIME", "1ms", "limits.render_time"),
        (
            "RESIZED_FORMATS__ORIGINALS",
            "[\"jpg\", \"png\"]",
            "the original is AVIF, which this server does not accept (formats.originals)",
        ),
        ("RESIZED_LIMITS__INPUT_PIXELS", "1000", "limits.input_pixels"),
    ] {
        let (node, _folder) = tokio::task::block_in_place(|| {
            let folder = folder();
            let settings = [settings(&folder), vec![(name, value.to_owned())]].concat();
            (Node::start(&settings), folder)
        });
        let response = reqwest::get(format!("{}/cat_80x.avif.jpg", node.url)).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let text = response.text().await.unwrap();
        assert!(text.contains(expected), "{text}");
        assert_eq!(children(node.id()), "");
    }
}

#[tokio::test]
async fn a_sandbox_process_that_cannot_be_started_is_503_and_not_422() {
    let bucket = Bucket::start().await;
    bucket.put_object(
        "originals/cat.avif",
        include_bytes!("../../../crates/pixels/tests/avif/full-420.avif").to_vec(),
        "image/avif",
    );
    // The test program has no sandbox command.
    let stage = Stage::start(settings_on(&bucket)).await;
    for _ in 0..2 {
        let response = stage.get("/cat_20x.avif.jpg").await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!((header(&response, "cache-control"), header(&response, "retry-after")), ("no-store", "1"));
    }
    assert_eq!(bucket.keys("variants/"), Vec::<String>::new());
}

#[test]
fn the_sandbox_command_is_hidden_and_exits_at_the_end_of_its_input() {
    let (help, _, _) = resized(&["--help"], &[]);
    assert!(!help.contains("sandbox"), "{help}");
    let (completions, _, _) = resized(&["completions", "bash"], &[]);
    assert!(!completions.contains("sandbox"), "shell completions do not list it");
    assert_eq!(resized(&["sandbox"], &[]).2, 2);
    let start = std::time::Instant::now();
    let (out, _, status) = resized(&["sandbox", "1000000", "10", "decode"], &[]);
    assert_eq!((out.len(), status), (36, 0), "it writes its ready message and exits");
    assert!(start.elapsed() < Duration::from_secs(20));
}
