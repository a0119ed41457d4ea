//! Compares the time of decoding lossless WebP files with image-webp.

use std::io::Cursor;
use std::time::Instant;

use vp8l::{Header, Limits, Options, decode};

/// The median of the times of `work` in milliseconds.
fn time<T>(mut work: impl FnMut() -> T) -> f64 {
    let mut times: Vec<f64> = (0..15)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(work());
            1000.0 * start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for path in std::env::args().skip(1) {
        let file = std::fs::read(&path)?;
        let at = file.windows(4).position(|name| name == b"VP8L").ok_or("no VP8L chunk")?;
        let stream = &file[at + 8..];
        let header = Header::read(stream, &Limits::default())?;
        let ours = time(|| decode(stream, &header, &Options::default()));
        let theirs = time(|| {
            let mut decoder = image_webp::WebPDecoder::new(Cursor::new(&file)).ok()?;
            let mut bytes = vec![0; decoder.output_buffer_size()?];
            decoder.read_image(&mut bytes).ok()?;
            Some(bytes)
        });
        println!("{path}: {}x{}: {ours:.2} ms; image-webp {theirs:.2} ms", header.width, header.height);
    }
    Ok(())
}
