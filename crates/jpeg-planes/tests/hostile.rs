//! Decoding mutated and truncated files gives an error or planes of the expected size, and never panics.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use jpeg_planes::{Header, Incomplete, Limits, Options, Scale, decode};

const LIMITS: Limits = Limits { pixels: 1 << 16, scans: 32, segments: 256 };

fn files() -> Vec<Vec<u8>> {
    let data: Vec<u8> = (0..48 * 40 * 4_u32).map(|n| (n.wrapping_mul(n) >> 3) as u8).collect();
    let mut files = vec![
        include_bytes!("files/arithmetic.jpg").to_vec(),
        include_bytes!("files/arithmetic-restart.jpg").to_vec(),
        include_bytes!("files/arithmetic-progressive.jpg").to_vec(),
    ];
    for progressive in [false, true] {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 70);
        encoder.set_progressive(progressive);
        encoder.encode(&data, 48, 40, ColorType::CmykAsYcck).unwrap();
        files.push(bytes);
    }
    for sampling in [SamplingFactor::F_1_1, SamplingFactor::F_2_2, SamplingFactor::F_2_1] {
        for progressive in [false, true] {
            for restart in [0, 2] {
                let mut bytes = Vec::new();
                let mut encoder = Encoder::new(&mut bytes, 70);
                encoder.set_sampling_factor(sampling);
                encoder.set_progressive(progressive);
                encoder.set_restart_interval(restart);
                encoder.encode(&data[..48 * 40 * 3], 48, 40, ColorType::Rgb).unwrap();
                files.push(bytes);
            }
        }
    }
    files
}

/// A linear congruential generator (constants from Numerical Recipes), so that every run makes the same mutations.
struct Random(u32);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % n
    }
}

fn check(bytes: &[u8]) {
    let Ok(header) = Header::read(bytes, &LIMITS) else { return };
    for scale in Scale::ALL {
        for (incomplete, tolerance) in [(Incomplete::Refuse, 4.0), (Incomplete::Keep, 0.0)] {
            let options =
                Options { scales: [scale.into(); 4], incomplete, limits: LIMITS, tolerance, should_continue: &|| true };
            let Ok(planes) = decode(bytes, &header, &options) else { continue };
            for (n, plane) in planes.iter().enumerate() {
                assert_eq!(Some((plane.width, plane.height)), header.plane_size(n, scale));
                assert_eq!(plane.data.len(), (plane.width * plane.height) as usize);
            }
        }
    }
}

#[test]
fn mutated_files_do_not_panic() {
    let mut random = Random(1);
    for file in files() {
        for _ in 0..300 {
            let mut mutated = file.clone();
            for _ in 0..=random.below(6) {
                let at = random.below(mutated.len());
                match random.below(4) {
                    0 => mutated[at] = random.below(256) as u8,
                    1 => mutated[at] ^= 1 << random.below(8),
                    2 => drop(mutated.splice(at..at, [0xFF, 0xC0 + random.below(64) as u8])),
                    _ => drop(mutated.drain(at..(at + random.below(9)).min(mutated.len()))),
                }
            }
            check(&mutated);
        }
    }
}

#[test]
fn truncated_files_do_not_panic() {
    for file in files().iter().step_by(3) {
        for end in (0..file.len()).step_by(7) {
            check(&file[..end]);
        }
    }
}
