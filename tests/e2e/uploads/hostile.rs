//! Malicious uploads: they get an error, store nothing, and no secret appears in the log.

use reqwest::{Client, StatusCode};
use serde_json::Value;

use crate::support::bucket::Bucket;
use crate::support::node::{Node, TOKEN, UPLOAD_SECRET, on_bucket, uploading};
use crate::support::pictures::jpeg;
use crate::support::stage::{Stage, header, until};
use crate::uploads::receiving::{send, uploading as settings};

/// Images whose header declares far more pixels than the file can contain.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let png = b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR\0\x0F\x42\x40\0\x0F\x42\x40\x08\x06\0\0\0".to_vec();
    let gif = [&b"GIF89a\xFF\xFF\xFF\xFF\xF0\0\0"[..], &[0; 6], b",\0\0\0\0\xFF\xFF\xFF\xFF\0\x02\0;"].concat();
    let mut jpeg = jpeg(16, 16);
    let frame = jpeg.windows(2).position(|pair| matches!(pair, [0xFF, 0xC0 | 0xC2])).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xFF);
    // VP8L stores width - 1 and height - 1 in 14 bits each.
    let webp = b"RIFF\x1E\0\0\0WEBPVP8L\x11\0\0\0\x2F\xFF\xFF\xFF\x0F\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    [("PNG", png), ("GIF", gif), ("JPEG", jpeg), ("WebP", webp)]
        .map(|(name, head)| (name, [head, vec![0; 64]].concat()))
        .into()
}

#[tokio::test(flavor = "multi_thread")]
async fn decompression_bombs_are_rejected_by_their_header() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(settings(&bucket)).await;
    for (name, bomb) in bombs() {
        let response = send(&stage, "POST", "/upload", bomb, &[]).await;
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY, "{name}");
        let problem: Value = response.json().await.unwrap();
        assert!(problem["detail"].as_str().unwrap().contains("pixels"), "{name}: {problem}");
    }
    assert!(bucket.keys("").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn polyglot_files_are_served_as_images_only() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(settings(&bucket)).await;
    let page = b"<html><script>alert(document.domain)</script></html>";
    // A JPEG followed by HTML, HTML in a GIF comment, and a JPEG followed by a ZIP archive.
    let mut gif = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xFF\xFF\xFF!\xFE".to_vec();
    gif.push(u8::try_from(page.len()).unwrap());
    gif.extend([&page[..], b"\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"].concat());
    let polyglots = [
        ("image/jpeg", [jpeg(16, 16).as_slice(), page].concat()),
        ("image/gif", gif),
        ("image/jpeg", [jpeg(16, 16).as_slice(), b"PK\x03\x04\x14\0 and so on"].concat()),
    ];
    for (n, (media_type, body)) in polyglots.into_iter().enumerate() {
        let path = format!("/{n}.html");
        let sent = [("content-type", "text/html")];
        assert_eq!(send(&stage, "PUT", &format!("/upload{path}"), body.clone(), &sent).await.status().as_u16(), 201);
        assert_eq!(
            bucket.object(&format!("originals{path}")).unwrap().content_type,
            media_type,
            "content type in the bucket"
        );
        let served = stage.get(&path).await;
        assert_eq!(
            (header(&served, "content-type"), header(&served, "x-content-type-options")),
            (media_type, "nosniff")
        );
        assert_eq!(served.bytes().await.unwrap(), body, "served unchanged");
    }
    // Files that do not start as an image are rejected.
    for body in [[&page[..], &jpeg(16, 16)].concat(), [b"\n", &jpeg(16, 16)[..]].concat(), b"GIF89a<script>".to_vec()] {
        let status = send(&stage, "POST", "/upload", body, &[]).await.status().as_u16();
        assert!(matches!(status, 415 | 422), "{status}");
    }
    assert_eq!(bucket.keys("").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_escapes_the_originals_store() {
    let bucket = Bucket::start().await;
    let folder = tempfile::tempdir().unwrap();
    for on_file in [false, true] {
        let mut config = settings(&bucket);
        if on_file {
            config.originals.store = format!("file:{}", folder.path().join("originals").display()).parse().unwrap();
        }
        let stage = Stage::start(config).await;
        for path in [
            "/upload/..%2f..%2fetc%2fpasswd.jpg",
            "/upload/a%2f%2e%2e%2fb.jpg",
            "/upload/%00.jpg",
            "/upload/a%0d%0aX-Amz-Acl:%20public-read.jpg",
            "/upload//etc/passwd.jpg",
            "/upload/a/%2e%2fb.jpg",
            "/upload/%ff%fe.jpg",
            "/upload/.resized-outbox/pending/0000000000000-msg_1.json",
            "/upload/.resized-incoming/a",
        ] {
            let status = send(&stage, "PUT", path, jpeg(16, 16), &[]).await.status();
            assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        }
    }
    assert!(bucket.keys("").is_empty());
    let files = |folder: &std::path::Path| {
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name()).collect::<Vec<_>>()
    };
    assert_eq!(files(folder.path()), ["originals"]);
    assert!(files(&folder.path().join("originals")).iter().all(|name| name.to_string_lossy().starts_with(".resized")));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_secrets_are_not_logged() {
    let bucket = Bucket::start().await;
    let settings = [on_bucket(&bucket), uploading(), vec![("RESIZED_LOG__LEVEL", "debug".into())]].concat();
    let node = tokio::task::spawn_blocking(move || Node::start(&settings)).await.unwrap();
    for token in [TOKEN, "a-mistyped-token"] {
        let request = Client::new().put(format!("{}/upload/a.jpg", node.url)).bearer_auth(token);
        request.body(jpeg(16, 16)).send().await.unwrap();
    }
    until("both requests are logged", || node.log().matches("/upload/a.jpg").count() >= 2).await;
    for secret in [TOKEN, UPLOAD_SECRET, "a-mistyped-token", crate::support::bucket::SECRET_KEY] {
        assert!(!node.log().contains(secret), "{}", node.log());
    }
}
