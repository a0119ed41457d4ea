//! The conformance suite that every kind of store must pass, followed by tests of single backends.
//!
//! If `TEST_S3_ENDPOINT` and `TEST_S3_BUCKET` are set, the suite also runs against that server, with the credentials of the AWS
//! environment.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use resized::config;
use resized::observability::metrics;
use resized::origin::probe::ConditionalWrites;
use resized::origin::{
    Attributes, ByteRange, DeleteOutcome, Precondition, PutOutcome, Spool, Store, StoreError, UploadBuffers,
};
use resized::support::deadline::Deadline;
use resized::support::memory::MemoryBudget;
use resized::variant::ObjectKey;
use tempfile::TempDir;

use crate::support::bucket::{Bucket, Fault, Operation};
use crate::support::stage::PATIENCE;

/// Settings for the S3 server in this process.
fn s3(bucket: &Bucket) -> config::S3 {
    config::S3 {
        endpoint: bucket.url(),
        region: "us-east-1".into(),
        path_style: true,
        anonymous: true,
        attempts: std::num::NonZeroU32::MIN,
        ..Default::default()
    }
}

async fn open_file(folder: &TempDir) -> Store {
    Store::open(
        &format!("file:{}", folder.path().display()).parse().unwrap(),
        "",
        &config::S3::default(),
        &metrics::S3Metrics::default(),
    )
    .await
    .unwrap()
}

async fn open_s3(bucket: &Bucket) -> Store {
    Store::open(
        &format!("s3://{}/prefix", bucket.name()).parse().unwrap(),
        "",
        &s3(bucket),
        &metrics::S3Metrics::default(),
    )
    .await
    .unwrap()
}

/// The S3 server of `TEST_S3_ENDPOINT`, below a prefix that no other test uses.
async fn open_real() -> Option<Store> {
    static TESTS: AtomicUsize = AtomicUsize::new(0);
    let endpoint = std::env::var("TEST_S3_ENDPOINT").ok()?;
    let bucket = std::env::var("TEST_S3_BUCKET").unwrap();
    let (process, test) = (std::process::id(), TESTS.fetch_add(1, Ordering::Relaxed));
    let settings = config::S3 { endpoint, region: "us-east-1".into(), path_style: true, ..Default::default() };
    Some(
        Store::open(
            &format!("s3://{bucket}/suite-{process}-{test}").parse().unwrap(),
            "",
            &settings,
            &metrics::S3Metrics::default(),
        )
        .await
        .unwrap(),
    )
}

/// Declares a test that runs the function of the same name in `behavior` against every kind of store.
macro_rules! every_store {
    ($($name:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            let folder = tempfile::tempdir().unwrap();
            behavior::$name(open_file(&folder).await).await;
            behavior::$name(open_s3(&Bucket::start().await).await).await;
            if let Some(real) = open_real().await {
                behavior::$name(real).await;
            }
        }
    )*};
}

every_store![
    put_then_get_returns_bytes_and_attributes,
    missing_objects_are_none,
    a_range_returns_its_bytes_and_the_length_of_the_object,
    a_range_outside_the_object_is_an_error,
    one_of_fifty_concurrent_conditional_puts_is_stored,
    if_match_replaces_only_the_object_with_that_etag,
    overwriting_changes_bytes_and_etag,
    get_bounded_refuses_larger_objects,
    keys_with_special_characters_are_distinct,
    large_objects_are_read_completely,
    spooled_uploads_are_stored_whole_or_not_at_all,
    deleting_is_idempotent,
    if_match_deletes_only_the_object_with_that_etag,
    listings_are_ordered_pages_below_a_prefix,
    a_probe_finds_all_capabilities_and_leaves_nothing_behind,
];

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

fn attributes() -> Attributes {
    Attributes {
        content_type: "image/webp".into(),
        cache_control: "public, max-age=60".into(),
        metadata: vec![("resized-original-etag".into(), "\"abc\"".into())],
    }
}

async fn put(store: &Store, name: &str, bytes: &'static [u8], precondition: Precondition) -> PutOutcome {
    store.put(&key(name), Bytes::from_static(bytes), &attributes(), precondition).await.unwrap()
}

