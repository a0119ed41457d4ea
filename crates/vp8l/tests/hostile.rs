//! Damaged streams, and streams that claim much memory.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use std::cell::Cell;

use vp8l::{Error, Header, Limits, Options, decode, decode_headerless, working_bytes};

mod support;
#[path = "support/attack.rs"]
mod attack;

use attack::stream_with_groups;
use support::{Random, decode_with_libwebp, encode, file, photograph, random_image, random_settings, vp8l_chunk};

fn limits() -> Limits {
    Limits { pixels: 1 << 22, ..Limits::default() }
}

fn streams(count: usize) -> Vec<Vec<u8>> {
    let (mut random, photograph) = (Random(3), photograph());
    (0..count)
        .map(|_| {
            let image = random_image(&mut random, &photograph, 40);
            vp8l_chunk(&encode(&image, &random_settings(&mut random))).to_vec()
        })
        .collect()
}

#[test]
fn mutated_streams_do_not_panic_and_decode_as_libwebp_does() {
    let mut random = Random(1);
    for stream in streams(60) {
        for _ in 0..100 {
            let mut mutated = stream.clone();
            for _ in 0..=random.below(3) {
                let at = 5 + random.below(mutated.len().saturating_sub(5).max(1));
                let at = at.min(mutated.len() - 1);
                match random.below(3) {
                    0 => mutated[at] = random.below(256) as u8,
                    1 => mutated[at] ^= 1 << random.below(8),
                    _ => drop(mutated.splice(at..at, [random.below(256) as u8])),
                }
            }
            let Ok(header) = Header::read(&mutated, &limits()) else { continue };
            let ours = decode(&mutated, &header, &Options::default());
            if let (Ok(ours), Some(theirs)) = (ours, decode_with_libwebp(&file(&mutated))) {
                assert!(ours == theirs);
            }
        }
    }
}

#[test]
fn truncated_streams_are_refused() {
    for stream in streams(12) {
        let header = Header::read(&stream, &limits()).unwrap();
        // The last byte may contain only padding.
        for end in 5..stream.len() - 2 {
            let decoded = decode(&stream[..end], &header, &Options::default());
            assert!(decoded.is_err(), "{end} of {} bytes", stream.len());
        }
    }
}

#[test]
fn groups_that_do_not_occur_take_no_memory() {
    // Tables of all groups would take 80 MB.
    let stream = stream_with_groups(4, 65_536, true);
    let header = Header::read(&stream, &limits()).unwrap();
    assert!(header.working_bytes() < 1 << 20);
    assert_eq!(decode(&stream, &header, &Options::default()), Ok(vec![[0; 4]; 16]));
    let alpha = stream_with_groups(4, 65_536, false);
    assert_eq!(decode_headerless(&alpha, 4, 4, &Options::default()), Ok(vec![[0; 4]; 16]));
}

#[test]
fn tables_of_all_groups_together_are_limited() {
    // 16,384 tiles, each with another group. Their tables take 17 MB, and the limit is 8 MB.
    let stream = stream_with_groups(512, 16_384, true);
    let header = Header::read(&stream, &limits()).unwrap();
    assert!(header.working_bytes() < 13 << 20, "{}", header.working_bytes());
    assert!(working_bytes(10_000, 10_000) < 511 << 20, "{}", working_bytes(10_000, 10_000));
    assert!(decode(&stream, &header, &Options::default()).unwrap().iter().all(|pixel| *pixel == [0; 4]));
}

#[test]
fn decoding_stops_when_should_continue_returns_false() {
    let stream = stream_with_groups(512, 16_384, true);
    let header = Header::read(&stream, &limits()).unwrap();
    for stop_after in [0, 1, 100, 300, 500] {
        let calls = Cell::new(0);
        let should_continue = || {
            calls.set(calls.get() + 1);
            calls.get() <= stop_after
        };
        let decoded = decode(&stream, &header, &Options { should_continue: &should_continue });
        assert_eq!((decoded, calls.get()), (Err(Error::Cancelled), stop_after + 1));
    }
}

#[test]
fn invalid_headers_are_refused() {
    let stream = &streams(1)[0];
    let with = |at: usize, byte: u8| {
        let mut stream = stream.clone();
        stream[at] = byte;
        Header::read(&stream, &limits())
    };
    assert_eq!(Header::read(&stream[..4], &limits()), Err(Error::WrongFormat("VP8L stream")));
    assert_eq!(with(0, 0x2E), Err(Error::WrongFormat("VP8L stream")));
    assert_eq!(with(4, stream[4] | 0x20), Err(Error::Unsupported("a version of VP8L other than 0")));
    let huge = [0x2F, 0xFF, 0xFF, 0xFF, 0x0F];
    assert_eq!(Header::read(&huge, &limits()), Err(Error::Limit { what: "pixels", max: 1 << 22 }));
    let all = Limits { pixels: 1 << 28, ..limits() };
    let largest = Header { width: 16_384, height: 16_384, has_alpha: false };
    assert_eq!(Header::read(&huge, &all), Ok(largest));
}
