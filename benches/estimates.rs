//! Compares the estimated with the measured CPU time of many variants of the pictures in folders.
//!
//!     cargo bench --bench estimates -- samples PHOTOS...
//!     cargo bench --bench estimates -- --sample samples PHOTOS...      two variants of each picture
//!
//! Prints a line for each variant: estimated and measured milliseconds of decoding, of scaling and encoding, and of
//! both. The last line counts the estimates within a factor of two. Variants that are estimated to take more than four
//! seconds are left out.

#![expect(clippy::unwrap_used, reason = "a bench fails by it")]

use std::cell::Cell;
use std::fs;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use pixels::{
    Encoding, Geometry, Header, Limits, Observer, OutputSpec, Quality, RenderOptions, Stage, cpu_time, render,
};

const SIDES: [u32; 5] = [64, 300, 800, 1600, 4090];

fn encodings() -> [Encoding; 9] {
    let quality = |n| Quality::new(n).unwrap();
    [
        Encoding::Jpeg(quality(80)),
        Encoding::Jpeg(quality(100)),
        Encoding::WebP(quality(80)),
        Encoding::WebP(quality(30)),
        Encoding::WebP(quality(100)),
        Encoding::Png,
        Encoding::Gif,
        Encoding::Avif(quality(60)),
        Encoding::Avif(quality(100)),
    ]
}

/// Records the CPU time at which decoding ended.
#[derive(Default)]
struct DecodeEnd(Cell<Option<Duration>>);

impl Observer for DecodeEnd {
    fn stage_ended(&self, stage: Stage, _: &'static str, _: Duration) {
        if stage == Stage::Decode {
            self.0.set(Some(cpu_time()));
        }
    }
}

fn main() {
    let (options, folders): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let sample = options.iter().any(|option| option == "--sample");
    let mut files: Vec<PathBuf> = folders
        .into_iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()))
        .collect();
    files.sort();
    #[cfg(feature = "sandbox")]
    resized::resize::sandbox::set_program(env!("CARGO_BIN_EXE_resized").into());
    let limits = Limits { render_time: Duration::from_secs(600), ..Limits::default() };
    let (mut within, mut count) = (0, 0);
    for (n, file) in files.iter().filter(|file| file.is_file()).enumerate() {
        let original = fs::read(file).unwrap();
        let Ok(header) = Header::read(&original, &limits) else { continue };
        let sides = SIDES.into_iter().filter(|side| *side <= 2 * header.info.width.max(header.info.height));
        let all: Vec<_> = sides.flat_map(|side| encodings().map(|encoding| (side, encoding))).collect();
        if all.is_empty() {
            continue;
        }
        // The step is prime to the number of encodings, so all sides and encodings occur equally often.
        let chosen = if sample { (2 * n..2 * n + 2).map(|n| all[7 * n % all.len()]).collect() } else { all };
        for (side, encoding) in chosen {
            let geometry = Geometry::Fit { width: NonZeroU32::new(side), height: NonZeroU32::new(side) };
            let output = OutputSpec { geometry, encoding };
            let estimate = header.cpu_estimate(&[output], &limits.encode);
            if estimate.total() > Duration::from_secs(4) {
                continue;
            }
            let decoded = DecodeEnd::default();
            let options = RenderOptions::new(&limits).with_observer(&decoded);
            #[cfg(feature = "sandbox")]
            let options = options.with_sandbox(&resized::resize::sandbox::ProcessSandbox);
            let start = cpu_time();
            if let Err(error) = render(&original, &header, output, &options) {
                println!("{}: {error}", file.display());
                continue;
            }
            let end = cpu_time();
            let decode = decoded.0.get().map_or(Duration::ZERO, |at| at - start);
            let (ms, total) = (|time: Duration| time.as_secs_f64() * 1000.0, end - start);
            let ratio = estimate.total().as_secs_f64() / total.as_secs_f64();
            (within, count) = (within + usize::from((0.5..=2.0).contains(&ratio)), count + 1);
            println!(
                "{:30} {:5} {side:5} {:4} {:3} decode {:8.1} {:8.1} outputs {:8.1} {:8.1} total {:8.1} {:8.1} ratio {ratio:.2}",
                file.file_name().unwrap().to_string_lossy(),
                header.codec.extension(),
                encoding.format().extension(),
                encoding.quality().map_or(0, Quality::get),
                ms(estimate.decode),
                ms(decode),
                ms(estimate.outputs),
                ms(total - decode),
                ms(estimate.total()),
                ms(total),
            );
        }
    }
    println!("{within} of {count} estimates are within a factor of two");
}
