//! The way to the S3 server: a TCP proxy in which connections are slow, break, hang, or are not made at all.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::random::{self, Random};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Clear,
    /// Each piece of a transfer comes up to 200 ms late.
    Slow,
    /// One piece in eight is lost, and the connection with it.
    Breaking,
    /// Nothing passes until the mood is another.
    Hanging,
    /// Nobody is let in.
    Refusing,
}

/// A handle of the proxy; it runs as long as the runtime.
pub struct Weather {
    address: String,
    mood: Arc<Mutex<Mood>>,
}

impl Weather {
    /// A proxy to `server`.
    pub async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mood = Arc::new(Mutex::new(Mood::Clear));
        let moods = mood.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, moods) = (server.clone(), moods.clone());
                tokio::spawn(async move {
                    let mood = *moods.lock().unwrap();
                    if mood == Mood::Refusing {
                        return reset(&client);
                    }
                    // A server that is gone is a connection that breaks.
                    if let Ok(server) = TcpStream::connect(server).await {
                        carry(client, server, &moods).await;
                    }
                });
            }
        });
        Self { address, mood }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

/// Both ways, until one of them ends.
async fn carry(client: TcpStream, server: TcpStream, mood: &Mutex<Mood>) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, mood) => {}
        () = pump(from_server, to_client, mood) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mood: &Mutex<Mood>) {
    let mut random = Random::new(random::seed());
    let mut piece = vec![0; 8192];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        loop {
            let now = *mood.lock().unwrap();
            match now {
                Mood::Slow => tokio::time::sleep(Duration::from_millis(random.below(200))).await,
                Mood::Breaking if random.one_in(8) => {
                    // Some of it arrives.
                    let _ = to.write_all(&piece[..length / 2]).await;
                    return reset(to.as_ref());
                }
                Mood::Hanging => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
                Mood::Clear | Mood::Breaking | Mood::Refusing => {}
            }
            break;
        }
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}

/// An RST in place of a FIN, when it is dropped.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
