//! A cold resize without network or store: bytes in, bytes out, on the committed pictures.

#![expect(clippy::unwrap_used, reason = "a bench fails by it")]

use std::fs;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use resized::config::Config;
use resized::resize::{Header, Limits, render};
use resized::variant::{Grammar, Named};

/// The original, and the paths that ask for its variants.
const PICTURES: [(&str, &[&str]); 4] = [
    ("large.jpg", &["large_300x300.jpg", "large_800x800.jpg", "large_1600x1600.jpg", "large_800x800.jpg.webp"]),
    ("hubble.jpg", &["hubble_300x300.jpg", "hubble_300x300_crop.jpg.webp"]),
    ("logo.png", &["logo_300x300.png", "logo_300x300.png.webp"]),
    ("galaxies.webp", &["galaxies_300x300.webp"]),
];

fn cold(criterion: &mut Criterion) {
    let config = Config::default();
    let grammar = Grammar::new(&config).unwrap();
    let limits = Limits::from(&config);
    let mut group = criterion.benchmark_group("render");
    for (name, paths) in PICTURES {
        let original = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name)).unwrap();
        let header = Header::read(&original, &limits).unwrap();
        group.throughput(Throughput::Elements(u64::from(header.width) * u64::from(header.height)));
        for path in paths {
            let Named::Variant(addressed) = grammar.parse(&format!("/{path}")).unwrap() else {
                unreachable!("{path} has a size")
            };
            let variant = addressed.variant;
            group.bench_with_input(BenchmarkId::from_parameter(path), &original, |bencher, original| {
                bencher.iter(|| {
                    let header = Header::read(original, &limits).unwrap();
                    render(original, &header, variant.geometry, variant.encoding, &limits).unwrap()
                });
            });
        }
    }
}

criterion_group!(benches, cold);
criterion_main!(benches);