async fn put_spooled(
    store: &Store,
    name: &str,
    spool: Spool,
    precondition: Precondition,
) -> Result<PutOutcome, StoreError> {
    let memory = Arc::new(MemoryBudget::new(64 << 20, 0, Duration::ZERO));
    let buffers = UploadBuffers::new(memory, &config::Upload::default());
    let limits = (&buffers, &Deadline::new(PATIENCE));
    store.put_spooled(&key(name), spool, &attributes(), precondition, limits).await
}

async fn whole(store: &Store, name: &str) -> Option<Bytes> {
    store.get_bounded(&key(name), 1 << 30).await.unwrap().map(|(_, bytes)| bytes)
}

mod behavior {
    use super::*;

    pub async fn put_then_get_returns_bytes_and_attributes(store: Store) {
        let PutOutcome::Stored(etag) = put(&store, "a/b.webp", b"hello", Precondition::Absent).await else {
            panic!("the precondition failed")
        };
        let (meta, bytes) = store.get_bounded(&key("a/b.webp"), 5).await.unwrap().unwrap();
        assert_eq!((&bytes[..], meta.bytes), (&b"hello"[..], 5));
        assert_eq!(meta.content_type.as_deref(), Some("image/webp"));
        assert_eq!(meta.metadata, attributes().metadata);
        assert!(meta.etag.starts_with('"') && meta.etag.ends_with('"') && meta.etag.len() > 2, "{}", meta.etag);
        assert_eq!(meta.etag, etag);
        let age = meta.last_modified.elapsed().unwrap_or_default();
        assert!(age < Duration::from_secs(60), "{age:?}");
        let head = store.head(&key("a/b.webp")).await.unwrap().unwrap();
        assert_eq!((head.bytes, head.etag, head.content_type), (meta.bytes, meta.etag, meta.content_type));
        assert_eq!(head.metadata, meta.metadata);
    }

    pub async fn missing_objects_are_none(store: Store) {
        put(&store, "a/b.webp", b"hello", Precondition::None).await;
        for name in ["c.webp", "a/c.webp", "a/b.webp/c.webp", "a"] {
            assert!(store.head(&key(name)).await.unwrap().is_none(), "{name}");
            assert!(store.get(&key(name), None).await.unwrap().is_none(), "{name}");
        }
    }

    pub async fn a_range_returns_its_bytes_and_the_length_of_the_object(store: Store) {
        put(&store, "a.webp", b"0123456789", Precondition::None).await;
        for (range, expected) in [
            (ByteRange::FromTo { first: 0, last: 0 }, &b"0"[..]),
            (ByteRange::FromTo { first: 2, last: 4 }, b"234"),
            (ByteRange::FromTo { first: 8, last: 99 }, b"89"),
            (ByteRange::From { first: 7 }, b"789"),
            (ByteRange::Suffix { bytes: 3 }, b"789"),
            (ByteRange::Suffix { bytes: 99 }, b"0123456789"),
        ] {
            let object = store.get(&key("a.webp"), Some(range)).await.unwrap().unwrap();
            assert_eq!(object.meta.bytes, 10, "{range:?}");
            assert_eq!(object.body.collect().await.unwrap(), expected, "{range:?}");
        }
    }

    pub async fn a_range_outside_the_object_is_an_error(store: Store) {
        put(&store, "a.webp", b"0123456789", Precondition::None).await;
        let error = store.get(&key("a.webp"), Some(ByteRange::From { first: 10 })).await.unwrap_err();
        // Some servers do not send the length of the object.
        assert!(matches!(error, StoreError::RangeNotSatisfiable { bytes: 10 | 0 }), "{error:?}");
    }

    pub async fn one_of_fifty_concurrent_conditional_puts_is_stored(store: Store) {
        let puts = (0..50_u8).map(|n| {
            let store = store.clone();
            async move { store.put(&key("a.webp"), vec![n; 1000].into(), &attributes(), Precondition::Absent).await }
        });
        let results = join_all(puts).await;
        let stored: Vec<_> = results.iter().filter(|put| matches!(put, Ok(PutOutcome::Stored(_)))).collect();
        assert_eq!(stored.len(), 1, "{results:?}");
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        let (meta, bytes) = store.get_bounded(&key("a.webp"), 1000).await.unwrap().unwrap();
        assert!(bytes.iter().all(|byte| *byte == bytes[0]) && bytes.len() == 1000);
        assert_eq!(meta.metadata, attributes().metadata, "attributes of the stored object");
    }

