//! Benchmarks a cache hit without sockets, from the request to the response, and the parsing of its path.

#![expect(clippy::unwrap_used, reason = "a panic fails the benchmark")]

use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use http::Request;
use resized::app::App;
use resized::config::{Config, Mode, Tuning};
use resized::proxy::Proxy;
use resized::variant::Grammar;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const PATH: &str = "/cat_300x200.jpg";

const CLIENT: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// A proxy for the sample images, and the temporary folder of its variants.
fn proxy(runtime: &Runtime, mode: Mode) -> (Arc<Proxy>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.originals.store = concat!("file:", env!("CARGO_MANIFEST_DIR"), "/samples").parse().unwrap();
    config.variants.store = format!("file:{}", folder.path().display()).parse().unwrap();
    config.variants.public_url = "https://pictures.example.com".to_owned();
    config.answers.mode = mode;
    let app = runtime.block_on(App::build(config, Tuning::default())).unwrap();
    (app.proxy(), folder)
}

fn hits(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let build_request = |headers: &[(&str, &str)]| {
        headers
            .iter()
            .fold(Request::get(PATH).header("host", "localhost"), |request, (name, value)| {
                request.header(*name, *value)
            })
            .body(())
            .unwrap()
    };
    let mut group = criterion.benchmark_group("hit");
    for (name, mode) in [("stream", Mode::Stream), ("redirect", Mode::Redirect)] {
        let (proxy, _folder) = proxy(&runtime, mode);
        let request = build_request(&[("accept", "image/avif,image/webp,*/*"), ("user-agent", "bench")]);
        let first = runtime.block_on(proxy.answer(CLIENT, &request)).response;
        assert!(first.status().as_u16() < 400, "{first:?}");
        group.bench_function(name, |bencher| bencher.iter(|| runtime.block_on(proxy.answer(CLIENT, &request))));
        if let Some(etag) = first.headers().get("etag") {
            let request = build_request(&[("if-none-match", etag.to_str().unwrap())]);
            assert_eq!(runtime.block_on(proxy.answer(CLIENT, &request)).response.status(), 304);
            group.bench_function("not modified", |bencher| {
                bencher.iter(|| runtime.block_on(proxy.answer(CLIENT, &request)))
            });
        }
    }
    group.finish();
}

fn paths(criterion: &mut Criterion) {
    let grammar = Grammar::new(&Config::default()).unwrap();
    let mut group = criterion.benchmark_group("parse");
    for path in [PATH, "/photos/2026/11/Caf%C3%A9_300x200_crop_top_left_q80@2x.png.webp", "/photos/plain.jpg"] {
        group.bench_function(path, |bencher| bencher.iter(|| grammar.parse(path)));
    }
}

criterion_group!(benches, hits, paths);
criterion_main!(benches);
