//! A bounded queue of log lines in front of a writer that may block or fail.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::observability::metrics::LostLines;
use crate::support::url_secrets::mask_text;

/// Accepts log lines without blocking, and masks the secrets of URLs in them. Lines that do not fit are lost and counted.
/// Clones share the queue.
#[derive(Debug, Clone)]
pub struct LineQueue(Arc<Shared>);

/// Waits until the lines of a [`LineQueue`] are written.
#[derive(Debug)]
pub struct LogFlush {
    queue: LineQueue,
    /// Disconnected when the writer thread has ended.
    writer_ended: Receiver<()>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Notified when there are lines to write, and when the queue is closed.
    changed: Condvar,
    lost: &'static LostLines,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    is_closed: bool,
}

/// Size of the queue.
const BYTES_MAX: usize = 1 << 20;

/// Longest wait for the writer at the end, in case the reader of the log is stuck.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

impl LineQueue {
    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(out: impl io::Write + Send + 'static, lost: &'static LostLines) -> io::Result<(Self, LogFlush)> {
        let queue = Self(Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), lost }));
        let (ending, writer_ended) = sync_channel(0);
        let shared = queue.0.clone();
        thread::Builder::new().name("log".into()).spawn(move || {
            shared.write_to(out);
            drop(ending);
        })?;
        Ok((queue.clone(), LogFlush { queue, writer_ended }))
    }
}

impl LogFlush {
    /// Writes the lines so far, for at most one second. Later lines are lost.
    pub fn finish(self) {
        self.queue.0.state().is_closed = true;
        self.queue.0.changed.notify_one();
        let ended = self.writer_ended.recv_timeout(FLUSH_TIMEOUT);
        debug_assert!(matches!(ended, Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected)));
    }
}

/// One write is one line. It never fails, so that a log never affects the work.
impl io::Write for LineQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let masked = str::from_utf8(line).map(mask_text);
        let text = masked.as_ref().map_or(line, |masked| masked.as_bytes());
        let mut state = self.0.state();
        if state.is_closed || state.lines.len() + text.len() > BYTES_MAX {
            self.0.lost.add(1);
        } else {
            state.lines.extend_from_slice(text);
            drop(state);
            self.0.changed.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    /// Ignores poisoning: lines are complete whenever the lock is released.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes lines until the queue is closed and empty.
    fn write_to(&self, mut out: impl io::Write) {
        let mut lines = Vec::new();
        loop {
            let mut state = self.state();
            while state.lines.is_empty() {
                if state.is_closed {
                    return;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            std::mem::swap(&mut state.lines, &mut lines);
            drop(state);
            self.lost.add(write_lines(&mut out, &lines));
            lines.clear();
        }
    }
}

/// Writes `lines` and returns the number of those that could not be written.
pub(in crate::observability) fn write_lines(out: &mut impl io::Write, mut lines: &[u8]) -> u64 {
    while !lines.is_empty() {
        match out.write(lines) {
            Ok(written @ 1..) => lines = &lines[written.min(lines.len())..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => break,
        }
    }
    memchr::memchr_iter(b'\n', lines).count() as u64
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::mpsc::channel;

    use super::*;
    use crate::observability::blocked_writer::BlockedWriter;

    #[test]
    fn a_blocked_writer_loses_lines_but_blocks_no_caller() {
        static LOST: LostLines = LostLines::new();
        let (unblock, blocked) = channel();
        let (sent, written) = channel();
        let (mut queue, flush) = LineQueue::start(BlockedWriter(blocked, sent), &LOST).unwrap();
        let line = [b"a".repeat(999), b"\n".to_vec()].concat();
        let count = 3 * BYTES_MAX / line.len();
        for _ in 0..count {
            assert_eq!(queue.write(&line).unwrap(), line.len());
        }
        drop(unblock);
        flush.finish();
        let lines = written.iter().flatten().filter(|byte| *byte == b'\n').count();
        assert!(LOST.get() > 0);
        assert_eq!(lines as u64 + LOST.get(), count as u64, "every line is written or counted");
        queue.write_all(b"late\n").unwrap();
        assert_eq!(lines as u64 + LOST.get(), count as u64 + 1);
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        /// Accepts a few bytes, then fails like a full disk.
        struct Full(usize);
        impl io::Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let length = self.0.min(bytes.len());
                self.0 -= length;
                if length == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(length) }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        assert_eq!(write_lines(&mut Full(100), b"one\ntwo\nthree\n"), 0);
        assert_eq!(write_lines(&mut Full(5), b"one\ntwo\nthree\n"), 2);
        assert_eq!(write_lines(&mut Full(0), b"one\ntwo\nthree\n"), 3);
    }
}
