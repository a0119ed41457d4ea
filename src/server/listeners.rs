//! Sockets to accept on: bound here, or handed over by who started the program.

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel completes while we have not accepted them yet.
const BACKLOG: i32 = 4096;

/// One of any number on the same port, among which the kernel spreads connections.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The sockets that were handed over as sd_listen_fds(3) has it (`LISTEN_FDS`), as by a systemd socket unit. They outlive
/// this process: who connects while none accepts waits for the next.
///
/// # Errors
/// What was handed over is no listening TCP socket.
pub fn inherited() -> io::Result<Vec<TcpListener>> {
    let mut handed = ListenFd::from_env();
    let mut listeners = Vec::new();
    for n in 0..handed.len() {
        if let Some(listener) = handed.take_tcp_listener(n)? {
            listener.set_nonblocking(true)?;
            listeners.push(listener);
        }
    }
    Ok(listeners)
}
