//! Any bytes, at any scale: an error or planes of the promised sizes.
#![no_main]

use jpeg_planes::{Header, Incomplete, Limits, Options, Scale, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (choice, bytes) = input;
    let limits = Limits { pixels: 1 << 18, scans: 32, segments: 256 };
    let Ok(header) = Header::read(bytes, &limits) else { return };
    let scale = |n: u8| Scale::ALL[usize::from(choice >> n & 3)];
    let scales = [scale(0), scale(2), scale(4)];
    let incomplete = if choice & 64 == 0 { Incomplete::Keep } else { Incomplete::Refuse };
    let tolerance = if choice & 128 == 0 { 0.0 } else { 4.0 };
    let Ok(planes) = decode(bytes, &header, &Options { scales, incomplete, limits, tolerance, proceed: &|| true }) else {
        return;
    };
    for (n, (plane, scale)) in planes.iter().zip(scales).enumerate() {
        assert_eq!(Some((plane.width, plane.height)), header.plane_size(n, scale));
    }
});
