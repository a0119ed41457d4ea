//! Restarts with a socket that outlives the process, as with a systemd socket unit: no request fails.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::support::bucket::Bucket;
use crate::support::node::on_bucket;
use crate::support::pictures::jpeg;
use crate::support::stage::until;

/// Holds the socket and starts processes that inherit it.
struct SocketUnit {
    socket: TcpListener,
    bucket: Bucket,
}

impl SocketUnit {
    async fn new() -> Self {
        let bucket = Bucket::start().await;
        bucket.put_object("originals/cat.jpg", jpeg(64, 48), "image/jpeg");
        Self { socket: TcpListener::bind("127.0.0.1:0").unwrap(), bucket }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// The shell sets the descriptor number and the process id that sd_listen_fds(3) expects.
    fn start(&self) -> Child {
        let socket: OwnedFd = self.socket.try_clone().unwrap().into();
        Command::new("sh")
            .args(["-c", "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" 3<&0 0</dev/null"])
            .arg(env!("CARGO_BIN_EXE_resized"))
            .current_dir(std::env::temp_dir())
            .envs(on_bucket(&self.bucket))
            .envs([("RESIZED_ADMIN__LISTEN", ""), ("RESIZED_SERVER__THREADS", "2"), ("RESIZED_LOG__ACCESS", "false")])
            .stdin(Stdio::from(socket))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }
}

fn terminate(process: &Child) {
    kill_process(Pid::from_raw(i32::try_from(process.id()).unwrap()).unwrap(), Signal::TERM).unwrap();
}

/// A client that never retries. It keeps its connection until a response closes it (RFC 9112 section 9.6).
struct Client {
    address: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    async fn get(&mut self, path: &str) -> std::io::Result<String> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => BufReader::new(TcpStream::connect(self.address).await?),
        };
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        connection.get_mut().write_all(request.as_bytes()).await?;
        let (mut head, mut line) = (String::new(), String::new());
        while line != "\r\n" {
            line.clear();
            if connection.read_line(&mut line).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            head.push_str(&line);
        }
        let head = head.to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
        connection.read_exact(&mut vec![0; length]).await?;
        if !head.contains("connection: close") {
            self.connection = Some(connection);
        }
        Ok(head.lines().next().unwrap_or_default().to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_restarts_under_load_fail_no_request() {
    let unit = SocketUnit::new().await;
    let (ended, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut process = unit.start();
    let clients: Vec<_> = (0..16)
        .map(|n| {
            let (ended, answered, address) = (ended.clone(), answered.clone(), unit.address());
            tokio::spawn(async move {
                let mut client = Client { address, connection: None };
                while !ended.load(Ordering::Relaxed) {
                    let status = client.get(&format!("/cat_{}x.jpg", 10 + n % 4)).await.unwrap();
                    assert_eq!(status, "http/1.1 200 ok");
                    answered.fetch_add(1, Ordering::Relaxed);
                    if n % 4 == 0 {
                        // Some clients use a new connection for each request.
                        client.connection = None;
                    }
                }
            })
        })
        .collect();
    for restart in 0..10 {
        let before = answered.load(Ordering::Relaxed);
        until("requests are answered", || {
            clients.iter().any(tokio::task::JoinHandle::is_finished) || answered.load(Ordering::Relaxed) > before + 100
        })
        .await;
        terminate(&process);
        // Every other time the new process starts before the old one has ended. Otherwise new clients wait in the backlog.
        let overlapping = (restart % 2 == 0).then(|| unit.start());
        let ended = tokio::task::spawn_blocking(move || process.wait()).await.unwrap().unwrap();
        assert!(ended.success(), "{ended}");
        process = overlapping.unwrap_or_else(|| unit.start());
    }
    let before = answered.load(Ordering::Relaxed);
    until("requests are answered", || answered.load(Ordering::Relaxed) > before + 100).await;
    ended.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    terminate(&process);
    process.wait().unwrap();
}
