//! `encode IN.png OUT.avif QUALITY` prints the processor milliseconds; `score REFERENCE.png OTHER.png` prints ssimulacra2.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// As much of the program as the encoder sees.
mod variant {
    #[derive(Clone, Copy)]
    pub struct Quality(pub u8);

    impl Quality {
        pub fn get(self) -> u8 {
            self.0
        }
    }
}

mod resize;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["encode", from, to, quality] => encode(from, to, quality.parse().expect("1 to 100")),
        ["score", reference, other] => score(reference, other),
        _ => panic!("encode IN.png OUT.avif QUALITY, or score REFERENCE.png OTHER.png"),
    }
}

fn encode(from: &str, to: &str, quality: u8) {
    let picture = image::open(from).expect("a PNG").to_rgb8();
    let (width, height) = picture.dimensions();
    let pixels = resize::scale::Pixels { width, height, channels: 3, data: picture.into_raw() };
    let mut times = Vec::new();
    let mut file = Vec::new();
    for _ in 0..3 {
        let start = worked();
        file = resize::encode(&pixels, quality);
        times.push(worked() - start);
    }
    times.sort();
    std::fs::write(to, file).expect("it can be written");
    println!("{:.1}", times[1].as_secs_f64() * 1000.0);
}

fn worked() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn score(reference: &str, other: &str) {
    use ssimulacra2::{ColorPrimaries, Rgb, TransferCharacteristic, compute_frame_ssimulacra2};
    let [reference, other] = [reference, other].map(|name| {
        let picture = image::open(name).expect("a PNG").to_rgb8();
        let (width, height) = picture.dimensions();
        let data = picture.pixels().map(|pixel| pixel.0.map(|sample| f32::from(sample) / 255.0)).collect();
        let (width, height) = (width as usize, height as usize);
        Rgb::new(data, width, height, TransferCharacteristic::SRGB, ColorPrimaries::BT709).expect("a picture")
    });
    println!("{:.2}", compute_frame_ssimulacra2(reference, other).expect("pictures of one size"));
}
