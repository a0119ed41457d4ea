//! What the program says of itself: events on standard error, one line a request on standard output.
//!
//! A request's line is formatted by hand and on a thread of its own. A `tracing` event a request would cost more than
//! the answer from memory does; everything else is a `tracing` event.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime};

use http::header::{CONTENT_LENGTH, HeaderName};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Sends events of the levels that `log` names to standard error.
///
/// # Errors
/// `log.level` is not understood, or events are already sent elsewhere.
pub fn start_events(log: &Log) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let filter = EnvFilter::try_new(&log.level)?;
    let events = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match log.format {
        LogFormat::Text => events.try_init(),
        LogFormat::Json => events.json().try_init(),
    }
}

/// The access log. Clones write to the same place.
#[derive(Debug, Clone)]
pub struct AccessLog {
    lines: Option<SyncSender<Line>>,
    lost: Arc<AtomicU64>,
}

/// Lines that may wait for the writing thread; more are lost, and counted.
const QUEUE_LINES: usize = 16 * 1024;

/// What is known of a request when its answer's header is.
#[derive(Debug)]
struct Line {
    time: SystemTime,
    method: Method,
    uri: Uri,
    status: StatusCode,
    bytes: Option<HeaderValue>,
    cache: Option<HeaderValue>,
    elapsed: Duration,
}

impl AccessLog {
    /// Starts the thread that writes lines to `out`, or nothing if `log.access` is off.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(log: &Log, out: impl io::Write + Send + 'static) -> io::Result<Self> {
        let lost = Arc::new(AtomicU64::new(0));
        if !log.access {
            return Ok(Self { lines: None, lost });
        }
        let (lines, queue) = sync_channel(QUEUE_LINES);
        let (format, lost_too) = (log.format, lost.clone());
        thread::Builder::new().name("access-log".into()).spawn(move || write_lines(&queue, out, format, &lost_too))?;
        Ok(Self { lines: Some(lines), lost })
    }

    /// Notes a request and its answer; `elapsed` is the time until the answer's header was ready.
    pub fn write<B, C>(&self, request: &Request<B>, response: &Response<C>, elapsed: Duration) {
        let Some(lines) = &self.lines else { return };
        let header = |name: &HeaderName| response.headers().get(name).cloned();
        let line = Line {
            time: SystemTime::now(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            status: response.status(),
            bytes: header(&CONTENT_LENGTH),
            cache: header(&HeaderName::from_static("cache-status")),
            elapsed,
        };
        if lines.try_send(line).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes lines until the last sender is gone; flushes whenever none is waiting.
fn write_lines(queue: &Receiver<Line>, out: impl io::Write, format: LogFormat, lost: &AtomicU64) {
    let mut out = io::BufWriter::with_capacity(64 * 1024, out);
    let mut text = String::with_capacity(512);
    while let Ok(first) = queue.recv() {
        for line in std::iter::once(first).chain(queue.try_iter()) {
            text.clear();
            // Writing to a String cannot fail.
            let _ = match format {
                LogFormat::Text => line.text(&mut text),
                LogFormat::Json => line.json(&mut text),
            };
            // Nobody can be told that the log cannot be written.
            let _ = out.write_all(text.as_bytes());
        }
        let _ = out.flush();
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lost, "access log lines were lost: the log is written too slowly");
        }
    }
}

impl Line {
    /// `time method uri status bytes ms "cache status"`.
    fn text(&self, out: &mut String) -> fmt::Result {
        let time = humantime::format_rfc3339_millis(self.time);
        let (bytes, cache) = (header(self.bytes.as_ref()).unwrap_or("-"), header(self.cache.as_ref()).unwrap_or("-"));
        let ms = self.elapsed.as_secs_f64() * 1000.0;
        writeln!(out, "{time} {} {} {} {bytes} {ms:.3} \"{cache}\"", self.method, self.uri, self.status.as_u16())
    }

    fn json(&self, out: &mut String) -> fmt::Result {
        let time = humantime::format_rfc3339_millis(self.time);
        write!(out, r#"{{"time":"{time}","method":"{}","uri":"#, self.method)?;
        out.push_str(&serde_json::to_string(&self.uri.to_string()).map_err(|_| fmt::Error)?);
        write!(out, r#","status":{}"#, self.status.as_u16())?;
        if let Some(bytes) = header(self.bytes.as_ref()) {
            write!(out, r#","bytes":{bytes}"#)?;
        }
        write!(out, r#","ms":{:.3}"#, self.elapsed.as_secs_f64() * 1000.0)?;
        if let Some(cache) = header(self.cache.as_ref()) {
            // Made by us: nothing in it needs escaping.
            write!(out, r#","cache":"{cache}""#)?;
        }
        writeln!(out, "}}")
    }
}

fn header(value: Option<&HeaderValue>) -> Option<&str> {
    value.and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line {
            time: SystemTime::UNIX_EPOCH,
            method: Method::GET,
            uri: Uri::from_static("/a\"b_300x200.jpg?v=1"),
            status: StatusCode::OK,
            bytes: Some(HeaderValue::from_static("1234")),
            cache: Some(HeaderValue::from_static("resized; hit")),
            elapsed: Duration::from_micros(1500),
        }
    }

    #[test]
    fn a_line_of_json_is_json_whatever_the_path() {
        let mut text = String::new();
        line().json(&mut text).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["uri"], "/a\"b_300x200.jpg?v=1");
        assert_eq!((&value["status"], &value["bytes"], &value["ms"]), (&200.into(), &1234.into(), &1.5.into()));
        assert_eq!(value["cache"], "resized; hit");
    }

    #[test]
    fn a_line_of_text_has_its_fields_in_order() {
        let mut text = String::new();
        line().text(&mut text).unwrap();
        assert_eq!(text, "1970-01-01T00:00:00.000Z GET /a\"b_300x200.jpg?v=1 200 1234 1.500 \"resized; hit\"\n");
    }

    #[test]
    fn lines_that_find_the_queue_full_are_lost_without_waiting() {
        struct Stuck(Receiver<()>);
        impl io::Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (free, stuck) = std::sync::mpsc::channel();
        let log = AccessLog::start(&Log::default(), Stuck(stuck)).unwrap();
        let (request, response) = (Request::new(()), Response::new(()));
        for _ in 0..3 * QUEUE_LINES {
            log.write(&request, &response, Duration::ZERO);
        }
        assert!(log.lost.load(Ordering::Relaxed) > 0);
        drop(free);
    }
}
