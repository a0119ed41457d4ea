//! Bodies that break off: a reader gets all bytes of one version of the object, or an error.

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use resized::config;
use resized::origin::{ByteRange, Store, StoreError};
use resized::variant::ObjectKey;

use crate::support::bucket::{Bucket, Fault, Operation};
use crate::support::pictures::jpeg;
use crate::support::s3_script::{Response, Script, head, object, open, partial_head, refusal};
use crate::support::stage::{Stage, header, settings, until};

fn key() -> ObjectKey {
    ObjectKey::new("c.jpg").unwrap()
}

async fn read(store: &Store) -> Result<Bytes, StoreError> {
    let (_, bytes) = store.get_bounded(&key(), 1 << 20).await?.expect("the object exists");
    Ok(bytes)
}

/// The first `sent` bytes of "0123456789", then the end of the connection.
fn cut(sent: usize) -> Response {
    Response::Cut(format!("{}\r\n{}", head(10), &"0123456789"[..sent]).into())
}

fn part(body: &str, range: &str) -> Response {
    Response::Bytes(format!("{}\r\n{body}", partial_head(body.len(), range)).into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_is_continued_where_it_ended() {
    let second = Response::Cut(format!("{}\r\n45", partial_head(6, "4-9/10")).into());
    let script = Script::start([cut(4), second, part("6789", "6-9/10")]).await;
    assert_eq!(read(&script.open(3).await).await.unwrap(), "0123456789");
    let requests = script.requests();
    assert_eq!(requests.len(), 3);
    assert!(!requests[0].1.contains("range:") && !requests[0].1.contains("if-match:"), "{}", requests[0].1);
    for (request, range) in [(&requests[1].1, "bytes=4-"), (&requests[2].1, "bytes=6-")] {
        let lines = format!("\r\nrange: {range}\r\nif-match: \"e\"\r\n");
        assert!(request.contains(&lines), "{lines}: {request}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_continued_up_to_its_end() {
    let first = Response::Cut(format!("{}\r\n23", partial_head(6, "2-7/10")).into());
    let script = Script::start([first, part("4567", "4-7/10")]).await;
    let range = Some(ByteRange::FromTo { first: 2, last: 7 });
    let object = script.open(2).await.get(&key(), range).await.unwrap().unwrap();
    assert_eq!(object.body.collect().await.unwrap(), "234567");
    assert!(script.requests()[1].1.contains("\r\nrange: bytes=4-7\r\n"), "{:?}", script.requests());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stalls_is_continued() {
    let stalled = Response::Stall(format!("{}\r\n0123", head(10)).into());
    let script = Script::start([stalled, part("456789", "4-9/10")]).await;
    let settings = config::S3 { operation_timeout: Duration::from_secs(4), ..script.settings(2) };
    assert_eq!(read(&open(&settings).await).await.unwrap(), "0123456789");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ignores_ranges_sends_the_whole_object_again() {
    let script = Script::start([cut(4), object("0123456789")]).await;
    assert_eq!(read(&script.open(2).await).await.unwrap(), "0123456789");
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_without_progress_are_limited() {
    let script = Script::start([cut(4), cut(0), cut(0), cut(0)]).await;
    let error = read(&script.open(3).await).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. } | StoreError::Truncated { .. }), "{error:?}");
    assert_eq!(script.requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_replaced_while_it_is_read_is_read_again_from_its_start() {
    let changed = || refusal("412 Precondition Failed", "", "PreconditionFailed");
    let script = Script::start([cut(4), changed(), object("other")]).await;
    assert_eq!(read(&script.open(2).await).await.unwrap(), "other");
    let script = Script::start([cut(4), changed(), cut(4), changed(), cut(4), changed(), object("other")]).await;
    let error = read(&script.open(2).await).await.unwrap_err();
    assert!(matches!(error, StoreError::Replaced), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_two_versions_are_never_joined() {
    let other = |range: &str| {
        let head = partial_head(6, range).replace("\"e\"", "\"f\"");
        Response::Bytes(format!("{head}\r\nabcdef").into())
    };
    let same = |range: &str, body: &str| part(body, range);
    let whole = Response::Bytes(format!("{}\r\nabcdefghij", head(10).replace("\"e\"", "\"f\"")).into());
    for (name, second) in [
        ("another ETag", other("4-9/10")),
        ("another length", same("4-9/11", "abcdef")),
        ("another range", same("3-8/10", "abcdef")),
        ("the whole of another object", whole),
        ("deleted", refusal("404 Not Found", "", "NoSuchKey")),
        ("shorter than the range", refusal("416 Range Not Satisfiable", "", "InvalidRange")),
    ] {
        let script = Script::start([cut(4), second]).await;
        let mut body = script.open(2).await.get(&key(), None).await.unwrap().unwrap().body;
        let mut received = Vec::new();
        let error = loop {
            match body.next().await.unwrap() {
                Ok(chunk) => received.extend_from_slice(&chunk),
                Err(error) => break error,
            }
        };
        assert_eq!(received, b"0123", "{name}");
        assert!(matches!(error, StoreError::Replaced | StoreError::Other { .. }), "{name}: {error:?}");
    }
}

/// A server whose originals store has a picture of at least 500 KB, with three attempts per request.
async fn stage_with_a_large_picture() -> (Bucket, Stage, Vec<u8>) {
    let bucket = Bucket::start().await;
    let picture = jpeg(3000, 2000);
    let padded = [picture.as_slice(), &[0; 500_000]].concat();
    bucket.put_object("originals/cat.jpg", padded.clone(), "image/jpeg");
    let mut config = settings(&bucket);
    config.s3.attempts = NonZeroU32::new(3).unwrap();
    let stage = Stage::start(config).await;
    (bucket, stage, padded)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_receives_a_streamed_original_without_interruption() {
    let (bucket, stage, picture) = stage_with_a_large_picture().await;
    // The header of the picture is read first.
    assert_eq!(stage.request("HEAD", "/cat.jpg").send().await.unwrap().status(), 200);
    bucket.fail_times(2, Operation::Get, "originals/", Fault::Truncate);
    let response = stage.get("/cat.jpg").await;
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.unwrap() == picture);
    bucket.fail_times(2, Operation::Get, "originals/", Fault::Truncate);
    let response = stage.request("GET", "/cat.jpg").header("range", "bytes=1000-499999").send().await.unwrap();
    assert_eq!((response.status().as_u16(), header(&response, "content-length")), (206, "499000"));
    assert!(response.bytes().await.unwrap() == picture[1000..500_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_of_a_flight_is_served_if_the_original_breaks_off() {
    let (bucket, stage, _) = stage_with_a_large_picture().await;
    bucket.fail_times(2, Operation::Get, "originals/", Fault::Truncate);
    let responses = stage.herd(20, "/cat_30x20.jpg").await;
    assert!(responses.iter().all(|(status, _, body)| *status == 200 && *body == responses[0].2));
    assert_eq!(bucket.count(Operation::Get, "originals/"), 3);
    until("the variant is stored", || !bucket.keys("variants/").is_empty()).await;
    assert!(stage.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_variant_that_breaks_off_is_continued() {
    let (bucket, stage, _) = stage_with_a_large_picture().await;
    let made = stage.get("/cat_300x200.jpg").await.bytes().await.unwrap();
    assert!(stage.stop().await);
    let mut config = settings(&bucket);
    config.s3.attempts = NonZeroU32::new(3).unwrap();
    let stage = Stage::start(config).await;
    bucket.fail_times(2, Operation::Get, "variants/", Fault::Truncate);
    let response = stage.get("/cat_300x200.jpg").await;
    assert_eq!(header(&response, "cache-status"), "resized; fwd=miss; detail=stored");
    assert_eq!(response.bytes().await.unwrap(), made);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_original_in_a_content_coding_is_a_422_that_names_it() {
    let script = Script::answering(|request| {
        let is_original = request.contains("/originals/");
        let body = "\u{1f}compressed";
        match request.starts_with("head") || !is_original {
            true => refusal("404 Not Found", "", "NoSuchKey"),
            false => Response::Bytes(format!("{}content-encoding: gzip\r\n\r\n{body}", head(body.len())).into()),
        }
    })
    .await;
    let mut config = settings(&Bucket::start().await);
    config.s3 = script.settings(1);
    let stage = Stage::start(config).await;
    for path in ["/cat.jpg", "/cat_30x20.jpg"] {
        let response = stage.get(path).await;
        assert_eq!(response.status(), 422, "{path}");
        let text = response.text().await.unwrap();
        assert!(text.contains("Content-Encoding: gzip") && text.contains("uncompressed"), "{path}: {text}");
    }
}
