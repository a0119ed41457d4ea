//! Isolation: no request reads other files, runs active content, makes the server connect elsewhere, or reveals a secret.

use std::net::TcpListener;
use std::os::unix::fs::symlink;

use reqwest::StatusCode;
use resized::config::{Config, Secret, Serve};

use crate::serving::connections::send_raw;
use crate::serving::wire::statuses;
use crate::support::bucket::Bucket;
use crate::support::collector::{Behavior, Collector};
use crate::support::node::TOKEN;
use crate::support::pictures::jpeg;
use crate::support::stage::{Stage, exporting_at_once, header, settings, until};
use crate::uploads::receiving::{send, uploading};

/// The content of a file that no request may read.
const TREASURE: &[u8] = b"\xff\xd8\xff\xe0 the treasure";

#[tokio::test(flavor = "multi_thread")]
async fn no_path_escapes_the_folder_or_prefix() {
    let bucket = Bucket::start().await;
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("originals");
    std::fs::create_dir(&inside).unwrap();
    std::fs::write(inside.join("cat.jpg"), jpeg(16, 16)).unwrap();
    std::fs::write(folder.path().join("treasure.jpg"), TREASURE).unwrap();
    symlink(folder.path().join("treasure.jpg"), inside.join("link.jpg")).unwrap();
    symlink(folder.path(), inside.join("up")).unwrap();
    symlink("/dev", inside.join("dev")).unwrap();
    bucket.put_object("originals/cat.jpg", jpeg(16, 16), "image/jpeg");
    bucket.put_object("treasure.jpg", TREASURE.to_vec(), "image/jpeg");
    let long = format!("/{}.jpg", "a".repeat(300));
    let longest = format!("/{}/treasure.jpg", "../".repeat(400));
    let paths = [
        "/../treasure.jpg",
        "/%2e%2e/treasure.jpg",
        "/%2E%2E%2Ftreasure.jpg",
        "/..%2ftreasure.jpg",
        "/..%5Ctreasure.jpg",
        "/..\\treasure.jpg",
        "/%252e%252e/treasure.jpg",
        "/%252e%252e%252ftreasure.jpg",
        "/%c0%ae%c0%ae/treasure.jpg",
        "/%e0%80%ae%e0%80%ae/treasure.jpg",
        "/%u002e%u002e/treasure.jpg",
        "/..;/treasure.jpg",
        "/a/../../treasure.jpg",
        "/./../treasure.jpg",
        "/..%00/treasure.jpg",
        "/treasure.jpg%00.jpg",
        "//treasure.jpg",
        "/%2ftreasure.jpg",
        "/link.jpg",
        "/link_10x10.jpg",
        "/up/treasure.jpg",
        "/up/treasure_10x10.jpg",
        "/dev/zero",
        "/dev/zero_10x10.jpg",
        "/dev/stdin",
        "/proc/self/environ",
        "/.._10x10/treasure.jpg",
        "/.._10x10",
        "/../treasure_10x10.jpg",
        "/CON",
        "/nul.jpg",
        "/cat.jpg/",
        "/cat.jpg/x_10x10.jpg",
        &long,
        &longest,
    ];
    for on_file in [true, false] {
        let mut config = settings(&bucket);
        config.originals.serve = Serve::All;
        if on_file {
            config.originals.store = format!("file:{}", inside.display()).parse().unwrap();
        }
        let stage = Stage::start(config).await;
        for path in paths {
            let answer =
                send_raw(&stage, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await;
            let status = statuses(&answer);
            assert!(status == ["400"] || status == ["404"], "{path}: {answer}");
            assert!(!answer.contains("treasure.jpg\r\n") && !answer.contains(" the treasure"), "{path}: {answer}");
        }
        assert_eq!(stage.get("/cat.jpg").await.status(), StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reserved_keys_can_be_neither_read_nor_written() {
    let bucket = Bucket::start().await;
    let mut config = uploading(&bucket);
    config.originals.store = format!("s3://{}", bucket.name()).parse().unwrap();
    config.variants.store = format!("s3://{}/made", bucket.name()).parse().unwrap();
    config.originals.serve = Serve::All;
    config.notify.url = "http://127.0.0.1:9".into();
    config.notify.secret = crate::support::receiver::SECRET.into();
    config.notify.outbox = Some(format!("s3://{}/waiting", bucket.name()).parse().unwrap());
    config.fleet.lease = true;
    let stage = Stage::start(config).await;
    let own = [
        "/made/cat.jpg/40x40_q80.jpg",
        "/made/cat_40x40.jpg",
        "/made/cat.jpg",
        "/made/.resized-outbox/pending/1-msg.json",
        "/waiting/.resized-outbox/pending/1-msg.json",
        "/waiting/.resized-outbox/dead/msg_40x40.json",
        "/.resized-incoming/0",
        "/.RESIZED-incoming/0",
        "/%2eresized-incoming/0",
        "/a/.resized/meta",
    ];
    for path in own {
        bucket.put_object(&path[1..].replace("%2e", "."), TREASURE.to_vec(), "image/jpeg");
        let read = stage.get(path).await;
        assert_eq!(read.status(), StatusCode::BAD_REQUEST, "{path}");
        let written = send(&stage, "PUT", &format!("/upload{path}"), jpeg(16, 16), &[]).await;
        assert_eq!(written.status(), StatusCode::BAD_REQUEST, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn active_content_is_never_served_as_such() {
    let bucket = Bucket::start().await;
    let mut config = uploading(&bucket);
    config.originals.serve = Serve::All;
    config.upload.types.push("image/svg+xml".into());
    let stage = Stage::start(config).await;
    let active: [(&str, &[u8], &str); 4] = [
        ("page.html", b"<!doctype html><script>alert(1)</script>", "text/html"),
        ("drawing.svg", b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>", "image/svg+xml"),
        ("script.js", b"alert(1)", "text/javascript"),
        ("sheet.xml", b"<?xml version=\"1.0\"?><?xml-stylesheet href=\"x.xsl\"?><a/>", "application/xml"),
    ];
    for (name, bytes, content_type) in active {
        // Stored directly in the bucket with its real content type.
        bucket.put_object(&format!("originals/{name}"), bytes.to_vec(), content_type);
        let served = stage.get(&format!("/{name}")).await;
        assert_eq!(header(&served, "content-type"), "application/octet-stream", "{name}");
        assert_eq!(header(&served, "x-content-type-options"), "nosniff");
        assert_eq!(header(&served, "content-disposition"), "attachment");
        assert_eq!(header(&served, "content-security-policy"), "default-src 'none'; sandbox");
        let (path, sent) = (format!("/upload/a-{name}"), [("content-type", content_type)]);
        let refused = send(&stage, "PUT", &path, bytes.to_vec(), &sent).await;
        assert_eq!(refused.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{name}");
        let resized = stage.get(&format!("/{}_10x10.png", name.replace('.', "-"))).await;
        assert_eq!(resized.status(), StatusCode::NOT_FOUND);
        let (stem, extension) = name.split_once('.').unwrap();
        assert_eq!(stage.get(&format!("/{stem}_10x10.{extension}")).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    // An error repeats the path, but as JSON with `nosniff`.
    let error = stage.get("/%3Cscript%3Ealert(1)%3C%2Fscript%3E.html").await;
    assert_eq!(header(&error, "content-type"), "application/problem+json");
    assert_eq!(header(&error, "x-content-type-options"), "nosniff");
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_requests_nor_pictures_make_the_server_connect_elsewhere() {
    let bucket = Bucket::start().await;
    // A connection would appear in the backlog of this listener.
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let host = elsewhere.local_addr().unwrap().to_string();
    let url = format!("http://{host}/cat.jpg");
    let (collector, mut config) = (Collector::start().await, uploading(&bucket));
    collector.set(Behavior::Redirect(format!("http://{host}/v1/traces")));
    config.traces.endpoint = collector.url();
    config.traces.sample = 1.0;
    let stage = Stage::start_with(config, exporting_at_once()).await;
    let encoded = url.replace(':', "%3A").replace('/', "%2F");
    let lines = [
        format!("GET {url} HTTP/1.1\r\nHost: {host}"),
        format!("GET /{url} HTTP/1.1\r\nHost: {host}"),
        format!("GET /{encoded} HTTP/1.1\r\nHost: {host}"),
        format!("GET /{encoded}_10x10.jpg HTTP/1.1\r\nHost: {host}"),
        format!("GET /cat_10x10.jpg?url={encoded}&src={encoded} HTTP/1.1\r\nHost: {host}"),
        format!(
            "GET /cat_10x10.jpg HTTP/1.1\r\nHost: x\r\nX-Forwarded-Host: {host}\r\nX-Original-URL: {url}\r\nOrigin: http://{host}"
        ),
        format!("GET /file:%2F%2F%2Fetc%2Fpasswd HTTP/1.1\r\nHost: x\r\nReferer: {url}"),
        format!(
            "GET /cat_10x10.jpg HTTP/1.1\r\nHost: x\r\nTraceparent: {url}\r\nTracestate: a={url}\r\nBaggage: a={encoded}"
        ),
        format!("CONNECT {host} HTTP/1.1\r\nHost: {host}"),
        format!(
            "OPTIONS {url} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nAccess-Control-Request-Method: GET"
        ),
    ];
    for line in lines {
        let answer = send_raw(&stage, &format!("{line}\r\nConnection: close\r\n\r\n")).await;
        assert!(matches!(*statuses(&answer), ["204" | "400" | "404" | "405"]), "{line}: {answer}");
    }
    // Files that contain URLs: a JPEG comment, an SVG and a playlist.
    let comment =
        [&b"\xff\xd8\xff\xfe"[..], &(url.len() as u16 + 2).to_be_bytes(), url.as_bytes(), &jpeg(16, 16)[2..]].concat();
    let drawing = format!("<svg xmlns:xlink=\"x\"><image xlink:href=\"{url}\"/></svg>").into_bytes();
    let list = format!("#EXTM3U\n#EXTINF:1,\n{url}\n").into_bytes();
    for (n, bytes) in [comment, drawing, list].into_iter().enumerate() {
        bucket.put_object(&format!("originals/{n}.jpg"), bytes.clone(), "image/jpeg");
        stage.get(&format!("/{n}_10x10.jpg")).await.bytes().await.unwrap();
        send(&stage, "PUT", &format!("/upload/sent-{n}.jpg"), bytes, &[("content-location", &url)]).await;
    }
    let form = format!("--b\r\nContent-Disposition: form-data; name=\"url\"\r\n\r\n{url}\r\n--b--\r\n").into_bytes();
    send(&stage, "POST", "/upload", form, &[("content-type", "multipart/form-data; boundary=b")]).await;
    until("spans are rejected", || stage.metrics.spans.failed.get() > 0).await;
    let reached = elsewhere.accept();
    assert!(reached.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "{reached:?}");
    std::net::TcpStream::connect(&host).unwrap();
    assert!(elsewhere.accept().is_ok(), "a connection would have been noticed");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_appears_in_debug_output_or_errors() {
    let bucket = Bucket::start().await;
    let secret = |name: &str| format!("hush-{name}-0123456789abcdef0123456789abcdef");
    let mut config: Config = uploading(&bucket);
    let set = |setting: &mut Secret, name: &str| *setting = secret(name).as_str().into();
    set(&mut config.admin.token, "admin");
    set(&mut config.upload.token, "upload");
    set(&mut config.upload.secret, "ticket");
    set(&mut config.signing.keys, "signing");
    let webhooks = crate::support::receiver::SECRET;
    config.notify.url = "http://127.0.0.1:9".into();
    config.notify.secret = webhooks.into();
    let stage = Stage::start(config.clone()).await;
    let mut shown = format!("{config:?} {config:#?} {:?} {}", stage.proxy, serde_json::to_string(&config).unwrap());
    for (method, path) in [("PUT", "/upload/a.jpg"), ("POST", "/upload/sign"), ("POST", "/upload/complete?ticket=x")] {
        let answer = stage.request(method, path).bearer_auth(TOKEN).send().await.unwrap();
        shown.push_str(&format!("{answer:?} {}", answer.status()));
        shown.push_str(&answer.text().await.unwrap());
    }
    let wrong = stage.get(&format!("/cat_1x1.jpg?signature={}", "0".repeat(64))).await;
    assert_eq!(wrong.status(), StatusCode::FORBIDDEN);
    shown.push_str(&wrong.text().await.unwrap());
    assert!(!shown.contains("hush-") && !shown.contains(webhooks), "{shown}");
}
