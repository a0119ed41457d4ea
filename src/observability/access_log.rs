//! What the program says of itself: events on standard error, one line a request on standard output.
//!
//! A request's line is formatted by hand, and written on a thread of its own. A `tracing` event a request would cost more
//! than the answer from memory does; everything else is a `tracing` event.

use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use http::{Request, Response};
use tracing_subscriber::EnvFilter;

use crate::config::{AccessFormat, Log, LogFormat};

mod line;

use line::{Clock, Line};

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

/// The access log: one line a request.
///
/// Each serving thread appends its lines to a page of its own, so that a line costs no other thread a wake-up; one thread
/// collects the pages a few times a second and writes them.
#[derive(Debug)]
pub struct AccessLog {
    chosen: Chosen,
    collector: Option<SyncSender<Arc<Page>>>,
    /// Its other end is dropped by the writing thread when that ends.
    ended: Receiver<()>,
}

/// Where one serving thread's lines wait. Clones write to the same place.
#[derive(Debug, Clone)]
pub struct AccessPage {
    chosen: Chosen,
    page: Option<Arc<Page>>,
    collector: Option<SyncSender<Arc<Page>>>,
}

/// Which requests have lines, and of what format.
#[derive(Debug, Clone, Copy)]
struct Chosen {
    format: AccessFormat,
    hits: bool,
    /// Of so many that were answered well, one has a line.
    sample: u32,
}

impl Chosen {
    fn new(log: &Log) -> Self {
        let format = match (log.access_format, log.format) {
            (AccessFormat::AsEvents, LogFormat::Text) => AccessFormat::Text,
            (AccessFormat::AsEvents, LogFormat::Json) => AccessFormat::Json,
            (format, _) => format,
        };
        Self { format, hits: log.access_hits, sample: log.access_sample.get() }
    }
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
    /// How many were answered well since the last of them that has a line.
    passed: u32,
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
            return Ok(Self { chosen: Chosen::new(log), collector: None, ended });
        }
        let (collector, announced) = sync_channel(PAGES);
        thread::Builder::new().name("access-log".into()).spawn(move || {
            collect(&announced, out);
            drop(end);
        })?;
        Ok(Self { chosen: Chosen::new(log), collector: Some(collector), ended })
    }

    /// A page for one more serving thread.
    #[must_use]
    pub fn page(&self) -> AccessPage {
        let page = self.collector.is_some().then(Arc::default);
        AccessPage { chosen: self.chosen, page, collector: self.collector.clone() }
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
            version: request.version(),
            asked: request.headers(),
            status: response.status(),
            headers: response.headers(),
            elapsed,
        };
        if !self.chosen.hits && line.is_hit() {
            return;
        }
        let mut lines = page.lines();
        // What went wrong is never left out.
        if line.status.as_u16() < 400 {
            lines.passed += 1;
            if lines.passed < self.chosen.sample {
                return;
            }
            lines.passed = 0;
        }
        if lines.text.len() >= PAGE_BYTES {
            lines.lost += 1;
            return;
        }
        let first = lines.text.is_empty();
        let Lines { text, clock, .. } = &mut *lines;
        line.push(self.chosen.format, clock, text);
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

#[cfg(test)]
mod tests {
    use super::*;

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