    pub async fn if_match_replaces_only_the_object_with_that_etag(store: Store) {
        let PutOutcome::Stored(first) = put(&store, "a.webp", b"one", Precondition::None).await else {
            panic!("the precondition failed")
        };
        let wrong = Precondition::Matches("\"wrong\"".into());
        assert_eq!(put(&store, "a.webp", b"no", wrong.clone()).await, PutOutcome::PreconditionFailed);
        assert_eq!(put(&store, "b.webp", b"no", wrong).await, PutOutcome::PreconditionFailed);
        assert_eq!(whole(&store, "a.webp").await.unwrap(), "one");
        assert!(matches!(put(&store, "a.webp", b"three", Precondition::Matches(first)).await, PutOutcome::Stored(_)));
        assert_eq!(whole(&store, "a.webp").await.unwrap(), "three");
    }

    pub async fn overwriting_changes_bytes_and_etag(store: Store) {
        let PutOutcome::Stored(first) = put(&store, "a.webp", b"one", Precondition::None).await else {
            panic!("the precondition failed")
        };
        let PutOutcome::Stored(second) = put(&store, "a.webp", b"three", Precondition::None).await else {
            panic!("the precondition failed")
        };
        assert_ne!(first, second);
        assert_eq!(whole(&store, "a.webp").await.unwrap(), "three");
        assert_eq!(store.head(&key("a.webp")).await.unwrap().unwrap().metadata, attributes().metadata);
    }

    pub async fn get_bounded_refuses_larger_objects(store: Store) {
        put(&store, "a.webp", b"0123456789", Precondition::None).await;
        let error = store.get_bounded(&key("a.webp"), 9).await.unwrap_err();
        assert!(matches!(error, StoreError::TooLarge { bytes: 10, bytes_max: 9 }), "{error:?}");
    }

    pub async fn keys_with_special_characters_are_distinct(store: Store) {
        let names = [
            "a b.webp",
            "a+b.webp",
            "a%20b.webp",
            "Ä/日本語 🐈.webp",
            "a?b#c&d=e.webp",
            "'\"<>.webp",
            "A B.webp",
            "~!$()*,:;=@[]^_`{|}.webp",
            "%/%2F/..%2e/c.webp",
        ];
        for name in names {
            let bytes = Bytes::from(name);
            store.put(&key(name), bytes, &attributes(), Precondition::Absent).await.unwrap();
        }
        for name in names {
            assert_eq!(whole(&store, name).await.unwrap(), name);
        }
    }

    pub async fn spooled_uploads_are_stored_whole_or_not_at_all(store: Store) {
        // One PUT, and a multipart upload of three parts.
        for (name, bytes) in [("small.webp", 10), ("large.webp", 20_000_000)] {
            let piece = Bytes::from((0..=250_u8).cycle().take(bytes).collect::<Vec<_>>());
            for expected in [true, false] {
                let mut spool = store.spool().await.unwrap();
                spool.write(&piece).unwrap();
                let put = put_spooled(&store, name, spool, Precondition::Absent).await.unwrap();
                assert_eq!(matches!(put, PutOutcome::Stored(_)), expected, "{name}");
            }
            let (meta, stored) = store.get_bounded(&key(name), 1 << 30).await.unwrap().unwrap();
            assert!(stored == piece, "{name}");
            assert_eq!(meta.metadata, attributes().metadata);
        }
    }

