//! Listening sockets: they can share a port, and accepting pauses while the system lacks resources.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::backoff::Backoff;

/// Binds a non-blocking listener with `SO_REUSEPORT`, so that several sockets can listen on the same port and the kernel
/// distributes new connections among them.
///
/// `backlog` is the number of established connections that the kernel queues until they are accepted.
///
/// # Errors
/// The address is in use or not local.
pub fn bind(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// Number of pauses of a listener since the start. Clones share the number.
#[derive(Debug, Clone, Default)]
pub struct AcceptPauses(Arc<AtomicU64>);

impl AcceptPauses {
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Accepts connections. It pauses while the process or the system lacks file descriptors or memory: until connections
/// close, another attempt would only use CPU.
#[derive(Debug)]
pub struct Acceptor {
    listener: tokio::net::TcpListener,
    pauses: AcceptPauses,
    shortage: Shortage,
}

/// The state of a lack of descriptors or memory.
#[derive(Debug, Default)]
struct Shortage {
    failures: u32,
    paused_until: Option<Instant>,
}

const PAUSES: Backoff = Backoff { first: Duration::from_millis(20), max: Duration::from_secs(1) };

/// Bytes that the kernel queues for one connection before they are sent. With a longer queue the kernel would hold
/// megabytes for a client that stops reading, and the progress of a slow one would be seen too rarely.
const UNSENT_BYTES_MAX: u32 = 128 << 10;

impl Acceptor {
    /// Accepts connections of `listener` on the current runtime.
    ///
    /// # Errors
    /// The listener cannot be used on this runtime.
    pub fn new(listener: TcpListener, pauses: AcceptPauses) -> io::Result<Self> {
        // Accepted connections inherit the option. If the system lacks it, only the kernel's memory is less limited.
        #[cfg(target_os = "linux")]
        let _ = SockRef::from(&listener).set_tcp_notsent_lowat(UNSENT_BYTES_MAX);
        let listener = tokio::net::TcpListener::from_std(listener)?;
        Ok(Self { listener, pauses, shortage: Shortage::default() })
    }

    /// Accepts the next connection.
    pub async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            if let Some(end) = self.shortage.paused_until {
                sleep_until(end).await;
            }
            match self.listener.accept().await {
                Ok(accepted) => {
                    self.shortage.record_success();
                    return accepted;
                }
                Err(error) => {
                    if self.shortage.record(&error) {
                        self.pauses.0.fetch_add(1, Relaxed);
                    }
                }
            }
        }
    }
}

impl Shortage {
    /// Records a failed accept. Returns true if accepting pauses now. Other errors concern only the connection that was
    /// to be accepted (accept(2)).
    fn record(&mut self, error: &io::Error) -> bool {
        if !is_shortage(error) {
            return false;
        }
        if self.failures == 0 {
            tracing::error!(%error, "accepting connections paused");
        }
        self.failures = self.failures.saturating_add(1);
        self.paused_until = Some(Instant::now() + PAUSES.pause(self.failures));
        true
    }

    /// Records an accepted connection. The shortage has ended if the last failure is old: one free descriptor does not
    /// end it.
    fn record_success(&mut self) {
        if let Some(paused_until) = self.paused_until
            && Instant::now() > paused_until + PAUSES.max
        {
            tracing::info!("accepting connections resumed");
            *self = Self::default();
        }
    }
}

fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    code.is_none_or(|code| [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_shortage_pauses_ever_longer_until_it_ends_and_other_errors_do_not() {
        let mut shortage = Shortage::default();
        let start = Instant::now();
        let aborted = io::Error::from_raw_os_error(rustix::io::Errno::CONNABORTED.raw_os_error());
        assert!(!shortage.record(&aborted) && shortage.paused_until.is_none());
        let full = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        let mut pauses = Vec::new();
        for _ in 0..8 {
            assert!(shortage.record(&full));
            pauses.push(shortage.paused_until.unwrap() - start);
        }
        assert!(pauses.is_sorted() && pauses[0] == PAUSES.first && pauses[7] == PAUSES.max, "{pauses:?}");
        shortage.record_success();
        assert_eq!(shortage.failures, 8, "the shortage is not over");
        tokio::time::advance(3 * PAUSES.max).await;
        shortage.record_success();
        assert!(shortage.paused_until.is_none() && shortage.failures == 0);
    }
}
