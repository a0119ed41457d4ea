//! Uploads through the proxy: stored originals, rejected requests, tokens, keys and forms.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use resized::config::{Config, Overwrite, UploadToken};
use serde_json::Value;

use crate::support::bucket::Bucket;
use crate::support::node::TOKEN;
use crate::support::pictures::jpeg;
use crate::support::receiver::{Receiver, SECRET};
use crate::support::stage::{Stage, header, settings, until};

/// Method, path, body and headers of a request, and the status of its response.
type Case<'t> = (&'t str, &'t str, Vec<u8>, &'t [(&'t str, &'t str)], u16);

pub fn uploading(bucket: &Bucket) -> Config {
    let mut config = settings(bucket);
    config.upload.enabled = true;
    config.upload.token = TOKEN.into();
    config.upload.base_url = "https://images.example.com".into();
    config.upload.bytes = bytesize::ByteSize::kib(100);
    config
}

pub fn notifying(bucket: &Bucket, receiver: &Receiver) -> Config {
    let mut config = uploading(bucket);
    config.notify.url = receiver.url();
    config.notify.secret = SECRET.into();
    config.notify.poll_interval = Duration::from_millis(20);
    config.notify.retries = vec![Duration::from_millis(20).into(); 3];
    config
}

pub async fn send(stage: &Stage, method: &str, path: &str, body: Vec<u8>, headers: &[(&str, &str)]) -> Response {
    let request =
        headers.iter().fold(stage.request(method, path), |request, (name, value)| request.header(*name, *value));
    request.bearer_auth(TOKEN).body(body).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_is_stored_unchanged_and_the_api_is_notified_before_the_response() {
    let (bucket, receiver) = (Bucket::start().await, Receiver::start().await);
    let stage = Stage::start(notifying(&bucket, &receiver)).await;
    let picture = jpeg(160, 120);
    let response = send(&stage, "POST", "/upload", picture.clone(), &[]).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let location = header(&response, "location").to_owned();
    let answer: Value = response.json().await.unwrap();
    assert_eq!((&answer["notified"], &answer["width"], &answer["height"]), (&true.into(), &160.into(), &120.into()));
    assert_eq!((&answer["content_type"], &answer["url"]), (&"image/jpeg".into(), &location.as_str().into()));
    let key = answer["key"].as_str().unwrap();
    assert_eq!(location, format!("https://images.example.com/{key}"));
    let stored = bucket.object(&format!("originals/{key}")).unwrap();
    assert_eq!((&stored.bytes[..], stored.content_type.as_str()), (&picture[..], "image/jpeg"));
    let (ids, keys) = receiver.ids_and_keys();
    assert!(ids.contains(answer["id"].as_str().unwrap()) && keys.contains(key));
    assert!(bucket.keys("variants/.resized-outbox").is_empty(), "outbox is empty");
    assert_eq!(stage.get(&format!("/{key}")).await.status(), StatusCode::OK, "original is served");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_uploads_get_a_problem_and_store_nothing() {
    let bucket = Bucket::start().await;
    let mut config = uploading(&bucket);
    config.limits.input_pixels = 1_000_000;
    let stage = Stage::start(config).await;
    let picture = || jpeg(16, 16);
    // A PNG whose header declares a million rows of a million pixels.
    let mut bomb = b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR\0\x0F\x42\x40\0\x0F\x42\x40\x08\x06\0\0\0".to_vec();
    bomb.extend([0; 64]);
    let table: Vec<Case> = vec![
        ("POST", "/upload", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), &[], 415),
        ("POST", "/upload", b"PK\x03\x04 a zip".to_vec(), &[("content-type", "image/jpeg")], 415),
        ("POST", "/upload", b"<html><script>".to_vec(), &[("content-type", "image/png")], 415),
        ("POST", "/upload", picture(), &[("content-encoding", "gzip")], 415),
        ("POST", "/upload", b"8BPS\0\x01".to_vec(), &[], 415),
        ("POST", "/upload", b"BM\0\0\0\0\0\0\0\0".to_vec(), &[], 422),
        ("POST", "/upload", picture()[..40].to_vec(), &[], 422),
        ("POST", "/upload", bomb, &[], 422),
        ("POST", "/upload", vec![0; 200_000], &[], 413),
        ("POST", "/upload", vec![], &[], 400),
        ("POST", "/upload", picture(), &[("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")], 400),
        ("POST", "/upload", picture(), &[("content-digest", "sha-256=:AAAA:")], 400),
        ("POST", "/upload", picture(), &[("content-type", "multipart/form-data; boundary=x")], 400),
        ("PUT", "/upload/a//b.jpg", picture(), &[], 400),
        ("PUT", "/upload/a%0d%0ax:y.jpg", picture(), &[], 400),
        ("PUT", "/upload/%2e%2e%2fb.jpg", picture(), &[], 400),
        ("PUT", "/upload/.resized/b.jpg", picture(), &[], 400),
        ("PUT", "/upload/b.jpg", picture(), &[("if-match", "\"a\", \"b\"")], 400),
        ("PUT", "/upload", picture(), &[], 405),
        ("DELETE", "/upload/b.jpg", vec![], &[], 405),
        ("PUT", "/b.jpg", picture(), &[], 405),
    ];
    for (method, path, body, headers, status) in table {
        let response = send(&stage, method, path, body, headers).await;
        assert_eq!(response.status().as_u16(), status, "{method} {path} {headers:?}");
        assert_eq!(header(&response, "content-type"), "application/problem+json");
        assert!(response.json::<Value>().await.unwrap()["detail"].as_str().is_some_and(|detail| detail.len() > 10));
    }
    assert!(bucket.keys("").is_empty(), "{:?}", bucket.keys(""));
}

#[tokio::test(flavor = "multi_thread")]
async fn incomplete_body_stores_nothing() {
    use tokio::io::AsyncWriteExt;
    let bucket = Bucket::start().await;
    let stage = Stage::start(uploading(&bucket)).await;
    let mut stream = tokio::net::TcpStream::connect(stage.address).await.unwrap();
    let head = format!(
        "PUT /upload/a.jpg HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 9000\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), &jpeg(16, 16)].concat()).await.unwrap();
    drop(stream);
    assert!(stage.stop().await);
    assert!(bucket.keys("").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_tokens_are_rate_limited_for_each_client() {
    let bucket = Bucket::start().await;
    let mut config = uploading(&bucket);
    config.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let stage = Stage::start(config).await;
    let (mut unauthorized, mut limited) = (0, 0);
    for n in 0..10_000 {
        let request = stage.request("POST", "/upload").bearer_auth(format!("forged-{n}"));
        match request.body("x").send().await.unwrap().status().as_u16() {
            401 => unauthorized += 1,
            429 => limited += 1,
            other => panic!("{other}"),
        }
    }
    assert!(unauthorized <= 2 * 60 && unauthorized + limited == 10_000, "{unauthorized} {limited}");
    assert_eq!(send(&stage, "POST", "/upload", jpeg(16, 16), &[]).await.status(), StatusCode::CREATED);
    let other = stage.request("POST", "/upload").bearer_auth("forged").header("x-forwarded-for", "192.0.2.7");
    assert_eq!(
        other.send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED,
        "the limit applies to each client separately"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn token_is_limited_to_its_prefix_and_size() {
    let bucket = Bucket::start().await;
    let mut config = uploading(&bucket);
    config.upload.token = "".into();
    let hash = ring::digest::digest(&ring::digest::SHA256, TOKEN.as_bytes());
    config.upload.tokens = vec![UploadToken {
        name: "cms".into(),
        sha256: hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect(),
        prefix: "cms/".into(),
        bytes: Some(bytesize::ByteSize::kib(4)),
    }];
    let stage = Stage::start(config).await;
    let status = async |method, path, body| send(&stage, method, path, body, &[]).await.status().as_u16();
    assert_eq!(status("PUT", "/upload/cms/a.jpg", jpeg(16, 16)).await, 201);
    assert_eq!(status("PUT", "/upload/a.jpg", jpeg(16, 16)).await, 403);
    assert_eq!(status("PUT", "/upload/cms/b.jpg", vec![0; 5000]).await, 413);
    assert_eq!(status("POST", "/upload", jpeg(16, 16)).await, 201);
    assert!(bucket.keys("").iter().all(|key| key.starts_with("originals/cms/")));
}

#[tokio::test(flavor = "multi_thread")]
async fn content_addressed_upload_is_stored_once() {
    let (bucket, receiver) = (Bucket::start().await, Receiver::start().await);
    let mut config = notifying(&bucket, &receiver);
    config.upload.key_template = "{sha256}.{ext}".into();
    let stage = Stage::start(config).await;
    let mut ids = Vec::new();
    for status in [201, 200] {
        let response = send(&stage, "POST", "/upload", jpeg(16, 16), &[]).await;
        assert_eq!(response.status().as_u16(), status);
        ids.push(response.json::<Value>().await.unwrap()["id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
    assert_eq!((bucket.keys("").len(), bucket.stored(&bucket.keys("")[0])), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn existing_key_is_replaced_only_if_config_allows_it() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(uploading(&bucket)).await;
    let put = async |stage: &Stage, side, headers: &[(&str, &str)]| {
        send(stage, "PUT", "/upload/a.jpg", jpeg(side, side), headers).await
    };
    let first = put(&stage, 16, &[("if-none-match", "*")]).await;
    assert_eq!(first.status().as_u16(), 201);
    let etag = header(&first, "etag").to_owned();
    assert_eq!(put(&stage, 16, &[]).await.status().as_u16(), 200, "same bytes again");
    assert_eq!(put(&stage, 32, &[]).await.status().as_u16(), 409);
    assert_eq!(put(&stage, 32, &[("if-none-match", "*")]).await.status().as_u16(), 412);
    assert_eq!(put(&stage, 32, &[("if-match", &etag)]).await.status().as_u16(), 409);
    let mut config = uploading(&bucket);
    config.upload.overwrite = Overwrite::Always;
    let stage = Stage::start(config).await;
    assert_eq!(put(&stage, 32, &[("if-match", "\"other\"")]).await.status().as_u16(), 412);
    assert_eq!(stage.get("/a_8x8.jpg").await.status(), StatusCode::OK);
    until("the variant is stored", || bucket.keys("variants/a.jpg/").len() == 1).await;
    assert_eq!(put(&stage, 32, &[("if-match", &etag)]).await.status().as_u16(), 201);
    assert!(bucket.keys("variants/a.jpg/").is_empty(), "variants are purged");
    assert_eq!(put(&stage, 24, &[]).await.status().as_u16(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn form_may_have_its_file_in_any_position() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(uploading(&bucket)).await;
    let picture = jpeg(16, 16);
    let field = "--x\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nA cat\r\n";
    let head =
        "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"../../c.php\"\r\nContent-Type: text/php\r\n\r\n";
    let file = [head.as_bytes(), &picture, b"\r\n"].concat();
    let form = |parts: &[&[u8]]| [parts.concat().as_slice(), b"--x--\r\n"].concat();
    let kind = [("content-type", "multipart/form-data; boundary=x")];
    for body in [form(&[field.as_bytes(), &file]), form(&[&file, field.as_bytes()]), form(&[&file])] {
        let response = send(&stage, "POST", "/upload", body, &kind).await;
        assert_eq!(response.status(), StatusCode::CREATED);
        let key = response.json::<Value>().await.unwrap()["key"].as_str().unwrap().to_owned();
        assert!(key.ends_with(".jpg"), "{key}");
        assert_eq!(&bucket.object(&format!("originals/{key}")).unwrap().bytes[..], &picture[..]);
    }
    for body in [form(&[&file, &file]), form(&[field.as_bytes()]), file.clone()] {
        assert_eq!(send(&stage, "POST", "/upload", body, &kind).await.status(), StatusCode::BAD_REQUEST);
    }
    assert_eq!(bucket.keys("").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn configured_form_fields_are_stored_and_cannot_inject_headers() {
    let (bucket, receiver) = (Bucket::start().await, Receiver::start().await);
    let mut config = notifying(&bucket, &receiver);
    config.upload.fields = vec!["title".into(), "alt".into()];
    let stage = Stage::start(config).await;
    let field = |name: &str, value: &str| {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").into_bytes()
    };
    let head = b"--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.jpg\"\r\n\r\n";
    let file = [&head[..], &jpeg(16, 16), b"\r\n"].concat();
    let form = |parts: &[&[u8]]| [parts.concat().as_slice(), b"--x--\r\n"].concat();
    let kind = [("content-type", "multipart/form-data; boundary=x")];
    let title = "A cat\r\nX-Amz-Acl: public-read\r\n\r\n<script> é";
    let body = form(&[&field("title", title), &file, &field("alt", "Tom"), &field("token", "hush")]);
    let response = send(&stage, "POST", "/upload", body, &kind).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["fields"], serde_json::json!({ "title": title, "alt": "Tom" }), "only configured fields");
    assert_eq!(receiver.events()[0]["data"]["fields"], answer["fields"]);
    let stored = bucket.object(&format!("originals/{}", answer["key"].as_str().unwrap())).unwrap();
    let encoded = "A%20cat%0D%0AX-Amz-Acl%3A%20public-read%0D%0A%0D%0A%3Cscript%3E%20%C3%A9";
    assert_eq!(
        (&stored.metadata["resized-field-title"][..], &stored.metadata["resized-field-alt"][..]),
        (encoded, "Tom")
    );
    assert_eq!(stored.metadata.len(), 4, "{:?}", stored.metadata);
    for wrong in [
        form(&[&field("title", "a"), &field("title", "b"), &file]),
        form(&[&field("title", &"é".repeat(300)), &file]),
        form(&[&file, &field("title", &"a".repeat(1600))]),
        form(&[b"--x\r\nContent-Disposition: form-data; name=\"alt\"\r\n\r\n\xFF\r\n", &file]),
    ] {
        assert_eq!(send(&stage, "POST", "/upload", wrong, &kind).await.status(), StatusCode::BAD_REQUEST);
    }
    assert_eq!(bucket.keys("originals/").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn cors_headers_are_sent_to_allowed_origins_only() {
    let bucket = Bucket::start().await;
    let mut config = uploading(&bucket);
    config.upload.allow_origins = vec!["https://admin.example.com".into()];
    let stage = Stage::start(config).await;
    for (origin, allowed) in [("https://admin.example.com", "https://admin.example.com"), ("https://evil.example", "")]
    {
        let response = stage.request("OPTIONS", "/upload").header("origin", origin).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert_eq!(header(&response, "access-control-allow-origin"), allowed);
    }
}
