//! HTTPS: the version of HTTP by ALPN, and a certificate that cannot be used.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::bucket::Bucket;
use crate::node::{Node, on_bucket};
use crate::pictures::jpeg;
use crate::stage::{Stage, settings};

fn certify(folder: &Path) -> resized::config::Tls {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let tls = resized::config::Tls { certificate: folder.join("cert.pem"), key: folder.join("key.pem") };
    std::fs::write(&tls.certificate, made.cert.pem()).unwrap();
    std::fs::write(&tls.key, made.signing_key.serialize_pem()).unwrap();
    tls
}

/// A client that trusts the stage's certificate and offers `alpn`.
async fn connect(stage: &Stage, tls: &resized::config::Tls, alpn: &[u8]) -> TlsStream<TcpStream> {
    let certificate = CertificateDer::from_pem_file(&tls.certificate).unwrap();
    try_connect(stage.address, certificate, alpn).await.unwrap()
}

/// The same, of any server and certificate.
async fn try_connect(
    address: SocketAddr,
    trusted: CertificateDer<'static>,
    alpn: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

#[tokio::test(flavor = "multi_thread")]
async fn alpn_chooses_the_version_of_http() {
    let (bucket, folder) = (Bucket::start().await, tempfile::tempdir().unwrap());
    bucket.put_object("originals/cat.jpg", jpeg(160, 120), "image/jpeg");
    let mut config = settings(&bucket);
    config.server.tls = certify(folder.path());
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
    let mut body: h2::RecvStream = response.into_body();
    let mut bytes = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk: Bytes = chunk.unwrap();
        body.flow_control().release_capacity(chunk.len()).unwrap();
        bytes.extend_from_slice(&chunk);
    }
    assert!(answer.ends_with(&bytes), "the same picture by either version");
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_told_by_its_key_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = resized::config::Server { listen: ([127, 0, 0, 1], 0).into(), ..Default::default() };
    config.tls = certify(folder.path());
    std::fs::write(&config.tls.key, "no key").unwrap();
    let error = resized::server::Server::bind(&config).err().unwrap().to_string();
    assert!(error.contains("server.tls.key"), "{error}");
    let other = tempfile::tempdir().unwrap();
    config.tls.key = certify(other.path()).key;
    let error = resized::server::Server::bind(&config).err().unwrap().to_string();
    assert!(error.contains("server.tls"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_after_a_reload_and_connections_go_on() {
    let (bucket, folder) = (Bucket::start().await, tempfile::tempdir().unwrap());
    bucket.put_object("originals/cat.jpg", jpeg(160, 120), "image/jpeg");
    let tls = certify(folder.path());
    let trusted = || CertificateDer::from_pem_file(&tls.certificate).unwrap();
    let mut settings = on_bucket(&bucket);
    settings.push(("RESIZED_SERVER__TLS__CERTIFICATE", tls.certificate.to_str().unwrap().into()));
    settings.push(("RESIZED_SERVER__TLS__KEY", tls.key.to_str().unwrap().into()));
    let node = tokio::task::spawn_blocking(move || Node::start(&settings)).await.unwrap();
    let address = node.url.strip_prefix("http://").unwrap().parse().unwrap();
    let reload = async || reqwest::Client::new().post(format!("{}/reload", node.admin)).send().await.unwrap().status();
    let request = b"GET /cat_40x40.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let old = trusted();
    let mut before = try_connect(address, old.clone(), b"http/1.1").await.unwrap();

    // A key that is not the certificate's leaves the old pair in force.
    let key = std::fs::read(&tls.key).unwrap();
    certify(folder.path());
    let renewed = std::fs::read(&tls.key).unwrap();
    std::fs::write(&tls.key, key).unwrap();
    assert_eq!(reload().await.as_u16(), 422);
    try_connect(address, old.clone(), b"http/1.1").await.unwrap();

    std::fs::write(&tls.key, renewed).unwrap();
    assert_eq!(reload().await.as_u16(), 200);
    try_connect(address, trusted(), b"http/1.1").await.unwrap();
    assert!(try_connect(address, old, b"http/1.1").await.is_err());
    before.write_all(request).await.unwrap();
    let mut head = [0; 15];
    before.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
}
