//! A fake API that receives notifications of uploads. It verifies signatures, stores each id once, and injects the faults that a
//! test selects. It can also forward notifications to a real API and replace its responses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// How the API responds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behavior {
    /// Responds with this status, and stores the event if the status is 2xx.
    Status(u16),
    /// Stores the event, but responds only after all timeouts.
    Slow,
    /// Responds with bytes that are not HTTP.
    Garbage,
    /// Closes every connection.
    Disconnect,
}

#[derive(Clone)]
pub struct Receiver {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    behavior: Behavior,
    /// Stored events by id.
    events: BTreeMap<String, serde_json::Value>,
    /// The different bodies that arrived with each id.
    bodies: BTreeMap<String, BTreeSet<bytes::Bytes>>,
    /// When each request arrived.
    times: Vec<Instant>,
    /// Number of 2xx responses.
    accepted: usize,
    /// `traceparent` and `tracestate` of each request.
    trace_headers: Vec<TraceHeaders>,
    /// URL of the real API, if notifications are forwarded.
    upstream: Option<String>,
}

impl Behavior {
    fn status(self) -> u16 {
        if let Self::Status(status) = self { status } else { 204 }
    }
}

/// Values of the `traceparent` and `tracestate` headers.
pub type TraceHeaders = (Option<String>, Option<String>);

/// The signed headers of a notification.
struct WebhookHeaders {
    id: String,
    timestamp: String,
    signature: String,
}

/// Forwards a notification and returns the status of the response, or 502 if there is no response.
async fn forward(upstream: &str, headers: &WebhookHeaders, body: bytes::Bytes) -> u16 {
    let request = reqwest::Client::new()
        .post(upstream)
        .header("webhook-id", &headers.id)
        .header("webhook-timestamp", &headers.timestamp)
        .header("webhook-signature", &headers.signature);
    let response = request.body(body).send().await;
    response.map_or(502, |response| response.status().as_u16())
}

impl Receiver {
    pub async fn start() -> Self {
        Self::with_upstream(None).await
    }

    /// Starts a receiver that forwards notifications to `upstream`.
    pub async fn with_upstream(upstream: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = State {
            behavior: Behavior::Status(204),
            events: BTreeMap::new(),
            bodies: BTreeMap::new(),
            times: Vec::new(),
            accepted: 0,
            trace_headers: Vec::new(),
            upstream,
        };
        let this = Self { address, state: Arc::new(Mutex::new(state)) };
        let serving = this.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().connection(stream));
            }
        });
        this
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub fn set(&self, behavior: Behavior) {
        self.state.lock().unwrap().behavior = behavior;
    }

    pub fn requests(&self) -> usize {
        self.state.lock().unwrap().times.len()
    }

    /// Returns when each request arrived.
    pub fn times(&self) -> Vec<Instant> {
        self.state.lock().unwrap().times.clone()
    }

    /// Returns the number of 2xx responses, counting repeated events again.
    pub fn accepted(&self) -> usize {
        self.state.lock().unwrap().accepted
    }

    /// Returns the `traceparent` and `tracestate` of each request.
    pub fn trace_headers(&self) -> Vec<TraceHeaders> {
        self.state.lock().unwrap().trace_headers.clone()
    }

    /// Returns the ids and the keys of all events.
    pub fn ids_and_keys(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let state = self.state.lock().unwrap();
        let key = |event: &serde_json::Value| event["data"]["key"].as_str().unwrap().to_owned();
        (state.events.keys().cloned().collect(), state.events.values().map(key).collect())
    }

    /// Returns the number of different bodies that arrived with each id.
    pub fn bodies(&self) -> Vec<usize> {
        self.state.lock().unwrap().bodies.values().map(BTreeSet::len).collect()
    }

    /// Returns the stored events.
    pub fn events(&self) -> Vec<serde_json::Value> {
        self.state.lock().unwrap().events.values().cloned().collect()
    }

    async fn connection(self, mut stream: TcpStream) {
        let behavior = self.state.lock().unwrap().behavior;
        match behavior {
            Behavior::Disconnect => return,
            Behavior::Garbage => {
                let _ = stream.write_all(b"\x00\xFFnonsense\r\n\r\n").await;
                return;
            }
            Behavior::Status(_) | Behavior::Slow => {}
        }
        let service = service_fn(move |request| self.clone().respond(request));
        // An error here means that the client closed the connection.
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    async fn respond(self, request: Request<Incoming>) -> Result<Response<Empty<bytes::Bytes>>, std::io::Error> {
        if request.method() == hyper::Method::HEAD {
            return Ok(Response::builder().status(405).body(Empty::new()).unwrap());
        }
        let text = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        let headers = WebhookHeaders {
            id: text("webhook-id"),
            timestamp: text("webhook-timestamp"),
            signature: text("webhook-signature"),
        };
        let trace_headers = ["traceparent", "tracestate"].map(|name| request.headers().get(name).map(|_| text(name)));
        let Ok(body) = request.into_body().collect().await else {
            return Err(std::io::Error::other("incomplete body"));
        };
        let body = body.to_bytes();
        let secret = STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap();
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret);
        let signed = [format!("{}.{}.", headers.id, headers.timestamp).as_bytes(), &body].concat();
        let sent = STANDARD.decode(headers.signature.strip_prefix("v1,").unwrap()).unwrap();
        ring::hmac::verify(&key, &signed, &sent).expect("the signature is valid");
        let event: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let (behavior, upstream) = {
            let mut state = self.state.lock().unwrap();
            state.times.push(Instant::now());
            state.bodies.entry(headers.id.clone()).or_default().insert(body.clone());
            state.trace_headers.push(trace_headers.into());
            (state.behavior, state.upstream.clone())
        };
        let mut stored = 204;
        if matches!(behavior, Behavior::Slow | Behavior::Status(200..=299)) {
            stored = match upstream {
                None => behavior.status(),
                Some(upstream) => forward(&upstream, &headers, body).await,
            };
            if stored < 300 {
                let mut state = self.state.lock().unwrap();
                state.accepted += 1;
                state.events.insert(headers.id, event);
            }
        }
        let status = match behavior {
            Behavior::Status(200..=299) => stored,
            Behavior::Status(status) => status,
            Behavior::Slow => {
                tokio::time::sleep(Duration::from_secs(3)).await;
                204
            }
            Behavior::Garbage | Behavior::Disconnect => return Err(std::io::Error::other("the behavior has changed")),
        };
        let response = Response::builder().status(status);
        let response = match status {
            429 => response.header("retry-after", "1"),
            301..=308 => response.header("location", "/elsewhere"),
            _ => response,
        };
        Ok(response.body(Empty::new()).unwrap())
    }
}
