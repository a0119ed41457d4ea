//! Presigned uploads and their completion, on the S3 server in this process and on the server that `TEST_S3_ENDPOINT` names.

use std::collections::BTreeSet;

use reqwest::{Client, Response, StatusCode};
use resized::config::Config;
use serde_json::{Value, json};

use crate::support::bucket::{Bucket, Fault, Operation};
use crate::support::node::{Node, Settings, TOKEN, notifying, on_bucket, on_real_bucket, uploading};
use crate::support::pictures::jpeg;
use crate::support::receiver::Receiver;
use crate::support::stage::{Stage, header, settings, until};

async fn start(settings: Settings) -> Node {
    tokio::task::spawn_blocking(move || Node::start(&settings)).await.unwrap()
}

async fn sign(node: &Node, request: &Value) -> Response {
    let url = format!("{}/upload/sign", node.url);
    Client::new().post(url).bearer_auth(TOKEN).json(request).send().await.unwrap()
}

/// Requests a signed URL and returns the response.
async fn signed(node: &Node, request: &Value) -> Value {
    let response = sign(node, request).await;
    assert_eq!(response.status(), StatusCode::OK);
    response.json().await.unwrap()
}

async fn put(signed: &Value, content_type: &str, body: Vec<u8>) -> StatusCode {
    let request = Client::new().put(signed["url"].as_str().unwrap()).header("content-type", content_type);
    request.body(body).send().await.unwrap().status()
}

