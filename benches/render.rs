//! Benchmarks rendering of the committed sample images, without network and store.

#![expect(clippy::unwrap_used, reason = "a bench fails by it")]

use std::fs;
use std::num::NonZeroU32;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pixels::{Encoding, Geometry, Header, Limits, OutputSpec, Quality, Region, RenderOptions, render};

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

criterion_group!(benches, bench_render);
criterion_main!(benches);
