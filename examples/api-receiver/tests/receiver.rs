//! Tests of the running program: signatures, stored events, and restarts after a kill.

#![expect(clippy::unwrap_used, reason = "a failing test panics")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::Client;
use standardwebhooks::Webhook;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

const BODY: &str = r#"{"type":"original.stored","timestamp":"2026-11-24T23:00:00.000Z","data":{"key":"a.jpg",
    "url":"https://images.example.com/a.jpg","content_type":"image/jpeg","bytes":10,"width":4,"height":null,
    "sha256":"00","etag":"\"1\"","time":"2026-11-24T23:00:00.000Z"}}"#;

struct Api(Child, String);

impl Api {
    fn start(folder: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_api-receiver"))
            .envs([("WEBHOOK_SECRET", SECRET), ("LISTEN", "127.0.0.1:0")])
            .env("DATABASE", folder.join("originals.db"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self(process, line.trim().strip_prefix("listening on ").unwrap().to_owned())
    }

    async fn send(&self, id: &str, seconds_ago: i64, signature: Option<&str>, body: &str) -> u16 {
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap() - seconds_ago;
        let signed = Webhook::new(SECRET).unwrap().sign(id, now, body.as_bytes()).unwrap();
        let request = Client::new().post(format!("{}/hook", self.1)).header("webhook-id", id);
        let request =
            request.header("webhook-timestamp", now).header("webhook-signature", signature.unwrap_or(&signed));
        request.body(body.to_owned()).send().await.unwrap().status().as_u16()
    }

    async fn ids(&self) -> Vec<String> {
        let answer = Client::new().get(format!("{}/originals", self.1)).send().await.unwrap();
        let rows: Vec<(String, serde_json::Value)> = answer.json().await.unwrap();
        assert!(
            rows.iter().all(|(_, row)| row["url"] == "https://images.example.com/a.jpg" && row["height"].is_null())
        );
        rows.into_iter().map(|(id, _)| id).collect()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn repeated_event_is_stored_once_and_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let api = Api::start(folder.path());
    for id in ["msg_1", "msg_1", "msg_2"] {
        assert_eq!(api.send(id, 0, None, BODY).await, 204);
    }
    drop(api);
    let api = Api::start(folder.path());
    assert_eq!(api.send("msg_1", 0, None, BODY).await, 204);
    assert_eq!(api.ids().await, ["msg_1", "msg_2"]);
}

#[tokio::test]
async fn unsigned_and_expired_events_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let api = Api::start(folder.path());
    let other_signature =
        Webhook::new("whsec_c2VjcmV0IG9mIHNvbWVib2R5IGVsc2U=").unwrap().sign("msg_1", 1, b"{}").unwrap();
    assert_eq!(api.send("msg_1", 0, Some(&other_signature), BODY).await, 401);
    assert_eq!(api.send("msg_1", 0, Some("v1,"), BODY).await, 401);
    assert_eq!(api.send("msg_1", 3600, None, BODY).await, 401);
    assert_eq!(api.send("msg_1", 0, None, "{}").await, 400);
    assert_eq!(api.send("msg_1", 0, None, &BODY.replace("original.stored", "original.moved")).await, 204);
    assert!(api.ids().await.is_empty());
}
