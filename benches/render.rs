//! Benchmarks rendering of the committed sample images, without network and store.

#![expect(clippy::unwrap_used, reason = "a bench fails by it")]

use std::fs;
use std::num::NonZeroU32;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pixels::{EncodeOptions, Encoding, Geometry, Header, Limits, OutputSpec, Quality, Region, RenderOptions, render};

/// A sample image and its variants.
struct Sample {
    file: &'static str,
    variants: Vec<OutputSpec>,
}

fn fit(side: u32, encoding: Encoding) -> OutputSpec {
    let side = NonZeroU32::new(side);
    OutputSpec { geometry: Geometry::Fit { width: side, height: side }, encoding }
}

fn crop(side: u32, encoding: Encoding) -> OutputSpec {
    let side = NonZeroU32::new(side).unwrap();
    OutputSpec { geometry: Geometry::Crop { width: side, height: side, region: Region::Center }, encoding }
}

fn samples() -> [Sample; 4] {
    let quality = Quality::new(80).unwrap();
    let (jpeg, webp, png) = (Encoding::Jpeg(quality), Encoding::WebP(quality), Encoding::Png);
    [
        Sample { file: "large.jpg", variants: vec![fit(300, jpeg), fit(800, jpeg), fit(1600, jpeg), fit(800, webp)] },
        Sample { file: "hubble.jpg", variants: vec![fit(300, jpeg), crop(300, webp)] },
        Sample { file: "logo.png", variants: vec![fit(300, png), fit(300, webp)] },
        Sample { file: "galaxies.webp", variants: vec![fit(300, webp)] },
    ]
}

fn bench_render(criterion: &mut Criterion) {
    let limits = Limits::default();
    let options = RenderOptions::new(&limits);
    let mut group = criterion.benchmark_group("render");
    for Sample { file, variants } in samples() {
        let original = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(file)).unwrap();
        let header = Header::read(&original, &limits).unwrap();
        group.throughput(Throughput::Elements(u64::from(header.info.width) * u64::from(header.info.height)));
        for variant in variants {
            let name = format!("{file}_{}.{}", variant.geometry, variant.encoding.format().extension());
            group.bench_with_input(BenchmarkId::from_parameter(name), &original, |bencher, original| {
                bencher.iter(|| {
                    let header = Header::read(original, &limits).unwrap();
                    render(original, &header, variant, &options).unwrap()
                });
            });
        }
    }
}

/// The same variants, scaled gamma-encoded and in linear light.
fn bench_linear_light(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("linear light");
    let variant = fit(512, Encoding::Jpeg(Quality::new(80).unwrap()));
    for file in ["large.jpg", "hubble.jpg", "logo.png", "galaxies.webp"] {
        let original = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(file)).unwrap();
        for (name, linear_light) in [("gamma", false), ("linear", true)] {
            let encode = EncodeOptions { linear_light, ..EncodeOptions::default() };
            let limits = Limits { encode, ..Limits::default() };
            group.bench_with_input(BenchmarkId::new(name, file), &original, |bencher, original| {
                bencher.iter(|| {
                    let header = Header::read(original, &limits).unwrap();
                    render(original, &header, variant, &RenderOptions::new(&limits)).unwrap()
                });
            });
        }
    }
}

criterion_group!(benches, bench_render, bench_linear_light);
criterion_main!(benches);
