//! Decoding mutated and truncated frames gives an error or planes of the expected size, and never panics. Planes equal
//! those of image-webp for each frame that it accepts.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use std::cell::Cell;

use vp8_planes::{Error, Header, Incomplete, Limits, LoopFilter, Options, decode};

mod support;
use support::{Random, decode_with_image_webp, encode, photograph, random_image, random_settings, vp8_chunk};

fn limits() -> Limits {
    Limits { pixels: 1 << 16, ..Limits::default() }
}

fn frames(count: usize) -> Vec<Vec<u8>> {
    let (mut random, photograph) = (Random(3), photograph());
    (0..count)
        .map(|_| {
            let image = random_image(&mut random, &photograph, 70);
            vp8_chunk(&encode(&image, &random_settings(&mut random))).to_vec()
        })
        .collect()
}

fn check(bytes: &[u8]) {
    let Ok(header) = Header::read(bytes, &limits()) else { return };
    let filtered = decode(bytes, &header, &[LoopFilter::Apply], &Options::default());
    if let Some(theirs) = decode_with_image_webp(bytes) {
        let filtered = filtered.as_ref().unwrap();
        assert!(filtered.iter().map(|plane| &plane.data).eq(&theirs));
    }
    let keep = Options { incomplete: Incomplete::Keep, ..Options::default() };
    let Ok(planes) = decode(bytes, &header, &[LoopFilter::Skip, LoopFilter::Apply], &keep) else { return };
    for plane in planes {
        assert_eq!((plane.width, plane.height), header.plane_size(plane.component));
        assert_eq!(plane.data.len(), (plane.width * plane.height) as usize);
    }
}

#[test]
fn mutated_frames_do_not_panic() {
    let mut random = Random(1);
    for frame in frames(60) {
        for _ in 0..100 {
            let mut mutated = frame.clone();
            for _ in 0..=random.below(5) {
                // Half of the mutations hit the header, where they have the largest effect.
                let within = if random.below(2) == 0 { mutated.len() } else { mutated.len().min(60) };
                let at = random.below(within);
                match random.below(4) {
                    0 => mutated[at] = random.below(256) as u8,
                    1 => mutated[at] ^= 1 << random.below(8),
                    2 => drop(mutated.splice(at..at, [random.below(256) as u8])),
                    _ => drop(mutated.drain(at..(at + random.below(9)).min(mutated.len() - 1))),
                }
            }
            check(&mutated);
        }
    }
}

#[test]
fn truncated_frames_do_not_panic() {
    for frame in frames(12) {
        for end in 0..frame.len() {
            check(&frame[..end]);
        }
    }
}

#[test]
fn incomplete_keep_returns_the_rows_before_the_truncation() {
    let (mut random, photograph) = (Random(5), photograph());
    let mut config = random_settings(&mut random);
    (config.partitions, config.quality, config.filter_strength) = (0, 90.0, 60);
    let mut image = random_image(&mut random, &photograph, 1);
    (image.width, image.height) = (64, 160);
    image.data = photograph.data[..3 * 64 * 160].to_vec();
    let file = encode(&image, &config);
    let whole = vp8_chunk(&file);
    let header = Header::read(whole, &limits()).unwrap();
    let full = decode(whole, &header, &[LoopFilter::Apply], &Options::default()).unwrap();
    let cut = &whole[..whole.len() * 2 / 3];
    let refused = decode(cut, &header, &[LoopFilter::Apply], &Options::default());
    assert_eq!(refused, Err(Error::Truncated));
    let keep = Options { incomplete: Incomplete::Keep, ..Options::default() };
    let kept = decode(cut, &header, &[LoopFilter::Apply], &keep).unwrap();
    for (kept, full) in kept.iter().zip(&full) {
        let matching = kept.data.iter().zip(&full.data).take_while(|(a, b)| a == b).count();
        let rows = matching / kept.width as usize;
        assert!(rows > kept.height as usize / 4 && rows < kept.height as usize, "{rows} of {}", kept.height);
        // Up to three more lines were decoded, but the loop filter of the missing row would have changed them.
        let missing = &kept.data[(rows + 3) * kept.width as usize..];
        assert!(missing.iter().all(|sample| *sample == 128));
    }
}

#[test]
fn decoding_stops_when_should_continue_returns_false() {
    let frame = &frames(1)[0];
    let header = Header::read(frame, &limits()).unwrap();
    let calls = Cell::new(0);
    let should_continue = || {
        calls.set(calls.get() + 1);
        calls.get() < 2
    };
    let options = Options { should_continue: &should_continue, ..Options::default() };
    let decoded = decode(frame, &header, &[LoopFilter::Apply], &options);
    assert_eq!(decoded.is_err(), header.height > 16);
    assert_eq!(calls.get(), header.height.div_ceil(16).min(2));
}

#[test]
fn invalid_headers_are_refused() {
    let frame = &frames(1)[0];
    let with = |at: usize, bytes: &[u8]| {
        let mut frame = frame.clone();
        frame[at..at + bytes.len()].copy_from_slice(bytes);
        Header::read(&frame, &limits())
    };
    assert_eq!(Header::read(&frame[..9], &limits()), Err(Error::WrongFormat("VP8 key frame")));
    assert_eq!(with(3, b"GIF"), Err(Error::WrongFormat("VP8 key frame")));
    assert_eq!(with(0, &[frame[0] | 1]), Err(Error::Unsupported("a frame predicted from another frame")));
    assert_eq!(with(6, &[0, 0]), Err(Error::Damaged("zero width or height")));
    assert_eq!(with(6, &[0xFF; 4]), Err(Error::Limit { what: "pixels", max: 1 << 16 }));
    // The two highest bits of each side are the upscaling factor, which the decoder ignores.
    let header = Header::read(frame, &limits()).unwrap();
    assert_eq!(with(6, &[header.width as u8, 0x40, header.height as u8, 0xC0]), Ok(header));
}
