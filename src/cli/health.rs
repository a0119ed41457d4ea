//! `resized health`: checks the running server, for container images without another HTTP client.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::{Settings, print};

/// Check the health of the server on this host, for container health checks
///
/// Requests /healthz from admin.listen. Exit status 1 if the response is not 200.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Request /readyz instead: both stores have responded and the server is not shutting down
    #[arg(long)]
    ready: bool,
}

const TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum size of the response, which is a single line.
const RESPONSE_BYTES_MAX: u64 = 4096;

pub(super) fn run(arguments: &Arguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let listen = settings.config.admin.listen.context("admin.listen is empty, so there is no server to check")?;
    let path = if arguments.ready { "/readyz" } else { "/healthz" };
    let address = connect_address(listen);
    let response = request(address, path).with_context(|| format!("http://{address}{path}"))?;
    let status = response.split(' ').nth(1).unwrap_or_default();
    let body = response.split_once("\r\n\r\n").map_or("", |(_, body)| body.trim_end());
    print::line(format_args!("{status} {body}"));
    Ok(if status == "200" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn request(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.take(RESPONSE_BYTES_MAX).read_to_string(&mut response)?;
    Ok(response)
}

/// Replaces an unspecified listen address, which means all addresses, with the loopback address.
fn connect_address(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}
