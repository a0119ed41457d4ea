//! `encode IN.png OUT.avif QUALITY` prints the milliseconds of the encoder; `score REFERENCE.png OTHER.png` prints
//! ssimulacra2.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::time::Duration;

use pixels::{Encoding, Geometry, Header, Limits, Observer, OutputSpec, Quality, RenderOptions, Stage, render};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["encode", from, to, quality] => encode(from, to, quality.parse().expect("1 to 100")),
        ["score", reference, other] => score(reference, other),
        _ => panic!("encode IN.png OUT.avif QUALITY, or score REFERENCE.png OTHER.png"),
    }
}

/// Keeps the time of the last encoding. The encoder runs in one thread, so this is its CPU time on an idle machine.
#[derive(Default)]
struct EncodeTime(Cell<Duration>);

impl Observer for EncodeTime {
    fn stage_ended(&self, stage: Stage, _: &'static str, elapsed: Duration) {
        if stage == Stage::Encode {
            self.0.set(elapsed);
        }
    }
}

fn encode(from: &str, to: &str, quality: u8) {
    let original = std::fs::read(from).expect("a PNG");
    let limits = Limits::default();
    let header = Header::read(&original, &limits).expect("a PNG");
    let geometry = Geometry::Fit { width: NonZeroU32::new(header.info.width), height: None };
    let encoding = Encoding::Avif(Quality::new(quality).expect("1 to 100"));
    let time = EncodeTime::default();
    let options = RenderOptions::new(&limits).with_observer(&time);
    let mut times = Vec::new();
    let mut file = Vec::new();
    for _ in 0..3 {
        file = render(&original, &header, OutputSpec { geometry, encoding }, &options).expect("the image can be encoded");
        times.push(time.0.get());
    }
    times.sort();
    std::fs::write(to, file).expect("the output can be written");
    println!("{:.1}", times[1].as_secs_f64() * 1000.0);
}

fn score(reference: &str, other: &str) {
    use ssimulacra2::{ColorPrimaries, Rgb, TransferCharacteristic, compute_frame_ssimulacra2};
    let [reference, other] = [reference, other].map(|name| {
        let image = image::open(name).expect("a PNG").to_rgb8();
        let (width, height) = image.dimensions();
        let data = image.pixels().map(|pixel| pixel.0.map(|sample| f32::from(sample) / 255.0)).collect();
        let (width, height) = (width as usize, height as usize);
        Rgb::new(data, width, height, TransferCharacteristic::SRGB, ColorPrimaries::BT709).expect("an image")
    });
    println!("{:.2}", compute_frame_ssimulacra2(reference, other).expect("images of the same size"));
}
