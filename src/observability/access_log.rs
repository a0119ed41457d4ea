//! The access log: one line for each request, on standard output.
//!
//! Each serving thread appends its lines to its own buffer, so that logging a request wakes no other thread. One writer
//! thread collects the buffers several times a second and writes them. Lines are formatted by hand, because a `tracing` event
//! for each request would cost more than a response from memory.

use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use http::{Method, Request, Response, Uri};

use crate::config::{AccessFormat, Log, LogFormat};
use crate::observability::logs::write_lines;
use crate::observability::metrics::LOST_ACCESS_LINES;

mod line;

use line::{Clock, Line};

/// The access log and its writer thread.
#[derive(Debug)]
pub struct AccessLog {
    options: AccessLogOptions,
    writer: Option<SyncSender<Arc<Buffer>>>,
    /// Disconnected when the writer thread ends.
    writer_ended: Receiver<()>,
}

/// Access log buffer of one serving thread. Clones share the buffer.
#[derive(Debug, Clone)]
pub struct AccessLogBuffer {
    options: AccessLogOptions,
    buffer: Option<Arc<Buffer>>,
    writer: Option<SyncSender<Arc<Buffer>>>,
}

/// Settings that select which requests are logged, and how.
#[derive(Debug, Clone, Copy)]
struct AccessLogOptions {
    format: AccessFormat,
    hits: bool,
    /// One of `sample` requests with a status below 400 is logged.
    sample: u32,
}

impl AccessLogOptions {
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
struct Buffer {
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    text: String,
    /// Lines dropped because the buffer was full, since it was last written.
    dropped: u64,
    /// Number of requests with a status below 400 since one of them was last logged.
    skipped: u32,
    clock: Clock,
}

/// Size from which a buffer counts as full. Further lines are dropped and counted.
const BUFFER_BYTES_MAX: usize = 1 << 20;

/// Capacity of the channel to the writer thread. It exceeds the number of serving threads, and a thread announces its
/// buffer only once before the buffer is written.
const BUFFERS_MAX: usize = 1024;

/// Time that lines accumulate before they are written.
const WRITE_INTERVAL: Duration = Duration::from_millis(100);

/// Longest wait for the writer thread at shutdown, in case the reader of the log is stuck.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

impl AccessLog {
    /// Starts the thread that writes lines to `out`, unless `log.access` is off.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(log: &Log, out: impl io::Write + Send + 'static) -> io::Result<Self> {
        let options = AccessLogOptions::new(log);
        let (ending, writer_ended) = sync_channel(0);
        if !log.access {
            return Ok(Self { options, writer: None, writer_ended });
        }
        let (writer, announced) = sync_channel(BUFFERS_MAX);
        thread::Builder::new().name("access-log".into()).spawn(move || {
            write_buffers(&announced, out);
            drop(ending);
        })?;
        Ok(Self { options, writer: Some(writer), writer_ended })
    }

    /// Creates the buffer of a serving thread.
    #[must_use]
    pub fn buffer(&self) -> AccessLogBuffer {
        let buffer = self.writer.is_some().then(Arc::default);
        AccessLogBuffer { options: self.options, buffer, writer: self.writer.clone() }
    }

    /// Waits until the lines of all buffers are written, for at most one second. All buffers must have been dropped.
    pub fn finish(self) {
        drop(self.writer);
        let _ = self.writer_ended.recv_timeout(FINISH_TIMEOUT);
    }
}

impl AccessLogBuffer {
    /// Logs the response to a request that is not valid HTTP. Its method and target are logged as `-`.
    pub fn write_refused<C>(&self, client: IpAddr, response: &Response<C>) {
        let mut request = Request::new(());
        *request.method_mut() = Method::from_bytes(b"-").unwrap_or_default();
        // A URI without a path.
        *request.uri_mut() = Uri::from_static("-");
        self.write(client, &request, response, Duration::ZERO);
    }

    /// Logs a request from `client` and its response. `elapsed` is the time until the response header was ready.
    pub fn write<B, C>(&self, client: IpAddr, request: &Request<B>, response: &Response<C>, elapsed: Duration) {
        let (Some(buffer), Some(writer)) = (&self.buffer, &self.writer) else { return };
        let line = Line {
            client,
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            request_headers: request.headers(),
            status: response.status(),
            response_headers: response.headers(),
            elapsed,
        };
        if !self.options.hits && line.is_hit() {
            return;
        }
        let mut lines = buffer.lines();
        // Errors are always logged.
        if line.status.as_u16() < 400 {
            lines.skipped += 1;
            if lines.skipped < self.options.sample {
                return;
            }
            lines.skipped = 0;
        }
        if lines.text.len() >= BUFFER_BYTES_MAX {
            lines.dropped += 1;
            LOST_ACCESS_LINES.add(1);
            return;
        }
        let was_empty = lines.text.is_empty();
        let Lines { text, clock, .. } = &mut *lines;
        line.push(self.options.format, clock, text);
        drop(lines);
        if was_empty {
            // This fails only if the writer thread has ended.
            let _ = writer.try_send(buffer.clone());
        }
    }
}

impl Buffer {
    /// Ignores poisoning: lines are complete whenever the lock is released.
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes announced buffers to `out` until all senders are dropped.
fn write_buffers(announced: &Receiver<Arc<Buffer>>, mut out: impl io::Write) {
    let mut buffers = Vec::new();
    let mut text = String::new();
    while let Ok(first) = announced.recv() {
        buffers.push(first);
        let until = Instant::now() + WRITE_INTERVAL;
        while let Ok(buffer) = announced.recv_timeout(until.saturating_duration_since(Instant::now())) {
            buffers.push(buffer);
        }
        for buffer in buffers.drain(..) {
            let dropped = {
                let mut lines = buffer.lines();
                std::mem::swap(&mut lines.text, &mut text);
                std::mem::take(&mut lines.dropped)
            };
            // A closed or full log does not affect requests.
            LOST_ACCESS_LINES.add(write_lines(&mut out, text.as_bytes()));
            text.clear();
            if dropped > 0 {
                tracing::warn!(dropped, "access log lines dropped because the log is written too slowly");
            }
        }
        let _ = out.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observability::blocked_writer::BlockedWriter;

    #[test]
    fn a_full_buffer_drops_lines_without_blocking_and_writes_the_others_once() {
        let (unblock, blocked) = std::sync::mpsc::channel();
        let (sent, written) = std::sync::mpsc::channel();
        let log = AccessLog::start(&Log::default(), BlockedWriter(blocked, sent)).unwrap();
        let (first, second) = (log.buffer(), log.buffer());
        let (request, response) = (Request::new(()), Response::new(()));
        let mut lines = 0;
        while first.buffer.as_ref().unwrap().lines().dropped == 0 {
            first.write(IpAddr::from([192, 0, 2, 1]), &request, &response, Duration::ZERO);
            lines += 1;
        }
        second.write(IpAddr::from([192, 0, 2, 2]), &request, &response, Duration::ZERO);
        drop((unblock, log, first, second));
        let text = written.into_iter().flatten().collect::<Vec<u8>>();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text.lines().filter(|line| line.contains("192.0.2.1 ")).count(), lines - 1);
        assert_eq!(text.lines().filter(|line| line.contains("192.0.2.2 ")).count(), 1);
    }
}
