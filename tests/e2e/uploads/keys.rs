//! Keys that an upload cannot have: the store cannot hold them, or one object would hide another.

use reqwest::StatusCode;
use resized::config::{Config, Overwrite};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::receiving::{send, uploading};
use crate::support::bucket::{Bucket, Fault, Operation};
use crate::support::node::TOKEN;
use crate::support::pictures::jpeg;
use crate::support::stage::Stage;

/// Sends an upload and returns its status and the advice in the response.
async fn put(stage: &Stage, key: &str) -> (u16, String) {
    let response = send(stage, "PUT", &format!("/upload/{key}"), jpeg(16, 16), &[]).await;
    let status = response.status().as_u16();
    let answer: Value = response.json().await.unwrap();
    (status, answer["detail"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_a_store_cannot_hold_are_refused_with_advice() {
    let bucket = Bucket::start().await;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("originals");
    std::fs::create_dir_all(root.join("folder")).unwrap();
    std::fs::create_dir(folder.path().join("outside")).unwrap();
    std::fs::write(folder.path().join("outside/b.jpg"), "outside").unwrap();
    std::fs::write(root.join("a.jpg"), jpeg(8, 8)).unwrap();
    for (target, link) in [("outside", "link"), ("outside/b.jpg", "b.jpg"), ("nowhere", "dangling")] {
        std::os::unix::fs::symlink(folder.path().join(target), root.join(link)).unwrap();
    }
    let long = "a".repeat(256);
    let longest = format!("{}/b.jpg", ["a".repeat(200).as_str(); 6].join("/"));
    let everywhere = [
        (longest.as_str(), 400, "bytes"),
        ("a//b.jpg", 400, "slash"),
        ("folder/", 400, "slash"),
        (".resized/b.jpg", 400, "reserved"),
        (".resized-incoming/b.jpg", 400, "reserved"),
    ];
    let in_folders = [
        (long.as_str(), 400, "255"),
        ("a.jpg/b.jpg", 409, "\"a.jpg\" is an object"),
        ("a.jpg/b/c.jpg", 409, "\"a.jpg\" is an object"),
        ("folder", 409, "folder"),
        ("link/c.jpg", 400, "link"),
        ("link/new/c.jpg", 400, "link"),
        ("b.jpg", 400, "link"),
        ("dangling", 400, "link"),
        ("dangling/c.jpg", 400, "link"),
    ];
    for overwrite in [Overwrite::Never, Overwrite::Always] {
        let config =
            Config { upload: resized::config::Upload { overwrite, ..uploading(&bucket).upload }, ..uploading(&bucket) };
        let on_s3 = Stage::start(config.clone()).await;
        let mut config = config;
        config.originals.store = format!("file:{}", root.display()).parse().unwrap();
        let on_folder = Stage::start(config).await;
        for (key, status, advice) in everywhere {
            for stage in [&on_s3, &on_folder] {
                let answer = put(stage, key).await;
                assert!(answer.0 == status && answer.1.contains(advice), "{key}: {answer:?}");
            }
        }
        for (key, status, advice) in in_folders {
            let answer = put(&on_folder, key).await;
            assert!(answer.0 == status && answer.1.contains(advice), "{key}: {answer:?}");
        }
        assert_eq!(put(&on_folder, &format!("new/{overwrite:?}/{}.jpg", "a".repeat(251))).await.0, 201);
    }
    assert!(bucket.keys("originals/").is_empty());
    assert_eq!(std::fs::read(folder.path().join("outside/b.jpg")).unwrap(), b"outside");
    assert_eq!(std::fs::read_dir(folder.path().join("outside")).unwrap().count(), 1);
}

/// Objects that the original `p/cat.jpg` hides.
const HIDDEN: [&str; 9] = [
    "p/cat_100x100.jpg",
    "p/cat-100x100.jpg",
    "p/cat_x90_crop_top_q80@2x.jpg",
    "p/cat_100x.jpg.webp",
    "p/cat_100x.progressive.jpg",
    "p/cat.jpg_100x100",
    "p/cat_small.jpg",
    "p/100x100/cat.jpg",
    "p/100x_crop/cat.jpg",
];

fn with_all_kinds_of_sizes(bucket: &Bucket) -> Config {
    let mut config = uploading(bucket);
    config.presets.insert("small".into(), "100x100".into());
    config.urls.segment = true;
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_an_original_hides_is_refused() {
    let bucket = Bucket::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = with_all_kinds_of_sizes(&bucket);
    let on_s3 = Stage::start(config.clone()).await;
    config.originals.store = format!("file:{}", folder.path().display()).parse().unwrap();
    let on_folder = Stage::start(config).await;
    for stage in [on_s3, on_folder] {
        assert_eq!(put(&stage, "p/cat.jpg").await.0, 201);
        for key in HIDDEN {
            let answer = put(&stage, key).await;
            assert!(answer.0 == 409 && answer.1.contains("\"p/cat.jpg\""), "{key}: {answer:?}");
        }
        for key in ["p/dog_100x100.jpg", "p/cat_100x100.png", "q/cat_100x100.jpg", "p/cat_100x100"] {
            assert_eq!(put(&stage, key).await.0, 201, "{key}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_original_that_would_hide_an_object_is_refused() {
    for is_crowded in [false, true] {
        for hidden in HIDDEN {
            let bucket = Bucket::start().await;
            let folder = tempfile::tempdir().unwrap();
            let mut config = with_all_kinds_of_sizes(&bucket);
            let on_s3 = Stage::start(config.clone()).await;
            config.originals.store = format!("file:{}", folder.path().display()).parse().unwrap();
            let on_folder = Stage::start(config).await;
            let others = ["p/cats_100x100.jpg", "p/catalog/cat_100x100.jpg", "p/cat_100x100.png", "cat_100x100.jpg"];
            for key in others.into_iter().chain([hidden]) {
                bucket.put_object(&format!("originals/{key}"), jpeg(8, 8), "image/jpeg");
                std::fs::create_dir_all(folder.path().join(key).parent().unwrap()).unwrap();
                std::fs::write(folder.path().join(key), jpeg(8, 8)).unwrap();
            }
            // More names than one listing has, before the hidden one.
            for n in 0..if is_crowded { 1001 } else { 0 } {
                bucket.put_object(&format!("originals/p/cat!{n}.jpg"), Vec::new(), "image/jpeg");
                std::fs::write(folder.path().join(format!("p/cat!{n}.jpg")), "").unwrap();
            }
            let is_found = !is_crowded || !hidden.ends_with("/cat.jpg");
            for stage in [on_s3, on_folder].iter().filter(|_| is_found) {
                let answer = put(stage, "p/cat.jpg").await;
                assert!(answer.0 == 409 && answer.1.contains(&format!("{hidden:?}")), "{hidden}: {answer:?}");
                assert_eq!(put(stage, "p/ca.jpg").await.0, 201);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_original_can_be_replaced_although_it_hides_an_object() {
    let bucket = Bucket::start().await;
    let mut config = uploading(&bucket);
    config.upload.overwrite = Overwrite::Always;
    let stage = Stage::start(config).await;
    for key in ["cat.jpg", "cat_100x100.jpg"] {
        bucket.put_object(&format!("originals/{key}"), jpeg(8, 8), "image/jpeg");
    }
    assert_eq!(put(&stage, "cat.jpg").await.0, 201);
    assert_eq!(put(&stage, "cat_100x100.jpg").await.0, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_for_hidden_objects_costs_one_request() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(uploading(&bucket)).await;
    let counts = || [Operation::List, Operation::Head].map(|operation| bucket.count(operation, "originals/"));
    let before = counts();
    assert_eq!(put(&stage, "cat.jpg").await.0, 201);
    assert_eq!(counts(), [before[0] + 1, before[1]], "a chosen key");
    assert_eq!(put(&stage, "dog_100x100.jpg").await.0, 201);
    assert_eq!(counts(), [before[0] + 2, before[1] + 1], "a key that reads as a variant");
    assert_eq!(send(&stage, "POST", "/upload", jpeg(16, 16), &[]).await.status(), StatusCode::CREATED);
    assert_eq!(counts(), [before[0] + 2, before[1] + 1], "a generated key");
    bucket.fail(Operation::List, "originals/", Fault::Status(403));
    assert_eq!(put(&stage, "bird.jpg").await.0, 201, "a store that refuses listings");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_refused_before_the_body_is_sent() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(uploading(&bucket)).await;
    bucket.put_object("originals/cat.jpg", jpeg(8, 8), "image/jpeg");
    let mut stream = tokio::net::TcpStream::connect(stage.address).await.unwrap();
    let head = format!(
        "PUT /upload/cat_8x8.jpg HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 9000\r\n\
         Expect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 409");
}
