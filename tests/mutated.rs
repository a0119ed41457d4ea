//! Mutated originals through the running server. Each response is an image or an error with a reason, arrives in time,
//! and the server's memory stays within the configured limits. The environment variable TEST_MUTATED sets the number of
//! originals: `just mutated` uses 100,000.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic fails the test")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use pixels::sniff;
use reqwest::{Client, StatusCode};

#[path = "shared/process.rs"]
mod process;

use process::{Node, Settings};

const MIB: u64 = 1 << 20;
/// Limits of the cache, downloads, pixels and write-backs, and an allowance for the rest: threads, tables of codecs,
/// connections.
const MEMORY_MIB: [u64; 5] = [16, 32, 64, 16, 160];
const CONCURRENCY: usize = 8;
/// Covers the configured render time, waiting for it, and a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Suffixes of the requested variants.
const SUFFIXES: [&str; 5] = ["64x64.jpg", "40x40_crop_smart.webp", "100x.png", "x30.gif", "4000x4000.jpg.webp"];

/// The generator xorshift64*, so that every run makes the same mutations.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }
}

/// Small originals of every supported format.
fn originals() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = |folder: &str| fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut originals: Vec<_> = files("fuzz/seeds/header").map(|path| fs::read(path).unwrap()).collect();
    // The first four bytes of these seeds select the variant.
    originals.extend(files("fuzz/seeds/render").map(|path| fs::read(path).unwrap()[4..].to_vec()));
    let animations =
        files("crates/pixels/tests/animations").filter(|path| path.extension().is_some_and(|end| end != "py"));
    originals.extend(animations.map(|path| fs::read(path).unwrap()));
    assert!(originals.len() > 20);
    originals
}

/// Applies one to four mutations: flipped bits, extreme values, and repeated, truncated or removed parts. Half of them
/// hit the first 200 bytes.
fn mutate(original: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..=random.below(4) {
        let range = if random.below(2) == 0 { bytes.len().min(200) } else { bytes.len() };
        let at = random.below(range);
        let length = random.below(64).min(bytes.len() - at);
        match random.below(6) {
            0 | 1 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at..at + length].fill(if random.below(2) == 0 { 0 } else { 0xFF }),
            3 => bytes.truncate(at),
            4 => {
                let part = bytes[at..at + length].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, part);
            }
            _ => drop(bytes.drain(at..at + length)),
        }
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn mutated_originals_give_an_image_or_an_error_within_time_and_memory() {
    let count: usize = std::env::var("TEST_MUTATED").map_or(400, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("originals");
    fs::create_dir(&store).unwrap();
    let mib = |n: usize| format!("{}MiB", MEMORY_MIB[n]);
    let settings: Settings = vec![
        ("RESIZED_ORIGINALS__STORE", format!("file:{}", store.display())),
        ("RESIZED_VARIANTS__STORE", format!("file:{}/variants", folder.path().display())),
        ("RESIZED_LIMITS__ORIGINAL_BYTES", "8MiB".into()),
        ("RESIZED_LIMITS__INPUT_PIXELS", "4000000".into()),
        ("RESIZED_LIMITS__RENDER_TIME", "10s".into()),
        ("RESIZED_CACHE__MEMORY", mib(0)),
        ("RESIZED_WORK__DOWNLOAD_MEMORY", mib(1)),
        ("RESIZED_WORK__PIXEL_MEMORY", mib(2)),
        ("RESIZED_WORK__WRITE_BACK_MEMORY", mib(3)),
    ];
    let node = tokio::task::spawn_blocking(move || Node::start(&settings)).await.unwrap();
    let client = Client::builder().timeout(TIMEOUT).build().unwrap();
    let originals = originals();
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mutated = (0..count).map(|n| (n, mutate(&originals[n % originals.len()], &mut random)));
    let request = |(n, bytes): (usize, Vec<u8>)| {
        let (file, client) = (store.join(format!("{n}")), client.clone());
        let url = format!("{}/{n}_{}", node.url, SUFFIXES[n % SUFFIXES.len()]);
        async move {
            // The original needs the extension of the variant. Its format is detected from its bytes.
            let path = file.with_extension(url.rsplit_once('/').unwrap().1.split('.').nth(1).unwrap());
            fs::write(&path, &bytes).unwrap();
            let start = Instant::now();
            let response = client.get(&url).send().await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
            let (status, media_type) =
                (response.status(), response.headers()["content-type"].to_str().unwrap().to_owned());
            let body = response.bytes().await.unwrap();
            fs::remove_file(path).unwrap();
            match status {
                StatusCode::OK => assert_eq!(sniff(&body), Some(&*media_type), "{url}"),
                StatusCode::UNPROCESSABLE_ENTITY => {
                    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
                    assert!(!problem["detail"].as_str().unwrap().is_empty(), "{url}: {problem}");
                }
                status => panic!("{url}: {status} {}", String::from_utf8_lossy(&body)),
            }
            (status, start.elapsed())
        }
    };
    let responses: Vec<_> =
        futures_util::stream::iter(mutated).map(request).buffer_unordered(CONCURRENCY).collect().await;
    let images = responses.iter().filter(|(status, _)| *status == StatusCode::OK).count();
    let slowest = responses.iter().map(|(_, time)| *time).max().unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", node.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_bytes = 1024 * peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
    let panics = node.log().matches("codec panicked").count();
    println!("{count}: {images} images, slowest {slowest:?}, peak {} MiB, {panics} panics", peak_bytes / MIB);
    assert!(images > 0 && images < count, "some originals render, and some do not");
    assert!(peak_bytes < MIB * MEMORY_MIB.iter().sum::<u64>(), "{} MiB", peak_bytes / MIB);
    let alive = client.get(format!("{}/healthz", node.admin)).send().await.unwrap();
    assert_eq!(alive.status(), StatusCode::OK);
}
