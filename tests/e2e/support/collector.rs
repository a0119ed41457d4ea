//! A fake trace collector, which stores the spans it receives and injects the faults that a test selects.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use tokio::net::TcpListener;

/// How the collector responds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behavior {
    Accept,
    Status(u16),
    /// Never responds.
    Hang,
    /// Redirects to this URL.
    Redirect(String),
}

#[derive(Clone)]
pub struct Collector {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    behavior: Behavior,
    spans: Vec<Span>,
    /// Concatenated bodies of all requests.
    bytes: Vec<u8>,
    headers: Vec<HeaderMap>,
}

/// A received span, with ids in hexadecimal and attribute values as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub name: String,
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub kind: i32,
    pub attributes: BTreeMap<String, String>,
    pub links: Vec<(String, String)>,
    pub state: String,
    pub is_error: bool,
    /// Start and end.
    pub time: (u64, u64),
    /// Attributes of the process that sent it.
    pub resource: BTreeMap<String, String>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value| match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{other:?}"),
    };
    attributes.into_iter().map(|pair| (pair.key, text(pair.value.and_then(|value| value.value)))).collect()
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = State { behavior: Behavior::Accept, spans: Vec::new(), bytes: Vec::new(), headers: Vec::new() };
        let this = Self { address, state: Arc::new(Mutex::new(state)) };
        let serving = this.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let this = serving.clone();
                let service = service_fn(move |request| this.clone().respond(request));
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
        this
    }

    pub fn url(&self) -> String {
        format!("http://{}/v1/traces", self.address)
    }

    pub fn set(&self, behavior: Behavior) {
        self.state.lock().unwrap().behavior = behavior;
    }

    /// Returns all received spans.
    pub fn spans(&self) -> Vec<Span> {
        self.state.lock().unwrap().spans.clone()
    }

    /// Returns the spans of one trace.
    pub fn trace(&self, id: &str) -> Vec<Span> {
        self.spans().into_iter().filter(|span| span.trace == id).collect()
    }

    /// True if a span of this name and trace was received.
    pub fn has(&self, trace: &str, name: &str) -> bool {
        self.trace(trace).iter().any(|span| span.name == name)
    }

    /// Returns the headers of all requests.
    pub fn request_headers(&self) -> Vec<HeaderMap> {
        self.state.lock().unwrap().headers.clone()
    }

    /// Returns the bodies of all requests, decoded as text as far as possible.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.state.lock().unwrap().bytes).into_owned()
    }

    async fn respond(self, request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, hyper::Error> {
        assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/v1/traces"));
        assert_eq!(request.headers()["content-type"], "application/x-protobuf");
        let headers = request.headers().clone();
        let body = request.into_body().collect().await?.to_bytes();
        let behavior = {
            let mut state = self.state.lock().unwrap();
            state.headers.push(headers);
            state.bytes.extend_from_slice(&body);
            if state.behavior == Behavior::Accept {
                state.spans.extend(decode(&body));
            }
            state.behavior.clone()
        };
        let response = Response::builder();
        let response = match behavior {
            Behavior::Accept => response,
            Behavior::Status(status) => response.status(status),
            Behavior::Hang => std::future::pending().await,
            Behavior::Redirect(to) => response.status(307).header("location", to),
        };
        Ok(response.body(Empty::new()).unwrap())
    }
}

fn decode(body: &[u8]) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let mut spans = Vec::new();
    for resource_spans in request.resource_spans {
        let resource = texts(resource_spans.resource.unwrap().attributes);
        for span in resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.push(Span {
                name: span.name,
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                kind: span.kind,
                attributes: texts(span.attributes),
                links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
                state: span.trace_state,
                is_error: span.status.is_some_and(|status| status.code == 2),
                time: (span.start_time_unix_nano, span.end_time_unix_nano),
                resource: resource.clone(),
            });
        }
    }
    spans
}
