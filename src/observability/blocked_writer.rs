//! A writer for tests that accepts nothing at first.

use std::io;
use std::sync::mpsc::{Receiver, Sender};

/// A writer that blocks until its first channel closes, then passes on the bytes that it receives.
pub(super) struct BlockedWriter(pub(super) Receiver<()>, pub(super) Sender<Vec<u8>>);

impl io::Write for BlockedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        let _ = self.1.send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
