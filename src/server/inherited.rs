//! Listening sockets that the parent process passes to the program.

use std::io;
use std::net::TcpListener;

use listenfd::ListenFd;

/// Takes the sockets that were passed according to sd_listen_fds(3) (`LISTEN_FDS`), for example by a systemd socket unit.
///
/// The sockets outlive this process: clients that connect during a restart wait in the backlog for the next process.
///
/// # Errors
/// A passed descriptor is not a listening TCP socket.
pub fn inherited_listeners() -> io::Result<Vec<TcpListener>> {
    let mut passed = ListenFd::from_env();
    let mut listeners = Vec::new();
    for n in 0..passed.len() {
        if let Some(listener) = passed.take_tcp_listener(n)? {
            listener.set_nonblocking(true)?;
            listeners.push(listener);
        }
    }
    Ok(listeners)
}