    pub async fn large_objects_are_read_completely(store: Store) {
        let bytes: Bytes = (0..1_000_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect::<Vec<_>>().into();
        store.put(&key("a.webp"), bytes.clone(), &attributes(), Precondition::None).await.unwrap();
        assert_eq!(whole(&store, "a.webp").await.unwrap(), bytes);
    }

    pub async fn deleting_is_idempotent(store: Store) {
        put(&store, "a/b.webp", b"one", Precondition::None).await;
        put(&store, "a/c.webp", b"two", Precondition::None).await;
        for _ in 0..2 {
            assert_eq!(store.delete(&key("a/b.webp"), None).await.unwrap(), DeleteOutcome::Deleted);
        }
        assert!(whole(&store, "a/b.webp").await.is_none());
        assert_eq!(whole(&store, "a/c.webp").await.unwrap(), "two");
        assert!(matches!(put(&store, "a/b.webp", b"new", Precondition::Absent).await, PutOutcome::Stored(_)));
    }

    pub async fn if_match_deletes_only_the_object_with_that_etag(store: Store) {
        let PutOutcome::Stored(first) = put(&store, "a.webp", b"one", Precondition::None).await else {
            panic!("the precondition failed")
        };
        let PutOutcome::Stored(second) = put(&store, "a.webp", b"three", Precondition::None).await else {
            panic!("the precondition failed")
        };
        assert_eq!(store.delete(&key("a.webp"), Some(&first)).await.unwrap(), DeleteOutcome::PreconditionFailed);
        assert_eq!(whole(&store, "a.webp").await.unwrap(), "three");
        assert_eq!(store.delete(&key("a.webp"), Some(&second)).await.unwrap(), DeleteOutcome::Deleted);
        assert!(whole(&store, "a.webp").await.is_none());
    }

    pub async fn listings_are_ordered_pages_below_a_prefix(store: Store) {
        let inside = ["cat.jpg/100x.jpg", "cat.jpg/20 x+.jpg", "cat.jpg/a/b.jpg", "cat.jpg/ä.jpg"];
        for name in inside.iter().chain(&["cat.jpg-2/1x.jpg", "cat/1x.jpg", "dog.jpg"]) {
            put(&store, name, b"12345", Precondition::None).await;
        }
        let (mut names, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = store.list("cat.jpg/", after.as_deref(), 3).await.unwrap();
            assert!(page.objects.len() <= 3, "{page:?}");
            for listed in &page.objects {
                let meta = store.head(&listed.key).await.unwrap().unwrap();
                assert_eq!((listed.bytes, &listed.etag), (meta.bytes, &meta.etag));
            }
            names.extend(page.objects.iter().map(|listed| listed.key.to_string()));
            pages += 1;
            let Some(next) = page.next else { break };
            after = Some(next);
        }
        assert_eq!((names, pages), (inside.map(String::from).to_vec(), 2));
        assert_eq!(store.list("", None, 1000).await.unwrap().objects.len(), 7);
        assert_eq!(store.list("bird", None, 1000).await.unwrap(), resized::origin::ListPage::default());
    }

    pub async fn a_probe_finds_all_capabilities_and_leaves_nothing_behind(store: Store) {
        let findings = store.probe_writing().await.unwrap();
        assert_eq!(findings.writing.unwrap().conditional_writes, ConditionalWrites::Honored);
        assert!(findings.advice().is_empty(), "{findings}");
        assert!(store.probe_reading().await.unwrap().advice().is_empty());
        for _ in 0..3 {
            assert_eq!(store.race(50).await.unwrap(), 1);
        }
        assert!(store.list("", None, 10).await.unwrap().objects.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_names_missing_capabilities_and_how_to_fix_them() {
    let bucket = Bucket::start().await;
    let store = open_s3(&bucket).await;
    bucket.ignore_conditions();
    bucket.fail(Operation::Head, "", Fault::Status(403));
    bucket.fail(Operation::List, "", Fault::Status(403));
    bucket.fail(Operation::Delete, "", Fault::Status(403));
    let findings = store.probe_writing().await.unwrap();
    assert_eq!(findings.writing.unwrap().conditional_writes, ConditionalWrites::Ignored);
    let advice = findings.advice().iter().map(|advice| advice.text).collect::<Vec<_>>().join("\n");
    for hint in ["s3:ListBucket", "purge", "ignores If-None-Match", "s3:DeleteObject"] {
        assert!(advice.contains(hint), "{hint}: {advice}");
    }
    bucket.heal();
    bucket.fail(Operation::Put, "", Fault::Status(503));
    assert!(matches!(store.probe_writing().await, Err(StoreError::Unavailable { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_circuit_breaker_stops_requests_until_the_store_recovers() {
    let bucket = Bucket::start().await;
    let (failures, pause) = (std::num::NonZeroU32::new(3).unwrap(), Duration::from_millis(300));
    let settings = config::S3 { circuit_breaker_failures: failures, circuit_breaker_pause: pause, ..s3(&bucket) };
    let store =
        Store::open(&format!("s3://{}", bucket.name()).parse().unwrap(), "", &settings, &metrics::S3Metrics::default())
            .await
            .unwrap();
    bucket.fail(Operation::Head, "", Fault::Status(503));
    for _ in 0..10 {
        let head = store.head(&key("a.webp")).await;
        assert!(matches!(head, Err(StoreError::Unavailable { .. })), "{head:?}");
    }
    assert!(bucket.count(Operation::Head, "") < 10, "the circuit breaker stops requests");
    bucket.heal();
    let start = std::time::Instant::now();
    while store.head(&key("a.webp")).await.is_err() {
        assert!(start.elapsed() < crate::support::stage::PATIENCE, "the circuit breaker never closes");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn copied_files_are_objects_and_other_entries_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::NamedTempFile::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let store = open_file(&folder).await;
    std::fs::create_dir(at("folder")).unwrap();
    std::fs::write(at("folder/cat.jpg"), "cat").unwrap();
    std::os::unix::fs::symlink(at("folder/cat.jpg"), at("inside.jpg")).unwrap();
    std::os::unix::fs::symlink(outside.path(), at("outside.jpg")).unwrap();
    std::os::unix::fs::symlink("/", at("root")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(at("pipe.jpg")).status().unwrap();
    assert!(pipe.success());
    put(&store, "own.jpg", b"own", Precondition::None).await;

    assert_eq!(whole(&store, "folder/cat.jpg").await.unwrap(), "cat");
    assert_eq!(whole(&store, "inside.jpg").await.unwrap(), "cat");
    let long = "a".repeat(300);
    let own = walk(&at(".resized")).pop().unwrap();
    let own = own.strip_prefix(folder.path()).unwrap().to_str().unwrap();
    for name in ["folder", "outside.jpg", "root/etc/hostname", "pipe.jpg", &long, own] {
        assert!(whole(&store, name).await.is_none(), "{name}");
    }
    let through = store.put(&key("root/tmp/x.jpg"), Bytes::new(), &attributes(), Precondition::None).await;
    assert!(matches!(through, Err(StoreError::Forbidden { .. })), "{through:?}");
    let into_own = store.put(&key(".resized/x.jpg"), Bytes::new(), &attributes(), Precondition::None).await;
    assert!(matches!(into_own, Err(StoreError::Forbidden { .. })), "{into_own:?}");
}

/// All files below `folder`.
fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn abandoned_temporary_files_are_removed_after_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let temporary = folder.path().join(".resized/tmp");
    std::fs::create_dir_all(&temporary).unwrap();
    let day = std::time::Duration::from_secs(24 * 3600);
    for (name, age) in [("put-old", day * 2), ("put-new", day / 2), ("mine", day * 2)] {
        let file = std::fs::File::create(temporary.join(name)).unwrap();
        file.set_modified(std::time::SystemTime::now() - age).unwrap();
    }
    open_file(&folder).await;
    let mut left: Vec<_> = walk(&temporary).iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    left.sort();
    assert_eq!(left, ["mine", "put-new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_keeps_one_sidecar_per_object() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_file(&folder).await;
    for _ in 0..3 {
        put(&store, "a.webp", b"one", Precondition::None).await;
        put(&store, "a.webp", b"one", Precondition::Absent).await;
        put(&store, "a.webp", b"one", Precondition::Matches("\"wrong\"".into())).await;
    }
    assert_eq!(walk(&folder.path().join(".resized")).len(), 1);
    store.delete(&key("a.webp"), None).await.unwrap();
    assert!(walk(folder.path()).is_empty());
}

#[tokio::test]
async fn attributes_belong_to_the_object_they_were_written_with() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_file(&folder).await;
    put(&store, "a.webp", b"one", Precondition::None).await;
    std::fs::write(folder.path().join("a.webp"), "by hand").unwrap();
    let meta = store.head(&key("a.webp")).await.unwrap().unwrap();
    assert_eq!((meta.bytes, meta.content_type, meta.metadata), (7, None, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_403_is_never_a_missing_object() {
    let bucket = Bucket::start().await;
    let store = open_s3(&bucket).await;
    bucket.fail(Operation::Head, "", Fault::Status(403));
    bucket.fail(Operation::Get, "", Fault::Status(403));
    let (head, get) = (store.head(&key("a.webp")).await, store.get(&key("a.webp"), None).await);
    assert!(matches!(head, Err(StoreError::Forbidden { .. })), "{head:?}");
    assert!(matches!(get, Err(StoreError::Forbidden { .. })), "{get:?}");
    let nowhere =
        Store::open(&"s3://nowhere/prefix".parse().unwrap(), "", &s3(&bucket), &metrics::S3Metrics::default())
            .await
            .unwrap();
    bucket.heal();
    let get = nowhere.get(&key("a.webp"), None).await;
    assert!(matches!(get, Err(StoreError::Other { .. })), "missing bucket: {get:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_skew_is_a_distinct_error() {
    let bucket = Bucket::start().await;
    let store = open_s3(&bucket).await;
    bucket.fail(Operation::Head, "", Fault::ClockSkew);
    bucket.fail(Operation::Put, "", Fault::ClockSkew);
    let attributes = attributes();
    let put = store.put(&key("a.webp"), Bytes::new(), &attributes, Precondition::None).await.unwrap_err();
    let head = store.head(&key("a.webp")).await.unwrap_err();
    for error in [put, head] {
        assert!(matches!(error, StoreError::ClockSkew { .. }), "{error:?}");
        assert!(error.to_string().contains("clock"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_checksum_is_an_error() {
    let bucket = Bucket::start().await;
    let store = open_s3(&bucket).await;
    put(&store, "a.webp", &[7; 100_000], Precondition::None).await;
    bucket.fail(Operation::Get, "", Fault::Corrupt);
    let get = store.get_bounded(&key("a.webp"), 1 << 20).await;
    assert!(matches!(get, Err(StoreError::Unavailable { .. })), "{get:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unresponsive_server_is_a_timeout() {
    let bucket = Bucket::start().await;
    let brief = Duration::from_millis(200);
    let settings = config::S3 { operation_timeout: brief, ..s3(&bucket) };
    let store =
        Store::open(&format!("s3://{}", bucket.name()).parse().unwrap(), "", &settings, &metrics::S3Metrics::default())
            .await
            .unwrap();
    let _gate = bucket.stall(Operation::Get, "");
    let get = store.get(&key("a.webp"), None).await;
    assert!(matches!(get, Err(StoreError::Timeout { .. })), "{get:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_body_is_an_error() {
    let bucket = Bucket::start().await;
    let store = open_s3(&bucket).await;
    put(&store, "a.webp", &[7; 100_000], Precondition::None).await;
    bucket.fail(Operation::Get, "", Fault::Truncate);
    let get = store.get_bounded(&key("a.webp"), 1 << 20).await;
    assert!(matches!(get, Err(StoreError::Unavailable { .. } | StoreError::Truncated { .. })), "{get:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_conflict_is_retried() {
    let bucket = Bucket::start().await;
    let store = open_s3(&bucket).await;
    bucket.fail(Operation::Put, "", Fault::Status(409));
    let write = put(&store, "a.webp", b"one", Precondition::Absent);
    let heal = async {
        crate::support::stage::until("the write is retried", || bucket.count(Operation::Put, "") >= 2).await;
        bucket.heal();
    };
    let (put, ()) = tokio::join!(write, heal);
    assert!(matches!(put, PutOutcome::Stored(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_requests_are_attempted_as_often_as_configured() {
    let bucket = Bucket::start().await;
    let settings = config::S3 { attempts: std::num::NonZeroU32::new(2).unwrap(), ..s3(&bucket) };
    let store =
        Store::open(&format!("s3://{}", bucket.name()).parse().unwrap(), "", &settings, &metrics::S3Metrics::default())
            .await
            .unwrap();
    bucket.fail(Operation::Head, "", Fault::Status(503));
    let head = store.head(&key("a.webp")).await;
    assert!(matches!(head, Err(StoreError::Unavailable { .. })), "{head:?}");
    assert_eq!(bucket.count(Operation::Head, ""), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_multipart_upload_leaves_no_parts() {
    let bucket = Bucket::start().await;
    let store = open_s3(&bucket).await;
    bucket.fail(Operation::Put, "", Fault::Status(500));
    let mut spool = store.spool().await.unwrap();
    spool.write(&Bytes::from(vec![7; 20_000_000])).unwrap();
    let put = put_spooled(&store, "a.webp", spool, Precondition::None).await;
    assert!(matches!(put, Err(StoreError::Unavailable { .. })), "{put:?}");
    assert_eq!((bucket.unfinished(), bucket.keys("").len()), (0, 0));
}
