//! How many connections each client has.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::support::rate_limiter::network;

/// Connections by client. As many entries as there are connections, at most.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    client: IpAddr,
}

impl Places {
    /// A place for one more connection of `client`, unless it has `per_client` already.
    pub(super) fn take(self: &Arc<Self>, client: IpAddr, per_client: usize) -> Option<Place> {
        let client = network(client);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(client).or_default();
        if *count >= per_client {
            return None;
        }
        *count += 1;
        Some(Place { places: self.clone(), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_given_back_and_nothing_is_kept_of_who_has_none() {
        let places = Arc::<Places>::default();
        let client = IpAddr::from([192, 0, 2, 1]);
        let (one, two) = (places.take(client, 2), places.take(client, 2));
        assert!(one.is_some() && two.is_some() && places.take(client, 2).is_none());
        assert!(places.take(IpAddr::from([192, 0, 2, 2]), 2).is_some());
        drop(one);
        assert!(places.take(client, 2).is_some());
        drop(two);
        assert!(places.taken.lock().unwrap().is_empty());
    }
}
