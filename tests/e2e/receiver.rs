//! An API that hears of uploads: it verifies signatures, keeps each id once, and behaves as badly as a test wants.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
    requests: usize,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = State { mood: Mood::Status(204), events: BTreeMap::new(), requests: 0 };
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
        self.state.lock().unwrap().requests
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
        let Ok(body) = request.into_body().collect().await else { return Err(std::io::Error::other("cut off")) };
        let body = body.to_bytes();
        let secret = STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap();
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret);
        let signed = [format!("{id}.{timestamp}.").as_bytes(), &body].concat();
        let sent = STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
        ring::hmac::verify(&key, &signed, &sent).expect("the signature is right");
        let event: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let mood = {
            let mut state = self.state.lock().unwrap();
            state.requests += 1;
            if matches!(state.mood, Mood::Slow | Mood::Status(200..=299)) {
                state.events.insert(id, event);
            }
            state.mood
        };
        let status = match mood {
            Mood::Status(status) => status,
            Mood::Slow => {
                tokio::time::sleep(Duration::from_secs(3)).await;
                204
            }
            Mood::Garbage | Mood::Dead => return Err(std::io::Error::other("its mood has changed")),
        };
        let response = Response::builder().status(status);
        let response = if status == 429 { response.header("retry-after", "1") } else { response };
        Ok(response.body(Empty::new()).unwrap())
    }
}
