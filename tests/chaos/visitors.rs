//! Those who come: each asks, uploads, purges and replaces at random, and looks at what it gets.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Client, Response, StatusCode, redirect};
use resized::variant::ObjectKey;
use serde_json::json;
use tokio::sync::watch;

use crate::World;
use crate::bucket::{address_of, original};
use crate::fleet::{NODES, PUBLIC_URL, Place, TOKEN};
use crate::model::PICTURES;
use crate::picture::Identity;
use crate::random::Random;

/// What is asked for: the rest of the name, and the size it means for a picture of 480 x 320.
pub const VARIANTS: [(&str, u32, u32); 6] = [
    ("_60x40.jpg", 60, 40),
    ("_120x80.jpg", 120, 80),
    ("_240x160_q60.jpg", 240, 160),
    ("_120x80.jpg.webp", 120, 80),
    ("_90x60.jpg.png", 90, 60),
    ("-150x100.jpg", 150, 100),
];

/// Longer than any flight, queue or store may take: who waits so long hangs.
pub const PATIENCE: Duration = Duration::from_secs(15);

const HERD: usize = 20;

/// Until all is calm.
pub async fn visit(world: Arc<World>, mut random: Random, is_calm: watch::Receiver<bool>) {
    let client = Visitor::new(&world);
    while !*is_calm.borrow() {
        tokio::time::sleep(Duration::from_millis(random.below(20))).await;
        let picture = random.zipf(PICTURES);
        let node = usize::try_from(random.below(NODES as u64)).unwrap();
        let Some(place) = world.fleet.place(node) else { continue };
        let variant = random.of(&VARIANTS);
        match random.below(100) {
            0..3 => client.missing(&place, random.below(1000)).await,
            3..6 => drop(join_all((0..HERD).map(|_| client.look(&place, picture, variant))).await),
            6..10 => world.model.replace(&world.bucket, picture).await,
            10..13 => client.upload(&place, picture).await,
            13..15 => client.purge(&place, picture).await,
            15..17 => client.event(&place, picture).await,
            _ => client.look(&place, picture, variant).await,
        }
    }
}

/// A client, and what it may get.
pub struct Visitor<'a> {
    world: &'a World,
    pub client: Client,
}

impl<'a> Visitor<'a> {
    pub fn new(world: &'a World) -> Self {
        let client = Client::builder().redirect(redirect::Policy::none()).timeout(PATIENCE).build().unwrap();
        Self { world, client }
    }

    /// The answer; none if the process was killed, and a wrong if it lives and there is none all the same.
    async fn send(&self, place: &Place, request: reqwest::RequestBuilder) -> Option<(Response, String)> {
        match request.send().await {
            Ok(response) => {
                let cache = response.headers().get("cache-status").map_or("", |value| value.to_str().unwrap());
                let cache = cache.to_owned();
                Some((response, cache))
            }
            Err(error) => {
                self.broken(place, &error);
                None
            }
        }
    }

    fn broken(&self, place: &Place, error: &reqwest::Error) {
        if self.world.fleet.place(place.node).as_ref() == Some(place) {
            let what = if error.is_timeout() { "hangs" } else { "breaks a connection" };
            self.world.report.wrong(format!("node {} lives and {what}: {error:?}", place.node));
        } else {
            self.world.report.count("answer: none, the process was killed");
        }
    }

    /// Asks for a variant, and holds it against what there is.
    pub async fn look(&self, place: &Place, picture: usize, variant: (&str, u32, u32)) {
        let path = format!("/p{picture}{}", variant.0);
        let floor = self.world.model.floor(picture, place);
        let Some((response, cache)) = self.send(place, self.client.get(format!("{}{path}", place.url))).await else {
            return;
        };
        let status = response.status();
        let bytes = match status {
            StatusCode::OK => match response.bytes().await {
                Ok(bytes) => bytes,
                Err(error) => return self.broken(place, &error),
            },
            StatusCode::MOVED_PERMANENTLY => match self.follow(&response, picture, &cache).await {
                Some(bytes) => bytes,
                None => return,
            },
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT | StatusCode::SERVICE_UNAVAILABLE => {
                return self.world.report.count(format!("answer: {status}"));
            }
            _ => return self.world.report.wrong(format!("{path}: {status}, {cache}")),
        };
        self.world.report.count(format!("answer: {status}, {cache}"));
        let floor = if cache.contains("detail=stale") { 0 } else { floor };
        if let Err(problem) = self.judge(&bytes, picture, variant, floor) {
            self.world.report.wrong(format!("{path} of node {} ({status}, {cache}): {problem}", place.node));
        }
    }

