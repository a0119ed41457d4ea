//! What the program says of itself: events on standard error, one line a request on standard output.
//!
//! A request's line is formatted by hand, and written on a thread of its own. A `tracing` event a request would cost more
//! than the answer from memory does; everything else is a `tracing` event.

use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use http::header::{CONTENT_LENGTH, HeaderName};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// The events that are sent, and which.
pub struct Events(Box<dyn Fn(EnvFilter) + Send + Sync>);

/// Which events are sent, understood.
#[derive(Debug)]
pub struct Level(EnvFilter);

/// Levels that are not understood.
#[derive(Debug, thiserror::Error)]
pub enum LevelError {
    #[error("log.level")]
    Unknown(#[from] tracing_subscriber::filter::ParseError),
    #[error("events are sent elsewhere already")]
    Taken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Sends events of the levels that `log` names to standard error.
///
/// # Errors
/// `log.level` is not understood, or events are already sent elsewhere.
pub fn start_events(log: &Log) -> Result<Events, LevelError> {
    let filter = EnvFilter::try_new(&log.level)?;
    // The filter's handle knows what it filters: it comes last.
    let events = tracing_subscriber::fmt().with_writer(io::stderr);
    // That it is gone is impossible while the program runs, and that it is poisoned was told.
    match log.format {
        LogFormat::Text => {
            let events = events.with_env_filter(filter).with_filter_reloading();
            let handle = events.reload_handle();
            events.try_init().map_err(LevelError::Taken)?;
            Ok(Events(Box::new(move |filter| drop(handle.reload(filter)))))
        }
        LogFormat::Json => {
            let events = events.json().with_env_filter(filter).with_filter_reloading();
            let handle = events.reload_handle();
            events.try_init().map_err(LevelError::Taken)?;
            Ok(Events(Box::new(move |filter| drop(handle.reload(filter)))))
        }
    }
}

impl Events {
    /// What `level` says.
    ///
    /// # Errors
    /// It is not understood.
    pub fn prepare(&self, level: &str) -> Result<Level, LevelError> {
        Ok(Level(EnvFilter::try_new(level)?))
    }

    /// Sends events of those levels from now on.
    pub fn set(&self, level: Level) {
        (self.0)(level.0);
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

/// An error with its causes, as one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.ends_with(&cause) { text } else { format!("{text}: {cause}") }
    })
}

/// The access log: one line a request.
///
/// Each serving thread appends its lines to a page of its own, so that a line costs no other thread a wake-up; one thread
/// collects the pages a few times a second and writes them.
#[derive(Debug)]
pub struct AccessLog {
    format: LogFormat,
    collector: Option<SyncSender<Arc<Page>>>,
    /// Its other end is dropped by the writing thread when that ends.
    ended: Receiver<()>,
}

/// Where one serving thread's lines wait. Clones write to the same place.
#[derive(Debug, Clone)]
pub struct AccessPage {
    format: LogFormat,
    page: Option<Arc<Page>>,
    collector: Option<SyncSender<Arc<Page>>>,
}

#[derive(Debug, Default)]
struct Page {
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    text: String,
    /// Lines that found the page full since it was last collected.
    lost: u64,
    clock: Clock,
}

/// Bytes that may wait on one page; lines that would need more are lost, and counted.
const PAGE_BYTES: usize = 1 << 20;

/// Pages that may be announced at once. More than there are serving threads, as each is announced once until collected.
const PAGES: usize = 1024;

/// How long lines gather on a page before they are written.
const GATHERING: Duration = Duration::from_millis(100);

impl AccessLog {
    /// Starts the thread that writes lines to `out`, or nothing if `log.access` is off.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(log: &Log, out: impl io::Write + Send + 'static) -> io::Result<Self> {
        let (end, ended) = sync_channel(0);
        if !log.access {
            return Ok(Self { format: log.format, collector: None, ended });
        }
        let (collector, announced) = sync_channel(PAGES);
        thread::Builder::new().name("access-log".into()).spawn(move || {
            collect(&announced, out);
            drop(end);
        })?;
        Ok(Self { format: log.format, collector: Some(collector), ended })
    }

    /// A page for one more serving thread.
    #[must_use]
    pub fn page(&self) -> AccessPage {
        let page = self.collector.is_some().then(Arc::default);
        AccessPage { format: self.format, page, collector: self.collector.clone() }
    }
}

impl AccessLog {
    /// Waits until the lines of all pages, which are gone by now, are written; not long, as their reader may be stuck.
    pub fn finish(self) {
        drop(self.collector);
        let _ = self.ended.recv_timeout(Duration::from_secs(1));
    }
}

