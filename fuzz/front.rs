//! Properties of the server that hold for any bytes from the network or a config file: the bodies of the fuzz targets.
//! `cargo test` runs them on the seeds. A complete server with stores in a temporary folder runs in the same process.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use resized::app::{App, Listeners};
use resized::config::{Config, Log, SizePolicy, Tuning};
use resized::observability::access_log::AccessLog;
use resized::proxy::Proxy;
use resized::variant::{Grammar, ParsedPath, SizeDecision, UrlToSign};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Upload token in the corpus.
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Maximum time of a response.
const RESPONSE_TIME_MAX: Duration = Duration::from_secs(20);

/// A server with stores in a temporary folder. `proxy` handles requests without a socket.
struct Front {
    runtime: Runtime,
    proxy: Arc<Proxy>,
    address: SocketAddr,
}

fn settings(folder: &std::path::Path) -> Config {
    let mut config = Config::default();
    config.server.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    config.server.threads = 1;
    config.admin.listen = None;
    config.originals.store = format!("file:{}/originals", folder.display()).parse().unwrap();
    config.variants.store = format!("file:{}/variants", folder.display()).parse().unwrap();
    config.upload.enabled = true;
    config.upload.token = TOKEN.into();
    config.upload.base_url = "http://images.test".into();
    config.upload.key_template = "{sha256}.{ext}".into();
    config.presets.insert("small".into(), "30x30_crop".into());
    config.urls.segment = true;
    config
}

fn front() -> &'static Front {
    static FRONT: OnceLock<Front> = OnceLock::new();
    FRONT.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder").keep();
        let config = settings(&folder);
        let runtime = Runtime::new().expect("a runtime");
        let listeners = Listeners::bind(&config).expect("a free port");
        let address = listeners.public.address();
        let app = runtime.block_on(App::build(config, Tuning::default())).expect("the stores open");
        let proxy = app.proxy();
        let log = AccessLog::start(&Log::default(), std::io::sink()).expect("a log");
        std::thread::spawn(move || app.with_access_log(log).run(listeners, &CancellationToken::new()));
        Front { runtime, proxy, address }
    })
}

/// A connection on which a client sends these bytes gets HTTP responses or none, and is closed in time.
pub fn connection(bytes: &[u8]) {
    let mut stream = TcpStream::connect(front().address).expect("the server accepts connections");
    stream.set_read_timeout(Some(RESPONSE_TIME_MAX)).expect("a timeout");
    // The write fails if the server has closed the connection already.
    let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
            panic!("connection not closed within {RESPONSE_TIME_MAX:?}");
        }
        // The connection is reset if the server closes it with bytes unread.
        _ => {}
    }
    let is_http2 = bytes.starts_with(b"PRI * HTTP/2.0");
    assert!(answer.is_empty() || is_http2 || answer.starts_with(b"HTTP/1."), "{:?}", String::from_utf8_lossy(&answer));
    assert!(!answer.starts_with(b"HTTP/1.1 500"), "{:?}", String::from_utf8_lossy(&answer));
}

/// A form body is stored or refused with a 4xx.
pub fn form(bytes: &[u8]) {
    let request = http::Request::post("/upload")
        .header("host", "x")
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("content-type", "multipart/form-data; boundary=b")
        .body(Full::new(bytes::Bytes::copy_from_slice(bytes)))
        .expect("a request");
    let Front { runtime, proxy, .. } = front();
    let (status, body) = runtime.block_on(async {
        let answer = proxy.upload(IpAddr::V4(Ipv4Addr::LOCALHOST), request).await;
        (answer.status(), answer.into_body().collect().await.map(|body| body.to_bytes()))
    });
    assert!(status.as_u16() == 201 || status.as_u16() == 200 || status.is_client_error(), "{status} {body:?}");
}

/// An S3 event, bare or wrapped, purges the objects it names or is refused.
pub fn event(bytes: &[u8]) {
    let Front { runtime, proxy, .. } = front();
    let _ = runtime.block_on(proxy.handle_event(bytes));
}

/// A path gives an error or a key without dot segments. A variant has one canonical spelling, and a size to which
/// `[sizes]` redirects is allowed.
pub fn path(bytes: &[u8]) {
    static GRAMMARS: OnceLock<Vec<Grammar>> = OnceLock::new();
    let grammars = GRAMMARS.get_or_init(|| {
        let policies = [SizePolicy::Any, SizePolicy::List, SizePolicy::Step, SizePolicy::Presets];
        let grammar = |policy| {
            let mut config = settings(std::path::Path::new("/nowhere"));
            config.sizes.policy = policy;
            config.sizes.list = vec!["300x200".into(), "40x".into()];
            config.sizes.step = 64;
            Grammar::new(&config).expect("a grammar")
        };
        policies.into_iter().map(grammar).collect()
    });
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = UrlToSign::parse(text);
    for grammar in grammars {
        let Ok(named) = grammar.parse(text) else { continue };
        let outside =
            |key: &str| key.split('/').any(|part| matches!(part, "" | "." | "..")) || key.contains(['\\', '\0']);
        assert!(!outside(named.literal_key().as_str()), "{text:?}");
        let ParsedPath::Variant(addressed) = named else { continue };
        assert!(!outside(addressed.variant.original.as_str()) && !outside(addressed.variant.storage_key().as_str()));
        let again = grammar.parse(&grammar.canonical_path(&addressed.variant));
        let is_the_same = matches!(&again, Ok(ParsedPath::Variant(again)) if again.variant == addressed.variant);
        assert!(is_the_same, "{text:?} is {:?} and shown {again:?}", addressed.variant);
        if let SizeDecision::RedirectTo(other) | SizeDecision::Refused(other) = &addressed.size_decision {
            assert_eq!(grammar.size_decision(other), SizeDecision::Allowed, "{text:?} leads to {other:?}");
        }
    }
}

/// A config.toml gives an error or settings. Settings from which no grammar can be built are refused with an error that
/// names the invalid key.
pub fn config(bytes: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("the file can be written");
    let Ok(config) = Config::load(Some(file.path())) else { return };
    if let Err(error) = Grammar::new(&config) {
        assert!(!error.key.is_empty());
    }
}
