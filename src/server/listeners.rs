//! Listening sockets: bound by the program, or passed by its parent process.

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;

use crate::config;
use crate::support::listener;
use crate::support::threads::count_or_cores;

/// The sockets of the server, one per serving thread.
#[derive(Debug)]
pub struct Listeners {
    sockets: Vec<TcpListener>,
    address: SocketAddr,
}

/// Connections that the kernel queues until they are accepted.
const BACKLOG: i32 = 4096;

impl Listeners {
    /// Uses the sockets that were passed according to sd_listen_fds(3) (`LISTEN_FDS`), for example by a systemd socket
    /// unit. If no sockets were passed, binds `server.listen`.
    ///
    /// Inherited sockets outlive this process: clients that connect during a restart wait in the backlog for the next process.
    ///
    /// # Errors
    /// A passed descriptor is not a listening TCP socket, or the address is in use or not local.
    pub fn inherit_or_bind(config: &config::Server) -> io::Result<Self> {
        let mut passed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for n in 0..passed.len() {
            if let Some(socket) = passed.take_tcp_listener(n)? {
                socket.set_nonblocking(true)?;
                sockets.push(socket);
            }
        }
        match sockets.first() {
            Some(first) => Self { address: first.local_addr()?, sockets }.shared_by(count_or_cores(config.threads)),
            None => Self::bind(config),
        }
    }

    /// Binds `server.listen` once per serving thread. Port 0 selects a free port, see [`Listeners::address`].
    ///
    /// # Errors
    /// The address is in use or not local.
    pub fn bind(config: &config::Server) -> io::Result<Self> {
        let first = listener::bind(config.listen, BACKLOG)?;
        let address = first.local_addr()?;
        let others = (1..count_or_cores(config.threads)).map(|_| listener::bind(address, BACKLOG));
        Ok(Self { sockets: std::iter::once(Ok(first)).chain(others).collect::<io::Result<_>>()?, address })
    }

    /// Duplicates inherited sockets so that every thread has one.
    fn shared_by(self, threads: usize) -> io::Result<Self> {
        let shared = self.sockets.iter().cycle().take(threads.max(self.sockets.len()));
        Ok(Self { sockets: shared.map(TcpListener::try_clone).collect::<io::Result<_>>()?, ..self })
    }

    /// The address of the first socket.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn into_sockets(self) -> Vec<TcpListener> {
        self.sockets
    }
}
