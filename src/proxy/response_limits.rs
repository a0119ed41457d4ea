//! Limits of the responses that are being sent, in total and for each client.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use ipnet::IpNet;

use crate::support::open_bodies::{BodyPermit, OpenBodies, STREAMED_BODY_BYTES, TooManyBodies};

/// The limits with the current settings.
#[derive(Debug)]
pub(super) struct ResponseLimits {
    bodies: Arc<OpenBodies>,
    /// Many clients share the address of a proxy that does not name them, so it has no limit of a client.
    trusted_proxies: Vec<IpNet>,
}

/// Memory of a stream of HTTP/2 besides the header of its request.
const STREAM_BYTES: usize = 4 << 10;

/// Memory of a header field besides its name and value.
const FIELD_BYTES: usize = 104;

/// Memory of a short body that is streamed from a store, besides two copies of its bytes.
const BODY_BYTES_MIN: u64 = 16 << 10;

impl ResponseLimits {
    pub(super) fn new(bodies: Arc<OpenBodies>, trusted_proxies: &[IpNet]) -> Self {
        Self { bodies, trusted_proxies: trusted_proxies.to_vec() }
    }

    /// A permit to stream `bytes` of an object.
    pub(super) fn open_object(&self, client: IpAddr, bytes: u64) -> Result<BodyPermit, TooManyBodies> {
        let bytes = STREAMED_BODY_BYTES.min(BODY_BYTES_MIN.saturating_add(bytes.saturating_mul(2)));
        self.bodies.try_stream(self.limited(client), bytes)
    }

    /// A permit for a stream of HTTP/2.
    pub(super) fn open_stream(&self, client: IpAddr, request: &HeaderMap) -> Result<BodyPermit, TooManyBodies> {
        let fields = request.iter().map(|(name, value)| FIELD_BYTES + name.as_str().len() + value.len());
        let bytes = STREAM_BYTES + fields.sum::<usize>();
        self.bodies.try_open(self.limited(client), bytes as u64)
    }

    /// The client, if it is limited.
    fn limited(&self, client: IpAddr) -> Option<IpAddr> {
        let is_proxy = self.trusted_proxies.iter().any(|network| network.contains(&client));
        (!is_proxy).then_some(client)
    }
}
