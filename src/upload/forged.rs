//! How often each client has shown what nobody gave it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Forgeries of this minute, by client.
#[derive(Debug)]
pub(super) struct Forged {
    minute: Mutex<Minute>,
    per_minute: u32,
}

#[derive(Debug)]
struct Minute {
    since: Instant,
    by_client: HashMap<IpAddr, u32>,
}

const MINUTE: Duration = Duration::from_secs(60);

/// Clients that are counted apart, in less than a megabyte; all others share one count.
const CLIENTS_MAX: usize = 10_000;
const THE_OTHERS: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

impl Forged {
    pub(super) fn new(per_minute: u32) -> Self {
        Self { minute: Mutex::new(Minute { since: Instant::now(), by_client: HashMap::new() }), per_minute }
    }

    /// Counts one more of `client`; `true` if it is beyond what a minute may have.
    pub(super) fn is_one_too_many(&self, client: IpAddr) -> bool {
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        if minute.since.elapsed() > MINUTE {
            *minute = Minute { since: Instant::now(), by_client: HashMap::new() };
        }
        let client = network(client);
        let is_counted_apart = minute.by_client.len() < CLIENTS_MAX || minute.by_client.contains_key(&client);
        let count = minute.by_client.entry(if is_counted_apart { client } else { THE_OTHERS }).or_default();
        *count = count.saturating_add(1);
        *count > self.per_minute
    }
}

/// One subscriber has a whole /64 of IPv6 (RFC 6177), and would else have as many tries as addresses in it.
fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_tries_of_its_own() {
        let forged = Forged::new(2);
        let tries = |client: &str| (0..3).map(|_| forged.is_one_too_many(client.parse().unwrap())).collect::<Vec<_>>();
        assert_eq!(tries("192.0.2.1"), [false, false, true]);
        assert_eq!(tries("192.0.2.2"), [false, false, true]);
        assert_eq!(tries("2001:db8::1"), [false, false, true]);
        assert_eq!(tries("2001:db8::ffff:2"), [true; 3], "the same /64");
    }

    #[test]
    fn however_many_clients_there_are_they_take_bounded_memory() {
        let forged = Forged::new(1);
        for n in 0..20_000_u32 {
            forged.is_one_too_many(IpAddr::from(n.to_be_bytes()));
        }
        assert_eq!(forged.minute.lock().unwrap().by_client.len(), CLIENTS_MAX + 1);
        assert!(forged.is_one_too_many("192.0.2.1".parse().unwrap()));
    }
}
