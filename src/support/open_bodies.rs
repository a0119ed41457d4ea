//! Limits of the responses that are being sent: in total by the memory that they need, and for each client by a share of it.
//!
//! A response needs a permit if it holds more than its connection does: a stream from a store, with its buffers and its
//! file or connection, or a stream of HTTP/2.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::memory::{MemoryBudget, MemoryPermit};
use super::per_client::{ClientPermit, PerClient};

/// Gives permits for responses that are being sent.
#[derive(Debug)]
pub struct OpenBodies {
    memory: Arc<MemoryBudget>,
    clients: Arc<PerClient>,
    client_bytes_max: u64,
}

/// The right to send a response. Clones share it; it ends with the last one.
#[derive(Debug, Clone)]
pub struct BodyPermit {
    _charge: Arc<Charge>,
}

#[derive(Debug)]
struct Charge {
    _memory: MemoryPermit,
    /// `None` if the client is not limited.
    _client: Option<ClientPermit>,
}

/// Why a response is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooManyBodies {
    #[error("the memory for responses that are being sent is in use (memory); try again after the time in Retry-After")]
    Total,
    /// The client uses its part of the memory.
    #[error("this client receives too many responses at the same time; finish some of them, or try again later")]
    Client,
}

/// Memory of one body that is streamed from a store: two chunks, and the buffers of the connection to the store.
pub const STREAMED_BODY_BYTES: u64 = 192 << 10;

/// One client may use the memory divided by this number, so that it cannot exhaust it.
const CLIENT_PART: u64 = 4;

/// The memory divided by this number is not for streamed bodies.
const RESERVED_PART: u64 = 8;

impl OpenBodies {
    /// Limits all responses to the memory of `memory`, and those of one client to a part of it.
    #[must_use]
    pub fn new(memory: Arc<MemoryBudget>) -> Self {
        let client_bytes_max = memory.bytes_max() / CLIENT_PART;
        Self { memory, clients: Arc::default(), client_bytes_max }
    }

    /// Maximum number of bodies that are streamed from a store at the same time.
    #[must_use]
    pub fn streams_max(memory_bytes: u64) -> u64 {
        memory_bytes / STREAMED_BODY_BYTES
    }

    /// A permit for a body that is streamed from a store and needs `bytes` of memory. Such bodies leave a part of the
    /// memory to others, so that slow readers of originals do not keep variants from HTTP/2 clients. `client` is `None` if
    /// it is not limited.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn try_stream(&self, client: Option<IpAddr>, bytes: u64) -> Result<BodyPermit, TooManyBodies> {
        let permit = self.try_open(client, bytes)?;
        let streamed_max = self.memory.bytes_max() - self.memory.bytes_max() / RESERVED_PART;
        if self.memory.used_bytes() > streamed_max { Err(TooManyBodies::Total) } else { Ok(permit) }
    }

    /// A permit for a response that needs `bytes` of memory. `client` is `None` if it is not limited.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn try_open(&self, client: Option<IpAddr>, bytes: u64) -> Result<BodyPermit, TooManyBodies> {
        let client = match client {
            Some(client) => {
                let permit = self.clients.try_acquire(client, bytes, self.client_bytes_max);
                Some(permit.ok_or(TooManyBodies::Client)?)
            }
            None => None,
        };
        let memory = self.memory.try_acquire(bytes).map_err(|_| TooManyBodies::Total)?;
        Ok(BodyPermit { _charge: Arc::new(Charge { _memory: memory, _client: client }) })
    }
}

/// Bytes that hold the permit of their response.
struct ChargedChunk {
    bytes: Bytes,
    _permit: BodyPermit,
}

impl AsRef<[u8]> for ChargedChunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl BodyPermit {
    /// Ties the permit to a chunk, which may wait in the buffers of a connection after its stream has ended.
    #[must_use]
    pub fn attach(&self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(ChargedChunk { bytes, _permit: self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const CLIENT: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    fn open_bodies(bytes_max: u64) -> OpenBodies {
        OpenBodies::new(Arc::new(MemoryBudget::new(bytes_max, 0, Duration::ZERO)))
    }

    #[test]
    fn one_client_cannot_use_all_memory_and_all_clients_cannot_use_more() {
        let bodies = open_bodies(16 << 20);
        let mut permits = Vec::new();
        while let Ok(permit) = bodies.try_open(CLIENT, 1 << 20) {
            permits.push(permit);
        }
        assert_eq!((permits.len(), bodies.try_open(CLIENT, 1).unwrap_err()), (4, TooManyBodies::Client));
        permits.extend((0..12).map(|_| bodies.try_open(None, 1 << 20).unwrap()));
        assert_eq!(bodies.try_open(None, 1).unwrap_err(), TooManyBodies::Total);
        permits.clear();
        assert_eq!(bodies.memory.used_bytes(), 0);
        assert!(bodies.try_open(CLIENT, 4 << 20).is_ok());
    }

    #[test]
    fn streamed_bodies_leave_memory_to_other_responses() {
        let bodies = open_bodies(16 << 20);
        let permits: Vec<_> = std::iter::from_fn(|| bodies.try_stream(None, 1 << 20).ok()).collect();
        assert_eq!((permits.len(), bodies.try_stream(None, 1).unwrap_err()), (14, TooManyBodies::Total));
        assert!(bodies.try_open(None, 1 << 20).is_ok());
    }

    #[test]
    fn a_permit_lasts_until_the_last_chunk_is_sent() {
        let bodies = open_bodies(16 << 20);
        let permit = bodies.try_open(CLIENT, 1 << 20).unwrap();
        let chunk = permit.attach(Bytes::from_static(b"chunk")).slice(1..);
        drop(permit);
        assert_eq!((&chunk[..], bodies.memory.used_bytes()), (&b"hunk"[..], 1 << 20));
        drop(chunk);
        assert_eq!(bodies.memory.used_bytes(), 0);
    }
}
