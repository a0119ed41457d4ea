//! Limits of how much of something one client may have at the same time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;

use super::rate_limiter::client_network;

/// Adds up what each client has, such as connections or bytes. It has at most one entry for each permit.
#[derive(Debug, Default)]
pub struct PerClient {
    hasher: RandomState,
    /// Threads rarely wait for one another, because clients are spread over several maps.
    shards: [Mutex<HashMap<IpAddr, u64, RandomState>>; SHARDS],
}

const SHARDS: usize = 16;

/// The right of a client to an amount. Dropping it returns the amount.
#[derive(Debug)]
pub struct ClientPermit {
    all: Arc<PerClient>,
    client: IpAddr,
    amount: u64,
}

impl PerClient {
    /// A permit for `amount` more, or `None` if `client` would then have more than `max`. An IPv6 client is its network.
    #[must_use]
    pub fn try_acquire(self: &Arc<Self>, client: IpAddr, amount: u64, max: u64) -> Option<ClientPermit> {
        let client = client_network(client);
        match self.shard(client).entry(client) {
            Entry::Occupied(mut held) => {
                let sum = held.get().saturating_add(amount);
                (sum <= max).then(|| held.insert(sum))?;
            }
            Entry::Vacant(vacant) => {
                (amount <= max).then(|| vacant.insert(amount))?;
            }
        }
        Some(ClientPermit { all: self.clone(), client, amount })
    }

    fn shard(&self, client: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, u64, RandomState>> {
        // The cast is lossless: the remainder is below `SHARDS`.
        let shard = &self.shards[(self.hasher.hash_one(client) % SHARDS as u64) as usize];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ClientPermit {
    fn drop(&mut self) {
        if let Entry::Occupied(mut held) = self.all.shard(self.client).entry(self.client) {
            *held.get_mut() -= self.amount;
            if *held.get() == 0 {
                held.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_returned_and_clients_without_permits_are_forgotten() {
        let limits = Arc::<PerClient>::default();
        let client = IpAddr::from([192, 0, 2, 1]);
        let (first, second) = (limits.try_acquire(client, 1, 3), limits.try_acquire(client, 2, 3));
        assert!(first.is_some() && second.is_some() && limits.try_acquire(client, 1, 3).is_none());
        assert!(limits.try_acquire(IpAddr::from([192, 0, 2, 2]), 1, 3).is_some());
        assert!(limits.try_acquire(IpAddr::from([192, 0, 2, 3]), 4, 3).is_none());
        drop(first);
        assert!(limits.try_acquire(client, 2, 3).is_none() && limits.try_acquire(client, 1, 3).is_some());
        drop(second);
        assert!(limits.shards.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let limits = Arc::<PerClient>::default();
        let _permit = limits.try_acquire("2001:db8::1".parse().unwrap(), 1, 1).unwrap();
        assert!(limits.try_acquire("2001:db8::2".parse().unwrap(), 1, 1).is_none());
        assert!(limits.try_acquire("2001:db8:0:1::1".parse().unwrap(), 1, 1).is_some());
    }
}
