//! AVIF originals through the real program, whose decoding processes are told apart from it.

use std::fs;
use std::time::Duration;

use reqwest::StatusCode;

use crate::operating::check::resized;
use crate::support::bucket::Bucket;
use crate::support::node::Node;
use crate::support::pictures::{BLUE, GREEN, RED, YELLOW, jpeg, see};
use crate::support::stage::{Stage, header, settings as settings_on};

/// Kept damaged: its decoder takes its process with it.
const ABORTS: &[u8] = include_bytes!("../../../crates/pixels/tests/avif/aborts.avif");

/// The processes that this one has started, by number.
fn children(id: u32) -> String {
    let threads = fs::read_dir(format!("/proc/{id}/task")).unwrap();
    threads.filter_map(|thread| fs::read_to_string(thread.unwrap().path().join("children")).ok()).collect()
}

fn descriptors(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/fd")).unwrap().count()
}

/// A folder with an AVIF of four colours, one that is damaged, and where variants go.
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
async fn an_avif_is_answered_in_every_format_and_a_damaged_one_is_nobody_elses_trouble() {
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
        let answer = get(path).await.unwrap();
        assert_eq!(
            (answer.status(), &answer.headers()["content-type"]),
            (StatusCode::OK, &media_type.parse().unwrap())
        );
        let seen = see(&answer.bytes().await.unwrap());
        assert_eq!((seen.width, seen.height), (80, 60));
        seen.has_quarters([RED, GREEN, BLUE, YELLOW]);
    }
    let small = get("cat_40x30.avif").await.unwrap();
    assert_eq!(small.headers()["content-type"], "image/avif");
    assert_eq!(children(node.id()), "", "each process is gone, and was taken notice of");
    // Connections of this test's own come and go.
    assert!(descriptors(node.id()).abs_diff(before) < 10);
    let numbers = reqwest::get(format!("{}/metrics", node.admin)).await.unwrap().text().await.unwrap();
    let failures = numbers.lines().filter(|line| line.contains("reason=\"damaged\"")).collect::<Vec<_>>();
    assert!(failures.iter().any(|line| !line.ends_with(" 0")), "{failures:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_avif_over_its_time_or_unwanted_is_told_so() {
    for (name, value, expected) in [
        ("RESIZED_LIMITS__RENDER_TIME", "1ms", "limits.render_time"),
        ("RESIZED_FORMATS__AVIF_ORIGINALS", "false", "the original is AVIF, which is not decoded here"),
        ("RESIZED_LIMITS__INPUT_PIXELS", "1000", "limits.input_pixels"),
    ] {
        let (node, _folder) = tokio::task::block_in_place(|| {
            let folder = folder();
            let settings = [settings(&folder), vec![(name, value.to_owned())]].concat();
            (Node::start(&settings), folder)
        });
        let answer = reqwest::get(format!("{}/cat_80x.avif.jpg", node.url)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let text = answer.text().await.unwrap();
        assert!(text.contains(expected), "{text}");
        assert_eq!(children(node.id()), "");
    }
}

#[tokio::test]
async fn a_process_that_cannot_be_started_is_not_the_originals_fault() {
    let bucket = Bucket::start().await;
    bucket.put_object(
        "originals/cat.avif",
        include_bytes!("../../../crates/pixels/tests/avif/full-420.avif").to_vec(),
        "image/avif",
    );
    // This program of tests has not said who decodes.
    let stage = Stage::start(settings_on(&bucket)).await;
    for _ in 0..2 {
        let answer = stage.get("/cat_20x.avif.jpg").await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!((header(&answer, "cache-control"), header(&answer, "retry-after")), ("no-store", "1"));
    }
    assert_eq!(bucket.keys("variants/"), Vec::<String>::new());
}

#[test]
fn the_command_that_decodes_is_hidden_and_ends_with_its_input() {
    let (help, _, _) = resized(&["--help"], &[]);
    assert!(!help.contains("decoder"), "{help}");
    let (completions, _, _) = resized(&["completions", "bash"], &[]);
    assert!(!completions.contains("decoder"), "nor do shells know it");
    assert_eq!(resized(&["decoder"], &[]).2, 2);
    let begun = std::time::Instant::now();
    let (out, _, status) = resized(&["decoder", "1000000", "10"], &[]);
    assert_eq!((out.len(), status), (28, 0), "it says that it is ready, and nobody asks");
    assert!(begun.elapsed() < Duration::from_secs(20));
}
