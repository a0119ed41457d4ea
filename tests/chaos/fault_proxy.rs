//! A TCP proxy in front of the S3 server that delays, resets, stalls or refuses connections.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::random::{self, Random};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkFault {
    None,
    /// Delays each chunk by up to 200 ms.
    Delay,
    /// Drops one chunk in eight and resets its connection.
    Reset,
    /// Forwards nothing until the fault changes.
    Stall,
    /// Resets new connections.
    Refuse,
}

/// Handle of the proxy, which runs as long as the runtime.
pub struct FaultProxy {
    address: String,
    fault: Arc<Mutex<NetworkFault>>,
}

impl FaultProxy {
    /// Starts a proxy to `server` (host and port).
    pub async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let fault = Arc::new(Mutex::new(NetworkFault::None));
        let current = fault.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, current) = (server.clone(), current.clone());
                tokio::spawn(async move {
                    let fault = *current.lock().unwrap();
                    if fault == NetworkFault::Refuse {
                        return reset(&client);
                    }
                    // While the server is down, the connection breaks.
                    if let Ok(server) = TcpStream::connect(server).await {
                        relay(client, server, &current).await;
                    }
                });
            }
        });
        Self { address, fault }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn set(&self, fault: NetworkFault) {
        *self.fault.lock().unwrap() = fault;
    }
}

/// Copies in both directions until one of them ends.
async fn relay(client: TcpStream, server: TcpStream, fault: &Mutex<NetworkFault>) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = copy(from_client, to_server, fault) => {}
        () = copy(from_server, to_client, fault) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, fault: &Mutex<NetworkFault>) {
    let mut random = Random::new(random::seed());
    let mut chunk = vec![0; 8192];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        loop {
            let now = *fault.lock().unwrap();
            match now {
                NetworkFault::Delay => tokio::time::sleep(Duration::from_millis(random.below(200))).await,
                NetworkFault::Reset if random.one_in(8) => {
                    // Half of the chunk arrives.
                    let _ = to.write_all(&chunk[..length / 2]).await;
                    return reset(to.as_ref());
                }
                NetworkFault::Stall => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
                NetworkFault::None | NetworkFault::Reset | NetworkFault::Refuse => {}
            }
            break;
        }
        if to.write_all(&chunk[..length]).await.is_err() {
            return;
        }
    }
}

/// Makes the stream send RST instead of FIN when it is dropped.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
