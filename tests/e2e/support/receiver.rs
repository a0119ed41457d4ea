//! An API that hears of uploads: it verifies signatures, keeps each id once, and behaves as badly as a test wants. It can also
//! stand in front of a real one, and spoil its answers.

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

/// How the API behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Answers with this status, and keeps the event if it is 2xx.
    Status(u16),
    /// Keeps the event, but answers so late that nobody waits.
    Slow,
    /// Answers what is not HTTP.
    Garbage,
    /// Closes every connection.
    Dead,
}

#[derive(Clone)]
pub struct Receiver {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    mood: Mood,
    /// By their ids.
    events: BTreeMap<String, serde_json::Value>,
    /// When each request came.
    times: Vec<Instant>,
    /// How many of them were told that theirs is kept.
    accepted: usize,
    /// The `traceparent` and `tracestate` of each request.
    parents: Vec<(Option<String>, Option<String>)>,
    /// Where events go that are heard, if there is a real API.
    real: Option<String>,
}

impl Mood {
    fn status(self) -> u16 {
        if let Self::Status(status) = self { status } else { 204 }
    }
}

/// What the real API answers; 502 if it does not.
async fn tell(real: &str, (id, timestamp, signature): (&str, &str, &str), body: bytes::Bytes) -> u16 {
    let request = reqwest::Client::new().post(real).header("webhook-id", id).header("webhook-timestamp", timestamp);
    let answer = request.header("webhook-signature", signature).body(body).send().await;
    answer.map_or(502, |answer| answer.status().as_u16())
}

impl Receiver {
    pub async fn start() -> Self {
        Self::in_front_of(None).await
    }

    /// What is heard is told to `real`, and its answer passed on.
    pub async fn in_front_of(real: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = State {
            mood: Mood::Status(204),
            events: BTreeMap::new(),
            times: Vec::new(),
            accepted: 0,
            parents: Vec::new(),
            real,
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

    pub fn set(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    pub fn requests(&self) -> usize {
        self.state.lock().unwrap().times.len()
    }

    /// When each request came.
    pub fn times(&self) -> Vec<Instant> {
        self.state.lock().unwrap().times.clone()
    }

    /// How many events it has answered to have kept, the same one again counted again.
    pub fn accepted(&self) -> usize {
        self.state.lock().unwrap().accepted
    }

    /// The `traceparent` and `tracestate` of each request.
    pub fn parents(&self) -> Vec<(Option<String>, Option<String>)> {
        self.state.lock().unwrap().parents.clone()
    }

    /// The ids of all events, and the keys they tell of.
    pub fn ids_and_keys(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let state = self.state.lock().unwrap();
        let key = |event: &serde_json::Value| event["data"]["key"].as_str().unwrap().to_owned();
        (state.events.keys().cloned().collect(), state.events.values().map(key).collect())
    }

    /// What it has heard.
    pub fn events(&self) -> Vec<serde_json::Value> {
        self.state.lock().unwrap().events.values().cloned().collect()
    }

    async fn connection(self, mut stream: TcpStream) {
        let mood = self.state.lock().unwrap().mood;
        match mood {
            Mood::Dead => return,
            Mood::Garbage => {
                let _ = stream.write_all(b"\x00\xFFnonsense\r\n\r\n").await;
                return;
            }
            Mood::Status(_) | Mood::Slow => {}
        }
        let service = service_fn(move |request| self.clone().answer(request));
        // A connection that the client gives up ends with an error here.
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Empty<bytes::Bytes>>, std::io::Error> {
        if request.method() == hyper::Method::HEAD {
            return Ok(Response::builder().status(405).body(Empty::new()).unwrap());
        }
        let text = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        let (id, timestamp, signature) = (text("webhook-id"), text("webhook-timestamp"), text("webhook-signature"));
        let parent = ["traceparent", "tracestate"].map(|name| request.headers().get(name).map(|_| text(name)));
        let Ok(body) = request.into_body().collect().await else { return Err(std::io::Error::other("cut off")) };
        let body = body.to_bytes();
        let secret = STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap();
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret);
        let signed = [format!("{id}.{timestamp}.").as_bytes(), &body].concat();
        let sent = STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
        ring::hmac::verify(&key, &signed, &sent).expect("the signature is right");
        let event: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let (mood, real) = {
            let mut state = self.state.lock().unwrap();
            state.times.push(Instant::now());
            state.parents.push(parent.into());
            (state.mood, state.real.clone())
        };
        let mut heard = 204;
        if matches!(mood, Mood::Slow | Mood::Status(200..=299)) {
            heard = match real {
                None => mood.status(),
                Some(real) => tell(&real, (&id, &timestamp, &signature), body).await,
            };
            if heard < 300 {
                let mut state = self.state.lock().unwrap();
                state.accepted += 1;
                state.events.insert(id, event);
            }
        }
        let status = match mood {
            Mood::Status(200..=299) => heard,
            Mood::Status(status) => status,
            Mood::Slow => {
                tokio::time::sleep(Duration::from_secs(3)).await;
                204
            }
            Mood::Garbage | Mood::Dead => return Err(std::io::Error::other("its mood has changed")),
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
