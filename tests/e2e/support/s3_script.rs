//! An S3 server that sends scripted responses, for requests and faults as they are on the wire.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use resized::config;
use resized::observability::metrics;
use resized::origin::Store;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Response to a request.
#[derive(Clone)]
pub enum Response {
    Bytes(Vec<u8>),
    /// Closes the connection.
    Close,
    /// Sends the bytes and closes the connection.
    Cut(Vec<u8>),
    /// Sends the bytes and nothing more until the client closes the connection.
    Stall(Vec<u8>),
    /// The text, followed by zeros until the client closes the connection.
    Endless(String),
}

type Rule = Arc<dyn Fn(&str) -> Response + Send + Sync>;

/// A server that answers each request as a rule says.
pub struct Script {
    pub url: String,
    responses: Arc<Mutex<VecDeque<Response>>>,
    /// The number of the connection and the lowercase header section of each request.
    requests: Arc<Mutex<Vec<(usize, String)>>>,
}

impl Script {
    /// Answers the requests with these responses, one after the other, and closes all further connections.
    pub async fn start(responses: impl IntoIterator<Item = Response>) -> Self {
        let responses = Arc::new(Mutex::new(responses.into_iter().collect::<VecDeque<_>>()));
        let queue = Arc::clone(&responses);
        let next = move |_: &str| queue.lock().unwrap().pop_front().unwrap_or(Response::Close);
        Self { responses, ..Self::answering(next).await }
    }

    /// Answers each request with the result of `rule`, whose argument is the lowercase header section of the request.
    pub async fn answering(rule: impl Fn(&str) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (rule, requests): (Rule, Arc<Mutex<Vec<_>>>) = (Arc::new(rule), Arc::default());
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, connection, Arc::clone(&rule), Arc::clone(&seen)));
            }
        });
        Self { url, responses: Arc::default(), requests }
    }

    /// Appends a response.
    pub fn push(&self, response: Response) {
        self.responses.lock().unwrap().push_back(response);
    }

    pub fn settings(&self, attempts: u32) -> config::S3 {
        config::S3 {
            endpoint: self.url.clone(),
            region: "us-east-1".into(),
            path_style: true,
            anonymous: true,
            attempts: NonZeroU32::new(attempts).unwrap(),
            ..Default::default()
        }
    }

    pub async fn open(&self, attempts: u32) -> Store {
        open(&self.settings(attempts)).await
    }

    pub fn requests(&self) -> Vec<(usize, String)> {
        self.requests.lock().unwrap().clone()
    }

    pub fn connections(&self) -> Vec<usize> {
        self.requests().into_iter().map(|(connection, _)| connection).collect()
    }
}

/// Opens a store in a bucket with a prefix.
pub async fn open(settings: &config::S3) -> Store {
    Store::open(&"s3://pictures/a b".parse().unwrap(), "", settings, &metrics::S3Metrics::default()).await.unwrap()
}

async fn serve(mut stream: TcpStream, connection: usize, rule: Rule, seen: Arc<Mutex<Vec<(usize, String)>>>) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { return };
            head.push(byte);
        }
        // The body of a request that was answered early may precede the next request.
        let head = String::from_utf8_lossy(&head).to_lowercase();
        seen.lock().unwrap().push((connection, head.clone()));
        match rule(&head) {
            // The client may have closed the connection.
            Response::Bytes(bytes) => drop(stream.write_all(&bytes).await),
            Response::Close => return,
            Response::Cut(bytes) => return drop(stream.write_all(&bytes).await),
            Response::Stall(bytes) => {
                let _ = stream.write_all(&bytes).await;
                while stream.read_u8().await.is_ok() {}
                return;
            }
            Response::Endless(text) => {
                let mut piece = text.into_bytes();
                while stream.write_all(&piece).await.is_ok() {
                    piece = vec![b'0'; 10_000];
                }
                return;
            }
        }
    }
}

/// A response with a body.
pub fn object(body: &str) -> Response {
    Response::Bytes(format!("{}\r\n{body}", head(body.len())).into())
}

/// The header of a response with a body of `bytes` bytes, without the empty line at its end.
pub fn head(bytes: usize) -> String {
    let date = httpdate::fmt_http_date(SystemTime::now());
    format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\netag: \"e\"\r\nlast-modified: {date}\r\n")
}

/// Like [`head`], of a part of an object.
pub fn partial_head(bytes: usize, range: &str) -> String {
    format!("{}content-range: bytes {range}\r\n", head(bytes).replace("200 OK", "206 Partial Content"))
}

/// An error response.
pub fn refusal(status: &str, headers: &str, code: &str) -> Response {
    let body = format!("<Error><Code>{code}</Code><Message>No.</Message></Error>");
    Response::Bytes(format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len()).into())
}
