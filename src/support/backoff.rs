//! Pauses between the attempts of an operation that failed, with jitter so that nodes do not retry in step.

use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

/// Exponential backoff: each pause is twice the one before it, up to `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    pub first: Duration,
    pub max: Duration,
}

impl Backoff {
    /// The pause after `failures` failed attempts, without jitter.
    #[must_use]
    pub fn pause(&self, failures: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        self.first.saturating_mul(doubled).min(self.max)
    }
}

/// A random duration from zero to `max`, evenly distributed.
#[must_use]
pub fn jitter(max: Duration) -> Duration {
    max.mul_f64(f64::from(u32::from_ne_bytes(random_bytes())) / f64::from(u32::MAX))
}

/// Returns random bytes from the operating system. On failure the bytes are zero, which only removes the jitter.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let _ = SystemRandom::new().fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let backoff = Backoff { first: Duration::from_millis(50), max: Duration::from_millis(400) };
        let pauses = [1, 2, 3, 4, 5, u32::MAX].map(|failures| backoff.pause(failures).as_millis());
        assert_eq!(pauses, [50, 100, 200, 400, 400, 400]);
    }

    #[test]
    fn jitter_stays_below_its_maximum_and_varies() {
        let max = Duration::from_secs(1);
        let samples: Vec<_> = (0..100).map(|_| jitter(max)).collect();
        assert!(samples.iter().all(|sample| *sample <= max));
        assert!(samples.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
