//! `resized health`: asks the one that runs here whether it lives, for containers that have nothing else to ask with.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::Settings;

/// Ask the server that runs here whether it lives; for a container's health check
///
/// Asks /healthz on admin.listen. Exit status 1 if it does not answer, or not that all is well.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Ask /readyz instead: whether it can serve, that is, both stores have answered and it does not stop
    #[arg(long)]
    ready: bool,
}

const PATIENCE: Duration = Duration::from_secs(5);
/// What is read of an answer; these are a line.
const ANSWER_BYTES_MAX: u64 = 4096;

pub(super) fn run(arguments: &Arguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let listen = settings.config.admin.listen.context("admin.listen is empty: there is nobody to ask")?;
    let path = if arguments.ready { "/readyz" } else { "/healthz" };
    let address = reachable(listen);
    let answer = ask(address, path).with_context(|| format!("http://{address}{path}"))?;
    let status = answer.split(' ').nth(1).unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body.trim_end());
    println!("{status} {body}");
    Ok(if status == "200" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn ask(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

/// Where to ask a listener on every address of this machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}