impl AccessPage {
    /// Notes a request of `client` and its answer; `elapsed` is the time until the answer's header was ready.
    pub fn write<B, C>(&self, client: IpAddr, request: &Request<B>, response: &Response<C>, elapsed: Duration) {
        let (Some(page), Some(collector)) = (&self.page, &self.collector) else { return };
        let line = Line {
            client,
            method: request.method(),
            uri: request.uri(),
            status: response.status(),
            headers: response.headers(),
            elapsed,
        };
        let mut lines = page.lines();
        if lines.text.len() >= PAGE_BYTES {
            lines.lost += 1;
            return;
        }
        let first = lines.text.is_empty();
        let Lines { text, clock, .. } = &mut *lines;
        match self.format {
            LogFormat::Text => line.text(clock.now(), text),
            LogFormat::Json => line.json(clock.now(), text),
        }
        drop(lines);
        if first {
            // Full only if the collecting thread is gone.
            let _ = collector.try_send(page.clone());
        }
    }
}

impl Page {
    /// Lines are whole at every unlock.
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what gathers on the pages that are announced, until the last page is gone.
fn collect(announced: &Receiver<Arc<Page>>, mut out: impl io::Write) {
    let mut pages = Vec::new();
    let mut text = String::new();
    while let Ok(first) = announced.recv() {
        pages.push(first);
        let until = Instant::now() + GATHERING;
        while let Ok(page) = announced.recv_timeout(until.saturating_duration_since(Instant::now())) {
            pages.push(page);
        }
        for page in pages.drain(..) {
            let lost = {
                let mut lines = page.lines();
                std::mem::swap(&mut lines.text, &mut text);
                std::mem::take(&mut lines.lost)
            };
            // Nobody can be told that the log cannot be written.
            let _ = out.write_all(text.as_bytes());
            text.clear();
            if lost > 0 {
                tracing::warn!(lost, "access log lines were lost: the log is written too slowly");
            }
        }
        let _ = out.flush();
    }
}

/// The time of day as RFC 3339 text, of which only the milliseconds change from line to line.
#[derive(Debug, Default)]
struct Clock {
    second: u64,
    text: String,
}

impl Clock {
    fn now(&mut self) -> &str {
        self.at(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
    }

    fn at(&mut self, since_epoch: Duration) -> &str {
        if self.second != since_epoch.as_secs() || self.text.is_empty() {
            self.second = since_epoch.as_secs();
            self.text.clear();
            let second = SystemTime::UNIX_EPOCH + Duration::from_secs(self.second);
            let _ = write!(self.text, "{}", humantime::format_rfc3339_millis(second));
        }
        self.text.truncate(self.text.len() - "000Z".len());
        push_thousandths(since_epoch.subsec_millis(), &mut self.text);
        self.text.push('Z');
        &self.text
    }
}

/// What is known of a request when its answer's header is.
#[derive(Debug)]
struct Line<'a> {
    client: IpAddr,
    method: &'a Method,
    uri: &'a Uri,
    status: StatusCode,
    headers: &'a HeaderMap,
    elapsed: Duration,
}

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Pushed piece by piece: the machinery of `write!` would cost more than all the rest of a line.
impl Line<'_> {
    /// `time client method target status bytes ms "cache status"`.
    fn text(&self, time: &str, out: &mut String) {
        out.push_str(time);
        out.push(' ');
        push_address(self.client, out);
        for part in [self.method.as_str(), self.target(), self.status.as_str()] {
            out.push(' ');
            out.push_str(part);
        }
        out.push(' ');
        out.push_str(self.header(&CONTENT_LENGTH).unwrap_or("-"));
        out.push(' ');
        self.push_ms(out);
        out.push_str(" \"");
        out.push_str(self.header(&CACHE_STATUS).unwrap_or("-"));
        out.push_str("\"\n");
    }

