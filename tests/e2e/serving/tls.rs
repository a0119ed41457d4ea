//! HTTPS: ALPN, invalid and renewed certificates, and client certificates.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::support::bucket::Bucket;
use crate::support::node::{Node, on_bucket};
use crate::support::pictures::jpeg;
use crate::support::stage::{Stage, settings};

/// Writes a self-signed certificate and its key to `folder`.
fn write_certificate(folder: &Path) -> resized::config::Tls {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let tls = resized::config::Tls {
        certificate: folder.join("cert.pem"),
        key: folder.join("key.pem"),
        ..Default::default()
    };
    std::fs::write(&tls.certificate, made.cert.pem()).unwrap();
    std::fs::write(&tls.key, made.signing_key.serialize_pem()).unwrap();
    tls
}

/// A client that trusts the stage's certificate and offers `alpn`.
async fn connect(stage: &Stage, tls: &resized::config::Tls, alpn: &[u8]) -> TlsStream<TcpStream> {
    let certificate = CertificateDer::from_pem_file(&tls.certificate).unwrap();
    try_connect(stage.address, certificate, alpn, None).await.unwrap()
}

/// The certificate and key of a client.
type ClientIdentity<'a> = Option<(&'a rcgen::Certificate, &'a rcgen::KeyPair)>;

