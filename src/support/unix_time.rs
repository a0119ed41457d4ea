//! Times as milliseconds since 1970, as they are stored and signed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Converts a time; times before 1970 become 0.
#[must_use]
pub fn millis(time: SystemTime) -> u64 {
    duration_millis(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Returns the current time.
#[must_use]
pub fn now_millis() -> u64 {
    millis(SystemTime::now())
}

/// Converts a duration.
#[must_use]
pub fn duration_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
