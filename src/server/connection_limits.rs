//! Limits the number of connections per client.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::support::rate_limiter::client_network;

/// Counts the open connections of each client. The map has at most as many entries as there are open connections.
#[derive(Debug, Default)]
pub(super) struct PerClientLimiter {
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// Permission of a client to have one open connection. Dropping it ends the permission.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    limiter: Arc<PerClientLimiter>,
    client: IpAddr,
}

impl PerClientLimiter {
    /// Returns a permit for one more connection of `client`, or `None` if `client` already has `max`.
    pub(super) fn try_acquire(self: &Arc<Self>, client: IpAddr, max: usize) -> Option<ConnectionPermit> {
        let client = client_network(client);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(client).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(ConnectionPermit { limiter: self.clone(), client })
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut open = self.limiter.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_returned_and_clients_without_connections_are_forgotten() {
        let limiter = Arc::<PerClientLimiter>::default();
        let client = IpAddr::from([192, 0, 2, 1]);
        let (first, second) = (limiter.try_acquire(client, 2), limiter.try_acquire(client, 2));
        assert!(first.is_some() && second.is_some() && limiter.try_acquire(client, 2).is_none());
        assert!(limiter.try_acquire(IpAddr::from([192, 0, 2, 2]), 2).is_some());
        drop(first);
        assert!(limiter.try_acquire(client, 2).is_some());
        drop(second);
        assert!(limiter.open.lock().unwrap().is_empty());
    }
}