/// Connects to any server, with the trusted server certificate and an optional client certificate.
async fn try_connect(
    address: SocketAddr,
    trusted: CertificateDer<'static>,
    alpn: &[u8],
    identity: ClientIdentity<'_>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(vec![certificate.der().clone()], key.serialize_der().try_into().unwrap())
            .unwrap(),
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_speaks_only_the_protocol_that_alpn_selected() {
    let (bucket, folder) = (Bucket::start().await, tempfile::tempdir().unwrap());
    let mut config = settings(&bucket);
    config.server.tls = write_certificate(folder.path());
    let tls = config.server.tls.clone();
    let stage = Stage::start(config).await;
    for (alpn, request, expected) in [
        (&b"http/1.1"[..], &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], true),
        (b"h2", b"GET /cat_40x40.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n", false),
    ] {
        let mut stream = connect(&stage, &tls, alpn).await;
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        // The server may close the connection without a TLS message.
        let _ = stream.read_to_end(&mut answer).await;
        assert_eq!(answer.starts_with(b"HTTP/1.1 505 "), expected, "{}", answer.escape_ascii());
        assert!(!answer.starts_with(b"HTTP/1.1 ") || expected, "{}", answer.escape_ascii());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alpn_selects_the_http_version() {
    let (bucket, folder) = (Bucket::start().await, tempfile::tempdir().unwrap());
    bucket.put_object("originals/cat.jpg", jpeg(160, 120), "image/jpeg");
    let mut config = settings(&bucket);
    config.server.tls = write_certificate(folder.path());
    let tls = config.server.tls.clone();
    let stage = Stage::start(config).await;

    let mut one = connect(&stage, &tls, b"http/1.1").await;
    assert_eq!(one.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let request = b"GET /cat_40x40.jpg HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    one.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    one.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));

    let two = connect(&stage, &tls, b"h2").await;
    assert_eq!(two.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut client, connection) = h2::client::handshake(two).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("https://localhost/cat_40x40.jpg").body(()).unwrap();
    let response = client.send_request(request, true).unwrap().0.await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["content-type"]),
        (http::StatusCode::OK, &"image/jpeg".parse().unwrap())
    );
    let bytes = read(response.into_body()).await;
    assert!(answer.ends_with(&bytes), "both versions send the same picture");
}

async fn read(mut body: h2::RecvStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk: Bytes = chunk.unwrap();
        body.flow_control().release_capacity(chunk.len()).unwrap();
        bytes.extend_from_slice(&chunk);
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_large_responses_on_one_http_2_connection_are_complete() {
    let (bucket, folder) = (Bucket::start().await, tempfile::tempdir().unwrap());
    let original = jpeg(2000, 1500);
    bucket.put_object("originals/wall.jpg", original.clone(), "image/jpeg");
    let mut config = settings(&bucket);
    config.server.tls = write_certificate(folder.path());
    let tls = config.server.tls.clone();
    let stage = Stage::start(config).await;

    let (mut client, connection) = h2::client::handshake(connect(&stage, &tls, b"h2").await).await.unwrap();
    tokio::spawn(connection);
    let mut bodies = Vec::new();
    for n in 0..40 {
        let path = ["/wall.jpg", "/wall_1200x.jpg", "/wall_40x.jpg"][n % 3];
        let request = http::Request::get(format!("https://localhost{path}")).body(()).unwrap();
        client = client.ready().await.unwrap();
        let answer = client.send_request(request, true).unwrap().0;
        bodies.push(tokio::spawn(async move { read(answer.await.unwrap().into_body()).await }));
    }
    let mut read = Vec::new();
    for body in bodies {
        read.push(body.await.unwrap());
    }
    assert!(read[0] == original, "{} bytes", read[0].len());
    assert!(read[1].len() > read[2].len() && read[2].starts_with(b"\xff\xd8"));
    for (n, bytes) in read.iter().enumerate() {
        assert!(*bytes == read[n % 3], "answer {n} has {} bytes", bytes.len());
    }
}

#[tokio::test]
async fn an_invalid_certificate_fails_at_start_with_its_config_key() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = resized::config::Server { listen: ([127, 0, 0, 1], 0).into(), ..Default::default() };
    config.tls = write_certificate(folder.path());
    std::fs::write(&config.tls.key, "no key").unwrap();
    let start = |config: &resized::config::Server| {
        let buffers = Arc::new(resized::support::memory::MemoryBudget::new(0, 0, std::time::Duration::ZERO));
        let started = resized::server::ConnectionConfig::new(config, 1, buffers, &resized::config::Tuning::default());
        started.err().unwrap().to_string()
    };
    let error = start(&config);
    assert!(error.contains("server.tls.key"), "{error}");
    let other = tempfile::tempdir().unwrap();
    config.tls.key = write_certificate(other.path()).key;
    let error = start(&config);
    assert!(error.contains("server.tls"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_used_after_a_reload_and_connections_stay_open() {
    let (bucket, folder) = (Bucket::start().await, tempfile::tempdir().unwrap());
    bucket.put_object("originals/cat.jpg", jpeg(160, 120), "image/jpeg");
    let tls = write_certificate(folder.path());
    let trusted = || CertificateDer::from_pem_file(&tls.certificate).unwrap();
    let mut settings = on_bucket(&bucket);
    settings.push(("RESIZED_SERVER__TLS__CERTIFICATE", tls.certificate.to_str().unwrap().into()));
    settings.push(("RESIZED_SERVER__TLS__KEY", tls.key.to_str().unwrap().into()));
    let node = tokio::task::spawn_blocking(move || Node::start(&settings)).await.unwrap();
    let address = node.url.strip_prefix("http://").unwrap().parse().unwrap();
    let reload = async || reqwest::Client::new().post(format!("{}/reload", node.admin)).send().await.unwrap().status();
    let request = b"GET /cat_40x40.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let old = trusted();
    let mut before = try_connect(address, old.clone(), b"http/1.1", None).await.unwrap();

    // The old certificate stays in use if the new key does not match the new certificate.
    let key = std::fs::read(&tls.key).unwrap();
    write_certificate(folder.path());
    let renewed = std::fs::read(&tls.key).unwrap();
    std::fs::write(&tls.key, key).unwrap();
    assert_eq!(reload().await.as_u16(), 422);
    try_connect(address, old.clone(), b"http/1.1", None).await.unwrap();

    std::fs::write(&tls.key, renewed).unwrap();
    assert_eq!(reload().await.as_u16(), 200);
    try_connect(address, trusted(), b"http/1.1", None).await.unwrap();
    assert!(try_connect(address, old, b"http/1.1", None).await.is_err());
    before.write_all(request).await.unwrap();
    let mut head = [0; 15];
    before.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
}

/// Requests a picture and returns the response; empty if the server closes the connection.
async fn request(stream: std::io::Result<TlsStream<TcpStream>>) -> String {
    let Ok(mut stream) = stream else { return String::new() };
    let request = b"GET /cat_40x40.jpg HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut answer = Vec::new();
    // With TLS 1.3 a client learns only from a read that its certificate was rejected.
    if stream.write_all(request).await.is_ok() {
        let _ = stream.read_to_end(&mut answer).await;
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_clients_with_a_certificate_of_a_configured_authority_are_served() {
    let (bucket, folder) = (Bucket::start().await, tempfile::tempdir().unwrap());
    bucket.put_object("originals/cat.jpg", jpeg(160, 120), "image/jpeg");
    let authority = |name: &str| {
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap(), rcgen::Issuer::new(params, key))
    };
    let client = |issuer: &rcgen::Issuer<'_, rcgen::KeyPair>| {
        let key = rcgen::KeyPair::generate().unwrap();
        (rcgen::CertificateParams::new(vec!["cdn".to_owned()]).unwrap().signed_by(&key, issuer).unwrap(), key)
    };
    let ((ours, issuer), (_, other)) = (authority("ours"), authority("other"));
    let mut config = settings(&bucket);
    config.server.tls = write_certificate(folder.path());
    config.server.tls.client_authorities = folder.path().join("clients.pem");
    std::fs::write(&config.server.tls.client_authorities, ours.pem()).unwrap();
    let tls = config.server.tls.clone();
    let stage = Stage::start(config).await;

    let (good, bad) = (client(&issuer), client(&other));
    let trusted = CertificateDer::from_pem_file(&tls.certificate).unwrap();
    let response_to = async |identity: ClientIdentity<'_>| {
        request(try_connect(stage.address, trusted.clone(), b"http/1.1", identity).await).await
    };
    assert!(response_to(Some((&good.0, &good.1))).await.starts_with("HTTP/1.1 200"));
    assert_eq!(response_to(Some((&bad.0, &bad.1))).await, "");
    assert_eq!(response_to(None).await, "");
}