    /// What is in the bucket where a redirect leads to.
    async fn follow(&self, response: &Response, picture: usize, cache: &str) -> Option<bytes::Bytes> {
        let location = response.headers()["location"].to_str().unwrap();
        let key = location.strip_prefix(PUBLIC_URL).and_then(|rest| rest.split_once("?v=")).map(|(key, _)| key);
        let key = ObjectKey::new(key.unwrap_or_else(|| panic!("{location}"))).unwrap();
        match self.world.bucket.variants.get_bounded(&key, 1 << 20).await {
            Ok(Some((_, bytes))) => return Some(bytes),
            Ok(None) if self.world.model.was_purged_lately(picture) => {
                self.world.report.count("answer: 301 to what another node has just purged");
            }
            // Who cannot ask the store does not know what others have deleted.
            Ok(None) if cache.contains("detail=stale") => self.world.report.count("answer: 301, stale, to nothing"),
            Ok(None) => self.world.report.wrong(format!("a redirect leads to nothing: {location} ({cache})")),
            Err(_) => self.world.report.count("answer: 301, and the bucket does not answer"),
        }
        None
    }

    fn judge(&self, bytes: &[u8], picture: usize, variant: (&str, u32, u32), floor: u32) -> Result<(), String> {
        let (identity, width, height) = Identity::read(bytes)?;
        if identity.number != u32::try_from(picture).unwrap() {
            return Err(format!("another picture: {identity:?}"));
        }
        if (width, height) != (variant.1, variant.2) {
            return Err(format!("another size: {width} x {height}"));
        }
        let ceiling = self.world.model.ceiling(picture);
        if identity.version > ceiling {
            return Err(format!("version {} of {ceiling}: not there yet", identity.version));
        }
        if identity.version < floor {
            return Err(format!("version {}, which {floor} replaced long ago", identity.version));
        }
        Ok(())
    }

    async fn missing(&self, place: &Place, number: u64) {
        let path = format!("/missing-{number}_60x40.jpg");
        let Some((response, _)) = self.send(place, self.client.get(format!("{}{path}", place.url))).await else {
            return;
        };
        let status = response.status();
        self.world.report.count(format!("answer to what is missing: {status}"));
        if status != StatusCode::NOT_FOUND && !status.is_server_error() {
            self.world.report.wrong(format!("{path}: {status}"));
        }
    }

    async fn upload(&self, place: &Place, picture: usize) {
        let Some((identity, _guard)) = self.world.model.next(picture) else { return };
        self.world.model.purging(picture);
        let url = format!("{}/upload/{}", place.url, original(picture));
        let put = self.client.put(url).bearer_auth(TOKEN).body(identity.draw());
        let answer = self.send(place, put).await;
        let status = answer.map(|(response, _)| response.status());
        self.world.report.count(format!("upload: {status:?}"));
        self.world.model.purging(picture);
        if status.is_some_and(|status| status.is_success()) {
            self.world.model.forgotten(picture, place, identity.version);
            return self.world.model.known(picture, identity.version);
        }
        if let Some(status) = status.filter(|status| !status.is_server_error()) {
            self.world.report.wrong(format!("an upload is answered {status}"));
        }
        self.world.model.found(picture, self.world.bucket.read_original(picture).await.version);
    }

    async fn purge(&self, place: &Place, picture: usize) {
        let url = format!("{}/purge/{}", place.admin, original(picture));
        self.forget(place, picture, self.client.post(url), "purge").await;
    }

    async fn event(&self, place: &Place, picture: usize) {
        let address = address_of("originals");
        let (bucket, prefix) = address.strip_prefix("s3://").unwrap().split_once('/').unwrap();
        let s3 = json!({"bucket": {"name": bucket}, "object": {"key": format!("{prefix}/{}", original(picture))}});
        let event = json!({"Records": [{"eventName": "ObjectCreated:Put", "s3": s3}]});
        let post = self.client.post(format!("{}/events", place.admin)).body(event.to_string());
        self.forget(place, picture, post, "event").await;
    }

    async fn forget(&self, place: &Place, picture: usize, request: reqwest::RequestBuilder, what: &str) {
        let current = self.world.model.current(picture);
        self.world.model.purging(picture);
        let Some((response, _)) = self.send(place, request).await else { return };
        let status = response.status();
        self.world.report.count(format!("{what}: {status}"));
        self.world.model.purging(picture);
        if status.is_success() {
            self.world.model.forgotten(picture, place, current);
        } else if !status.is_server_error() {
            self.world.report.wrong(format!("a {what} is answered {status}"));
        }
    }
}