    fn json(&self, time: &str, out: &mut String) {
        // Of these, only what the client has written may need escaping.
        for (name, value) in [(r#"{"time":""#, time), (r#"","method":""#, self.method.as_str())] {
            out.push_str(name);
            out.push_str(value);
        }
        out.push_str(r#"","client":""#);
        push_address(self.client, out);
        out.push_str(r#"","uri":"#);
        push_json(self.target(), out);
        out.push_str(r#","status":"#);
        out.push_str(self.status.as_str());
        if let Some(bytes) = self.header(&CONTENT_LENGTH) {
            out.push_str(r#","bytes":"#);
            out.push_str(bytes);
        }
        out.push_str(r#","ms":"#);
        self.push_ms(out);
        if let Some(cache) = self.header(&CACHE_STATUS) {
            out.push_str(r#","cache":""#);
            out.push_str(cache);
            out.push('"');
        }
        out.push_str("}\n");
    }

    fn target(&self) -> &str {
        self.uri.path_and_query().map_or("-", http::uri::PathAndQuery::as_str)
    }

    fn push_ms(&self, out: &mut String) {
        let micros = self.elapsed.as_micros();
        push_number(u64::try_from(micros / 1000).unwrap_or(u64::MAX), out);
        out.push('.');
        push_thousandths(self.elapsed.subsec_micros() % 1000, out);
    }

    fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

fn push_address(address: IpAddr, out: &mut String) {
    match address {
        IpAddr::V4(address) => {
            for (n, octet) in address.octets().into_iter().enumerate() {
                if n > 0 {
                    out.push('.');
                }
                push_number(octet.into(), out);
            }
        }
        // RFC 5952 is not worth writing again.
        IpAddr::V6(address) => out.push_str(&address.to_string()),
    }
}

/// A JSON string (RFC 8259 section 7).
fn push_json(text: &str, out: &mut String) {
    let plain = |byte: u8| (b' '..0x7F).contains(&byte) && !matches!(byte, b'"' | b'\\');
    if text.bytes().all(plain) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::from(text).to_string());
    }
}

fn push_number(number: u64, out: &mut String) {
    out.push_str(itoa::Buffer::new().format(number));
}

/// Three digits.
fn push_thousandths(number: u32, out: &mut String) {
    let digit = |n: u32| char::from_digit(n % 10, 10).unwrap_or('0');
    out.extend([digit(number / 100), digit(number / 10), digit(number)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(show: impl Fn(&Line<'_>, &mut String)) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, 1234.into());
        headers.insert(CACHE_STATUS, "resized; hit".parse().unwrap());
        let uri = Uri::from_static("/a\"b_300x200.jpg?v=1");
        let line = Line {
            client: IpAddr::from([192, 0, 2, 1]),
            method: &Method::GET,
            uri: &uri,
            status: StatusCode::OK,
            headers: &headers,
            elapsed: Duration::from_micros(1500),
        };
        let mut text = String::new();
        show(&line, &mut text);
        text
    }

    #[test]
    fn a_line_of_json_is_json_whatever_the_path() {
        let text = lines_of(|line, text| line.json("1970-01-01T00:00:00.000Z", text));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["uri"], &value["client"]), (&"/a\"b_300x200.jpg?v=1".into(), &"192.0.2.1".into()));
        assert_eq!((&value["status"], &value["bytes"], &value["ms"]), (&200.into(), &1234.into(), &1.5.into()));
        assert_eq!(value["cache"], "resized; hit");
    }

    #[test]
    fn a_line_of_text_has_its_fields_in_order() {
        let text = lines_of(|line, text| line.text("1970-01-01T00:00:00.000Z", text));
        let expected = "1970-01-01T00:00:00.000Z 192.0.2.1 GET /a\"b_300x200.jpg?v=1 200 1234 1.500 \"resized; hit\"\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn an_address_is_written_as_the_standard_library_writes_it() {
        for address in ["0.0.0.0", "192.0.2.1", "255.255.255.255", "::1", "2001:db8::a:1"] {
            let mut text = String::new();
            push_address(address.parse().unwrap(), &mut text);
            assert_eq!(text, address);
        }
    }

    #[test]
    fn the_clock_tells_every_millisecond_of_every_second() {
        let mut clock = Clock::default();
        for millis in [0, 7, 999, 1000, 1_700_000_000_123, 1_700_000_000_124, 1_700_000_059_999] {
            let time = Duration::from_millis(millis);
            let expected = humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + time).to_string();
            assert_eq!(clock.at(time), expected);
        }
    }

    /// Takes nothing until told, then passes on what it is given.
    struct Slow(Receiver<()>, std::sync::mpsc::Sender<Vec<u8>>);

    impl io::Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            let _ = self.1.send(bytes.to_vec());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_find_the_page_full_are_lost_without_waiting_and_the_others_are_written_once() {
        let (free, stuck) = std::sync::mpsc::channel();
        let (sent, written) = std::sync::mpsc::channel();
        let log = AccessLog::start(&Log::default(), Slow(stuck, sent)).unwrap();
        let (first, second) = (log.page(), log.page());
        let (request, response) = (Request::new(()), Response::new(()));
        let mut lines = 0;
        while first.page.as_ref().unwrap().lines().lost == 0 {
            first.write(IpAddr::from([192, 0, 2, 1]), &request, &response, Duration::ZERO);
            lines += 1;
        }
        second.write(IpAddr::from([192, 0, 2, 2]), &request, &response, Duration::ZERO);
        drop((free, log, first, second));
        let text = written.into_iter().flatten().collect::<Vec<u8>>();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text.lines().filter(|line| line.contains("192.0.2.1 ")).count(), lines - 1);
        assert_eq!(text.lines().filter(|line| line.contains("192.0.2.2 ")).count(), 1);
    }
}
