//! A random number generator that repeats its sequence for the same seed.

use std::time::SystemTime;

/// SplitMix64 (Steele, Lea and Flood, 2014).
pub struct Random(u64);

/// A different seed for each run.
pub fn seed() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos().into()
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 to `end` - 1.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }

    /// A Zipf-distributed number from 0 to `end` - 1: number k has the weight 1 / (k + 1).
    pub fn zipf(&mut self, end: usize) -> usize {
        let weights = || (0..end).map(|k| 1.0 / (k as f64 + 1.0));
        let mut at = (self.next() >> 11) as f64 / (1_u64 << 53) as f64 * weights().sum::<f64>();
        weights()
            .position(|weight| {
                at -= weight;
                at < 0.0
            })
            .unwrap_or(end - 1)
    }
}
