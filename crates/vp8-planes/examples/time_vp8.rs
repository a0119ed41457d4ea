//! Compares the decoding time with libwebp and image-webp, and prints the median CPU time of alternating rounds:
//! `cargo run --release -p vp8-planes --example time_vp8 FILE.webp...`
//!
//! The environment variable ROUNDS sets the number of rounds (default 9), and ONLY a substring of the decoders to run.

#![expect(unsafe_code, clippy::unwrap_used, reason = "libwebp is a C library, and an error ends the example")]

use std::ffi::c_int;
use std::ptr;
use std::time::Duration;

use vp8_planes::{Header, Limits, LoopFilter, Options, decode};

fn vp8_chunk(file: &[u8]) -> &[u8] {
    let at = file.windows(4).position(|name| name == b"VP8 ").unwrap();
    let length = u32::from_le_bytes(*file[at + 4..].first_chunk().unwrap()) as usize;
    &file[at + 8..at + 8 + length]
}

fn cpu_time() -> Duration {
    let status = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(status.split(' ').next().unwrap().parse().unwrap())
}

fn vp8_planes(frame: &[u8], filter: LoopFilter) -> usize {
    let header = Header::read(frame, &Limits::default()).unwrap();
    decode(frame, &header, &[filter], &Options::default()).unwrap()[0].data.len()
}

fn libwebp(file: &[u8]) -> usize {
    let (mut numbers, mut planes) = ([0 as c_int; 4], [ptr::null_mut(); 2]);
    let ([width, height, stride, uv_stride], [u, v]) = (numbers.each_mut(), planes.each_mut());
    // SAFETY: the length matches the slice, each pointer is to a variable of its type, and the returned allocation is
    // freed once.
    unsafe {
        let y = libwebp_sys::WebPDecodeYUV(file.as_ptr(), file.len(), width, height, u, v, stride, uv_stride);
        libwebp_sys::WebPFree(y.cast());
    }
    numbers[0] as usize
}

fn main() {
    for path in std::env::args().skip(1) {
        let file = std::fs::read(&path).unwrap();
        let frame = vp8_chunk(&file);
        let decoders: [(&str, &dyn Fn() -> usize); 4] = [
            ("libwebp", &|| libwebp(&file)),
            ("image-webp", &|| image_webp::vp8::Vp8Decoder::decode_frame(frame).unwrap().ybuf.len()),
            ("vp8-planes", &|| vp8_planes(frame, LoopFilter::Apply)),
            ("vp8-planes, loop filter skipped", &|| vp8_planes(frame, LoopFilter::Skip)),
        ];
        let rounds = std::env::var("ROUNDS").map_or(9, |rounds| rounds.parse().unwrap());
        let only = std::env::var("ONLY").unwrap_or_default();
        let mut times = [const { Vec::new() }; 4];
        for _ in 0..rounds {
            for ((name, decoder), times) in decoders.iter().zip(&mut times) {
                if name.contains(&only) {
                    let start = cpu_time();
                    std::hint::black_box(decoder());
                    times.push((cpu_time() - start).as_secs_f64() * 1e3);
                }
            }
        }
        println!("{path}");
        for ((name, _), mut times) in decoders.iter().zip(times).filter(|(_, times)| !times.is_empty()) {
            times.sort_by(f64::total_cmp);
            println!("  {name}: {:.1} ms", times[times.len() / 2]);
        }
    }
}
