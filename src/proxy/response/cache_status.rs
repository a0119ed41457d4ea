//! Reports the source of a variant as response headers and as a metric.

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue};

use crate::cache::ServedFrom;
use crate::observability::metrics::Outcome;
use crate::proxy::response::headers::{CACHE_STATUS, HIT, ResponsePolicy, SERVER_TIMING, STORED};
use crate::variants::{Acquisition, Delivery, FoundVariant, Timings};

/// Sets the headers that differ from the prebuilt headers of a cache hit.
pub(in crate::proxy) fn describe(found: &FoundVariant, policy: &ResponsePolicy, headers: &mut HeaderMap) {
    let (served_from, acquisition) = (found.served_from, found.delivery.acquisition());
    if served_from == ServedFrom::Memory {
        return;
    }
    headers.insert(CACHE_STATUS, HeaderValue::from_static(cache_status(served_from, acquisition)));
    let is_stale = served_from == ServedFrom::StaleMemory || acquisition == Acquisition::Stale;
    if is_stale || !found.delivery.is_cacheable() {
        // Caches ask again soon.
        headers.insert(CACHE_CONTROL, policy.error_cache_control.clone());
    }
    if served_from == ServedFrom::StaleMemory {
        return;
    }
    if let Some(timing) = server_timing(found.delivery.timings()) {
        headers.insert(SERVER_TIMING, timing);
    }
}

/// The outcome that the metrics count for a response with a variant.
pub(in crate::proxy) fn outcome(found: &FoundVariant) -> Outcome {
    match (found.served_from, found.delivery.acquisition()) {
        (ServedFrom::Memory, _) if matches!(found.delivery, Delivery::Stored(_)) => Outcome::Stored,
        (ServedFrom::Memory, _) => Outcome::Hit,
        (ServedFrom::StaleMemory, _) | (_, Acquisition::Stale) => Outcome::Stale,
        (ServedFrom::JoinedFlight, _) => Outcome::Joined,
        (ServedFrom::OwnFlight, Acquisition::Made) => Outcome::Made,
        (ServedFrom::OwnFlight, Acquisition::Stored) => Outcome::Stored,
        (ServedFrom::OwnFlight, Acquisition::Revalidated) => Outcome::Revalidated,
    }
}

/// The value of `Cache-Status` (RFC 9211); docs/URLS.md explains each value.
const fn cache_status(served_from: ServedFrom, acquisition: Acquisition) -> &'static str {
    match (served_from, acquisition) {
        (ServedFrom::Memory, _) => HIT,
        (ServedFrom::StaleMemory, _) | (_, Acquisition::Stale) => "resized; hit; detail=stale",
        (ServedFrom::JoinedFlight, Acquisition::Revalidated) => "resized; fwd=stale; collapsed; detail=joined",
        (ServedFrom::JoinedFlight, Acquisition::Made | Acquisition::Stored) => {
            "resized; fwd=miss; collapsed; detail=joined"
        }
        (ServedFrom::OwnFlight, Acquisition::Made) => "resized; fwd=miss; detail=made",
        (ServedFrom::OwnFlight, Acquisition::Stored) => STORED,
        (ServedFrom::OwnFlight, Acquisition::Revalidated) => "resized; fwd=stale; fwd-status=304; detail=revalidated",
    }
}

/// The value of `Cache-Status` of an interim answer.
pub(in crate::proxy) const fn interim_status(served_from: ServedFrom, acquisition: Acquisition) -> &'static str {
    match (served_from, acquisition) {
        (ServedFrom::Memory, _) => "resized; hit; detail=interim",
        (ServedFrom::StaleMemory, _) | (_, Acquisition::Stale) => cache_status(served_from, acquisition),
        (ServedFrom::JoinedFlight, Acquisition::Revalidated) => "resized; fwd=stale; collapsed; detail=interim",
        (ServedFrom::JoinedFlight, Acquisition::Made | Acquisition::Stored) => {
            "resized; fwd=miss; collapsed; detail=interim"
        }
        (ServedFrom::OwnFlight, Acquisition::Made | Acquisition::Stored) => "resized; fwd=miss; detail=interim",
        (ServedFrom::OwnFlight, Acquisition::Revalidated) => "resized; fwd=stale; fwd-status=304; detail=interim",
    }
}

/// The value of `Server-Timing`.
pub(in crate::proxy) fn server_timing(timings: &Timings) -> Option<HeaderValue> {
    let steps: Vec<_> =
        timings.iter().map(|(name, time)| format!("{name};dur={:.1}", time.as_secs_f64() * 1000.0)).collect();
    HeaderValue::try_from(steps.join(", ")).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::proxy::original::BYPASS;

    #[test]
    fn the_docs_list_every_cache_status() {
        let (_, docs) = include_str!("../../../docs/URLS.md").split_once("\n### Cache-Status\n").unwrap();
        let (docs, _) = docs.split_once("\n## ").unwrap();
        let rows = docs.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
        let listed: BTreeSet<_> = rows.map(|(value, _)| value).collect();
        let acquisitions = [Acquisition::Made, Acquisition::Stored, Acquisition::Revalidated, Acquisition::Stale];
        let sources = [ServedFrom::Memory, ServedFrom::StaleMemory, ServedFrom::OwnFlight, ServedFrom::JoinedFlight];
        let mut all: BTreeSet<_> = sources
            .iter()
            .flat_map(|source| acquisitions.map(|acquisition| (*source, acquisition)))
            .flat_map(|(source, acquisition)| [cache_status(source, acquisition), interim_status(source, acquisition)])
            .collect();
        all.insert(BYPASS);
        assert_eq!(listed, all);
    }
}
