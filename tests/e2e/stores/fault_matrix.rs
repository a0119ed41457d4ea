//! Every operation of a store with every fault of its server: it ends in time with the right result, and the next one
//! succeeds.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use resized::config;
use resized::origin::{Attributes, Precondition, Store, StoreError};
use resized::variant::ObjectKey;

use crate::support::bucket::Bucket;
use crate::support::pictures::jpeg;
use crate::support::s3_script::{Response, Script, head, open, refusal};
use crate::support::stage::{PATIENCE, Stage, settings};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    ResetBeforeHeader,
    ResetInBody,
    Truncated,
    StallBeforeHeader,
    StallInBody,
    Status500,
    SlowDown,
    Denied,
    MalformedXml,
    MalformedError,
    EndlessHeader,
}

const FAULTS: [Fault; 11] = [
    Fault::ResetBeforeHeader,
    Fault::ResetInBody,
    Fault::Truncated,
    Fault::StallBeforeHeader,
    Fault::StallInBody,
    Fault::Status500,
    Fault::SlowDown,
    Fault::Denied,
    Fault::MalformedXml,
    Fault::MalformedError,
    Fault::EndlessHeader,
];

impl Fault {
    fn response(self) -> Response {
        let part = format!("{}\r\n<ListBucketRes", head(1000));
        match self {
            Self::ResetBeforeHeader => Response::Close,
            Self::ResetInBody => Response::Cut(part.into()),
            Self::Truncated => {
                let head = head(0).replace("content-length: 0", "transfer-encoding: chunked");
                Response::Cut(format!("{head}\r\n5\r\n<List\r\n").into())
            }
            Self::StallBeforeHeader => Response::Stall(Vec::new()),
            Self::StallInBody => Response::Stall(part.into()),
            Self::Status500 => refusal("500 Internal Server Error", "", "InternalError"),
            Self::SlowDown => refusal("503 Service Unavailable", "", "SlowDown"),
            Self::Denied => refusal("403 Forbidden", "", "AccessDenied"),
            Self::MalformedXml => Response::Bytes(format!("{}\r\n<a><b></a>", head(10)).into()),
            Self::MalformedError => {
                Response::Bytes(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 9\r\n\r\n<Error></".to_vec())
            }
            Self::EndlessHeader => Response::Endless("HTTP/1.1 200 OK\r\nx: ".to_owned()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Head,
    Get,
    Put,
    Delete,
    List,
}

const OPERATIONS: [Operation; 5] =
    [Operation::Head, Operation::Get, Operation::Put, Operation::Delete, Operation::List];

impl Operation {
    async fn run(self, store: &Store) -> Result<(), StoreError> {
        let key = ObjectKey::new("c.jpg").unwrap();
        match self {
            Self::Head => store.head(&key).await.map(drop),
            Self::Get => store.get_bounded(&key, 1 << 20).await.map(drop),
            Self::Put => store.put(&key, "hello".into(), &Attributes::default(), Precondition::Absent).await.map(drop),
            Self::Delete => store.delete(&key, None).await.map(drop),
            Self::List => store.list("", None, 10).await.map(drop),
        }
    }

    /// The possible results of an attempt, by the names of the errors. Only GET and LIST need the body of the response.
    fn expected(self, fault: Fault) -> &'static [&'static str] {
        let needs_body = matches!(self, Self::Get | Self::List);
        match fault {
            Fault::ResetBeforeHeader
            | Fault::Status500
            | Fault::SlowDown
            | Fault::MalformedError
            | Fault::EndlessHeader => &["Unavailable"],
            Fault::StallBeforeHeader => &["Timeout"],
            Fault::Denied => &["Forbidden"],
            Fault::ResetInBody | Fault::Truncated if needs_body => &["Unavailable", "Truncated"],
            Fault::StallInBody if needs_body => &["Timeout"],
            Fault::MalformedXml if self == Self::List => &["Unavailable", "Other"],
            // The length of a chunked object cannot be found, because the next response is truncated too.
            Fault::Truncated if self == Self::Head => &["Unavailable", "Truncated"],
            Fault::ResetInBody | Fault::Truncated | Fault::StallInBody | Fault::MalformedXml => {
                &["Ok", "Unavailable", "Timeout"]
            }
        }
    }
}

/// The response of a server without faults. The argument is the header section of the request.
fn healthy(request: &str) -> Response {
    let listing = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
    Response::Bytes(match request.split(' ').next().unwrap() {
        "head" => format!("{}\r\n", head(5)).into(),
        "get" if request.contains("list-type=2") => format!("{}\r\n{listing}", head(listing.len())).into(),
        "get" => format!("{}\r\nhello", head(5)).into(),
        "put" => format!("{}\r\n", head(0)).into(),
        _ => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
    })
}

/// A server with the fault that the returned handle contains.
async fn faulty(healthy: impl Fn(&str) -> Response + Send + Sync + 'static) -> (Script, Arc<Mutex<Option<Fault>>>) {
    let fault = Arc::new(Mutex::new(None::<Fault>));
    let current = fault.clone();
    let script = Script::answering(move |request| {
        let fault = *current.lock().unwrap();
        fault.map_or_else(|| healthy(request), Fault::response)
    });
    (script.await, fault)
}

fn brief(script: &Script) -> config::S3 {
    config::S3 {
        operation_timeout: Duration::from_millis(400),
        concurrency: NonZeroUsize::MIN,
        circuit_breaker_failures: NonZeroU32::MAX,
        ..script.settings(1)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_ends_in_time_with_the_right_result() {
    for operation in OPERATIONS {
        for fault in FAULTS {
            let (script, current) = faulty(healthy).await;
            let store = open(&brief(&script)).await;
            *current.lock().unwrap() = Some(fault);
            let result = tokio::time::timeout(PATIENCE, operation.run(&store)).await;
            let result = result.unwrap_or_else(|_| panic!("{operation:?} {fault:?} hangs"));
            let name = result.as_ref().map_or_else(|error| format!("{error:?}"), |()| "Ok".to_owned());
            let expected = operation.expected(fault);
            assert!(expected.iter().any(|expected| name.starts_with(expected)), "{operation:?} {fault:?}: {name}");
            *current.lock().unwrap() = None;
            // The only permit for requests was returned.
            let next = operation.run(&store).await;
            assert!(next.is_ok(), "{operation:?} after {fault:?}: {next:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_is_an_answer_to_the_client() {
    let picture = jpeg(400, 300);
    let with_picture = move |request: &str| match request.starts_with("get") && request.contains("/originals/") {
        true => Response::Bytes([format!("{}\r\n", head(picture.len())).as_bytes(), &picture].concat()),
        false if request.starts_with("put") => healthy(request),
        false => refusal("404 Not Found", "", "NoSuchKey"),
    };
    let (script, current) = faulty(with_picture).await;
    let mut config = settings(&Bucket::start().await);
    config.s3 = brief(&script);
    config.cache.failures = Duration::ZERO;
    let stage = Stage::start(config).await;
    for (n, fault) in FAULTS.into_iter().enumerate() {
        *current.lock().unwrap() = Some(fault);
        for path in [format!("/cat_{}x.jpg", n + 10), "/cat.jpg".to_owned()] {
            let response = stage.get(&path).await;
            let status = response.status().as_u16();
            // A malformed document is an object that is not a picture.
            let expected: &[u16] = match fault {
                Fault::MalformedXml => &[422, 404],
                Fault::StallBeforeHeader | Fault::StallInBody => &[504],
                _ => &[502],
            };
            assert!(expected.contains(&status), "{fault:?} {path}: {status}");
            let text = response.text().await.unwrap();
            assert!(!text.contains("127.0.0.1") && !text.contains("AccessDenied"), "{text}");
        }
        *current.lock().unwrap() = None;
        let path = format!("/cat_{}x.jpg", n + 10);
        assert_eq!(stage.get(&path).await.status(), 200, "after {fault:?}");
    }
    assert!(stage.stop().await);
}