async fn complete(node: &Node, signed: &Value) -> (StatusCode, Value) {
    let url = signed["complete"].as_str().unwrap().replace("http://images.test", &node.url);
    let response = Client::new().post(url).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

fn sign_request(key: &str, bytes: &[u8]) -> Value {
    json!({ "key": key, "content_type": "image/jpeg", "bytes": bytes.len() })
}

#[tokio::test(flavor = "multi_thread")]
async fn presigned_upload_becomes_an_original_when_completed() {
    let (bucket, receiver) = (Bucket::start().await, Receiver::start().await);
    check_presigned_upload([on_bucket(&bucket), uploading(), notifying(&receiver)].concat(), &receiver).await;
    assert_eq!(bucket.keys("").iter().filter(|key| key.contains(".resized")).count(), 0, "{:?}", bucket.keys(""));
    if let Some(real) = on_real_bucket("presigned") {
        let receiver = Receiver::start().await;
        check_presigned_upload([real, uploading(), notifying(&receiver)].concat(), &receiver).await;
    }
}

async fn check_presigned_upload(settings: Settings, receiver: &Receiver) {
    let node = start(settings).await;
    let picture = jpeg(160, 120);
    let request = sign_request("cats/Tom & Café.jpg", &picture);
    let signed = signed(&node, &request).await;
    assert_eq!((&signed["method"], &signed["headers"]["content-type"]), (&json!("PUT"), &json!("image/jpeg")));
    assert_eq!(complete(&node, &signed).await.0, StatusCode::NOT_FOUND, "nothing is uploaded yet");
    let mut longer = picture.clone();
    longer.push(0);
    assert_eq!(put(&signed, "image/jpeg", longer).await, StatusCode::FORBIDDEN, "the length is signed");
    assert_eq!(put(&signed, "text/html", picture.clone()).await, StatusCode::FORBIDDEN, "the type is signed");
    assert_eq!(put(&signed, "image/jpeg", picture.clone()).await, StatusCode::OK);
    let original = || Client::new().get(format!("{}/cats/Tom%20%26%20Caf%C3%A9.jpg", node.url)).send();
    assert_eq!(original().await.unwrap().status(), StatusCode::NOT_FOUND, "an unchecked file is not served");
    let (status, answer) = complete(&node, &signed).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    assert_eq!((&answer["width"], &answer["notified"]), (&json!(160), &json!(true)));
    assert_eq!(original().await.unwrap().bytes().await.unwrap(), picture, "the cached 404 is invalidated");
    let (ids, keys) = receiver.ids_and_keys();
    assert_eq!(ids, BTreeSet::from([answer["id"].as_str().unwrap().to_owned()]));
    assert_eq!(keys, BTreeSet::from(["cats/Tom & Café.jpg".to_owned()]));
    assert_eq!(complete(&node, &signed).await.0, StatusCode::NOT_FOUND, "completed only once");
    let ticket = signed["complete"].as_str().unwrap().split_once("ticket=").unwrap().1;
    until("completion is logged", || node.log().contains("/upload/complete")).await;
    assert!(!node.log().contains(ticket), "the grant is not logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn file_that_differs_from_its_grant_is_rejected_and_deleted() {
    let bucket = Bucket::start().await;
    let mut settings = [on_bucket(&bucket), uploading()].concat();
    settings.push(("RESIZED_LIMITS__INPUT_PIXELS", "1000000".into()));
    let node = start(settings).await;
    let mut bomb = b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR\0\x0F\x42\x40\0\x0F\x42\x40\x08\x06\0\0\0".to_vec();
    bomb.extend([0; 64]);
    bucket.put_object("originals/taken.jpg", jpeg(8, 8), "image/jpeg");
    let sha256 = "0".repeat(64);
    let table = [
        (json!({ "content_type": "image/png" }), jpeg(16, 16), 415),
        (json!({ "content_type": "image/jpeg" }), b"<html><script>alert(1)</script>".to_vec(), 415),
        (json!({ "content_type": "image/png" }), bomb, 422),
        (json!({ "content_type": "image/jpeg" }), jpeg(16, 16)[..40].to_vec(), 422),
        (json!({ "content_type": "image/jpeg", "sha256": sha256 }), jpeg(16, 16), 400),
        (json!({ "content_type": "image/jpeg", "key": "taken.jpg" }), jpeg(16, 16), 409),
    ];
    for (mut request, body, expected) in table {
        request["bytes"] = body.len().into();
        let signed = signed(&node, &request).await;
        assert_eq!(put(&signed, request["content_type"].as_str().unwrap(), body).await, StatusCode::OK);
        assert_eq!(bucket.keys("originals/.resized-incoming/").len(), 1);
        let (status, problem) = complete(&node, &signed).await;
        assert_eq!(status.as_u16(), expected, "{request} {problem}");
        assert!(problem["detail"].as_str().unwrap().len() > 10, "{problem}");
        assert_eq!(bucket.keys("originals/"), ["originals/taken.jpg"], "{request}");
    }
    // The completion checks the length itself, in case the bucket does not enforce the signature.
    let signed = signed(&node, &sign_request("short.jpg", &jpeg(16, 16))).await;
    let incoming = signed["url"].as_str().unwrap().split_once("/pictures/").unwrap().1.split_once('?').unwrap().0;
    bucket.put_object(incoming, jpeg(8, 8)[..100].to_vec(), "image/jpeg");
    assert_eq!(complete(&node, &signed).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(bucket.keys("originals/"), ["originals/taken.jpg"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_sign_requests_are_rejected() {
    let bucket = Bucket::start().await;
    let node = start([on_bucket(&bucket), uploading()].concat()).await;
    let table = [
        (json!({ "content_type": "image/svg+xml", "bytes": 10 }), 415),
        (json!({ "content_type": "image/jpeg", "bytes": 65 << 20 }), 413),
        (json!({ "content_type": "image/jpeg", "bytes": 0 }), 400),
        (json!({ "content_type": "image/jpeg", "bytes": 10, "sha256": "abc" }), 400),
        (json!({ "content_type": "image/jpeg", "bytes": 10, "key": "../a.jpg" }), 400),
        (json!({ "content_type": "image/jpeg", "bytes": 10, "key": "a/.resized-incoming/b" }), 400),
        (json!({ "content_type": "image/jpeg", "bytes": 10, "name": "a" }), 400),
        (json!({ "content_type": "image/jpeg" }), 400),
    ];
    for (request, status) in table {
        assert_eq!(sign(&node, &request).await.status().as_u16(), status, "{request}");
    }
    let url = format!("{}/upload/sign", node.url);
    assert_eq!(Client::new().post(url).json(&json!({})).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let mut counts = (0, 0);
    for n in 0..100 {
        let url = format!("{}/upload/complete?ticket=bm9uZQ.{n}", node.url);
        match Client::new().post(url).send().await.unwrap().status().as_u16() {
            403 => counts.0 += 1,
            429 => counts.1 += 1,
            other => panic!("{other}"),
        }
    }
    assert!(counts.0 < 60 && counts.1 > 0, "forged grants are rate limited like forged tokens: {counts:?}");
    assert!(bucket.keys("").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn completion_can_be_repeated_after_a_store_error_and_causes_one_event() {
    let (bucket, receiver) = (Bucket::start().await, Receiver::start().await);
    let mut settings = [on_bucket(&bucket), uploading(), notifying(&receiver)].concat();
    settings.push(("RESIZED_S3__ATTEMPTS", "1".into()));
    let node = start(settings).await;
    let picture = jpeg(16, 16);
    let signed = signed(&node, &json!({ "content_type": "image/jpeg", "bytes": picture.len() })).await;
    assert_eq!(put(&signed, "image/jpeg", picture).await, StatusCode::OK);
    bucket.fail(Operation::Put, "variants/.resized-outbox", Fault::Status(500));
    assert_eq!(complete(&node, &signed).await.0, StatusCode::BAD_GATEWAY);
    bucket.heal();
    let (status, answer) = complete(&node, &signed).await;
    assert_eq!(status, StatusCode::OK, "the original was stored already: {answer}");
    assert_eq!(receiver.ids_and_keys().0, BTreeSet::from([answer["id"].as_str().unwrap().to_owned()]));
    assert_eq!(bucket.keys("originals/").len(), 1, "{:?}", bucket.keys(""));
}

#[tokio::test(flavor = "multi_thread")]
async fn error_names_the_setting_that_signed_urls_require() {
    let bucket = Bucket::start().await;
    let folder = tempfile::tempdir().unwrap();
    let ask = async |change: &dyn Fn(&mut Config)| {
        let mut config = settings(&bucket);
        config.upload.enabled = true;
        config.upload.token = TOKEN.into();
        config.upload.base_url = "http://images.test".into();
        change(&mut config);
        let stage = Stage::start(config).await;
        let request = json!({ "content_type": "image/jpeg", "bytes": 10 });
        let response = stage.request("POST", "/upload/sign").bearer_auth(TOKEN).json(&request).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_IMPLEMENTED);
        assert_eq!(header(&response, "content-type"), "application/problem+json");
        response.json::<Value>().await.unwrap()["detail"].as_str().unwrap().to_owned()
    };
    let on_file =
        ask(&|config| config.originals.store = format!("file:{}", folder.path().display()).parse().unwrap()).await;
    assert!(on_file.contains("originals.store"), "{on_file}");
    let anonymous = ask(&|_| {}).await;
    assert!(anonymous.contains("s3.anonymous"), "{anonymous}");
    let without_secret = ask(&|config| config.s3.anonymous = false).await;
    assert!(without_secret.contains("RESIZED_UPLOAD__SECRET"), "{without_secret}");
}

#[tokio::test(flavor = "multi_thread")]
async fn key_that_would_be_hidden_is_refused_when_it_is_signed_and_when_it_is_completed() {
    let bucket = Bucket::start().await;
    let node = start([on_bucket(&bucket), uploading()].concat()).await;
    let picture = jpeg(16, 16);
    let signed = signed(&node, &sign_request("cat_8x8.jpg", &picture)).await;
    assert_eq!(put(&signed, "image/jpeg", picture.clone()).await, StatusCode::OK);
    bucket.put_object("originals/cat.jpg", jpeg(8, 8), "image/jpeg");
    assert_eq!(sign(&node, &sign_request("cat_8x8.jpg", &picture)).await.status(), StatusCode::CONFLICT);
    let (status, problem) = complete(&node, &signed).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(problem["detail"].as_str().unwrap().contains("\"cat.jpg\""), "{problem}");
    assert_eq!(bucket.keys("originals/"), ["originals/cat.jpg"], "the file is deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_at_the_same_time_write_once_and_send_one_event() {
    let (bucket, receiver) = (Bucket::start().await, Receiver::start().await);
    let mut settings = [on_bucket(&bucket), uploading(), notifying(&receiver)].concat();
    settings.push(("RESIZED_UPLOAD__OVERWRITE", "always".into()));
    let nodes = [start(settings.clone()).await, start(settings).await];
    for n in 0..5 {
        // A bucket cannot tell versions with equal bytes apart.
        let picture = jpeg(16 + u32::try_from(n).unwrap(), 16);
        let signed = signed(&nodes[0], &sign_request("cat.jpg", &picture)).await;
        assert_eq!(put(&signed, "image/jpeg", picture.clone()).await, StatusCode::OK);
        let (one, other) = tokio::join!(complete(&nodes[0], &signed), complete(&nodes[1], &signed));
        let statuses = [one.0, other.0].map(|status| status.as_u16());
        assert!(statuses.contains(&201) || statuses.contains(&200), "{statuses:?}");
        assert!(statuses.iter().all(|status| [200, 201, 404].contains(status)), "{statuses:?}");
        assert_eq!((bucket.stored("originals/cat.jpg"), receiver.ids_and_keys().0.len()), (n + 1, n + 1));
    }
    assert!(receiver.bodies().iter().all(|bodies| *bodies == 1), "{:?}", receiver.bodies());
}
