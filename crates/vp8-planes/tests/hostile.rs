//! Files changed at random: an error or planes of the promised size, never a panic; and what image-webp makes of them.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::cell::Cell;

use vp8_planes::{Error, Filter, Header, Incomplete, Limits, Options, decode};

mod support;
use support::{Random, by_image_webp, encode, frame, photograph, picture, settings};

const LIMITS: Limits = Limits { pixels: 1 << 16 };

fn frames(count: usize) -> Vec<Vec<u8>> {
    let (mut random, photograph) = (Random(3), photograph());
    let mut make = || frame(&encode(&picture(&mut random, &photograph, 70), &settings(&mut random))).to_vec();
    (0..count).map(|_| make()).collect()
}

fn check(bytes: &[u8]) {
    let Ok(header) = Header::read(bytes, &LIMITS) else { return };
    let whole = decode(bytes, &header, &[Filter::Full], &Options::default());
    // Where it reads a frame, so do we, and the same.
    if let Some(theirs) = by_image_webp(bytes) {
        let whole = whole.as_ref().unwrap();
        assert!(whole.iter().map(|plane| &plane.data).eq(&theirs));
    }
    let keep = Options { incomplete: Incomplete::Keep, ..Options::default() };
    let Ok(planes) = decode(bytes, &header, &[Filter::Skip, Filter::Full], &keep) else { return };
    for plane in planes {
        assert_eq!((plane.width, plane.height), header.plane_size(plane.component));
        assert_eq!(plane.data.len(), (plane.width * plane.height) as usize);
    }
}

#[test]
fn mutated_frames_never_panic() {
    let mut random = Random(1);
    for frame in frames(60) {
        for _ in 0..100 {
            let mut mutated = frame.clone();
            for _ in 0..=random.below(5) {
                // The header's bits decide more than most.
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
fn frames_cut_anywhere_never_panic() {
    for frame in frames(12) {
        for end in 0..frame.len() {
            check(&frame[..end]);
        }
    }
}

#[test]
fn what_is_there_of_a_frame_that_is_cut_short_is_kept_if_asked_for() {
    let (mut random, photograph) = (Random(5), photograph());
    let mut config = settings(&mut random);
    (config.partitions, config.quality, config.filter_strength) = (0, 90.0, 60);
    let mut picture = picture(&mut random, &photograph, 1);
    (picture.width, picture.height) = (64, 160);
    picture.data = photograph.data[..3 * 64 * 160].to_vec();
    let file = encode(&picture, &config);
    let whole = frame(&file);
    let header = Header::read(whole, &LIMITS).unwrap();
    let full = decode(whole, &header, &[Filter::Full], &Options::default()).unwrap();
    let cut = &whole[..whole.len() * 2 / 3];
    let refused = decode(cut, &header, &[Filter::Full], &Options::default());
    assert_eq!(refused, Err(Error::Truncated));
    let keep = Options { incomplete: Incomplete::Keep, ..Options::default() };
    let kept = decode(cut, &header, &[Filter::Full], &keep).unwrap();
    for (kept, full) in kept.iter().zip(&full) {
        let there = kept.data.iter().zip(&full.data).take_while(|(a, b)| a == b).count();
        let rows = there / kept.width as usize;
        assert!(rows > kept.height as usize / 4 && rows < kept.height as usize, "{rows} of {}", kept.height);
        // Below are at most the lines that the missing row would have smoothed.
        let grey = &kept.data[(rows + 3) * kept.width as usize..];
        assert!(grey.iter().all(|sample| *sample == 128));
    }
}

#[test]
fn decoding_ends_when_the_caller_says_so() {
    let frame = &frames(1)[0];
    let header = Header::read(frame, &LIMITS).unwrap();
    let asked = Cell::new(0);
    let proceed = || {
        asked.set(asked.get() + 1);
        asked.get() < 2
    };
    let options = Options { proceed: &proceed, ..Options::default() };
    let decoded = decode(frame, &header, &[Filter::Full], &options);
    assert_eq!(decoded.is_err(), header.height > 16);
    assert_eq!(asked.get(), header.height.div_ceil(16).min(2));
}

#[test]
fn headers_that_are_none_are_refused_before_anything_is_allocated() {
    let frame = &frames(1)[0];
    let with = |at: usize, bytes: &[u8]| {
        let mut frame = frame.clone();
        frame[at..at + bytes.len()].copy_from_slice(bytes);
        Header::read(&frame, &LIMITS)
    };
    assert_eq!(Header::read(&frame[..9], &LIMITS), Err(Error::NotVp8));
    assert_eq!(with(3, b"GIF"), Err(Error::NotVp8));
    assert_eq!(with(0, &[frame[0] | 1]), Err(Error::Unsupported("made of another frame")));
    assert_eq!(with(6, &[0, 0]), Err(Error::Damaged("it has no pixels")));
    assert_eq!(with(6, &[0xFF; 4]), Err(Error::Limit { what: "pixels", max: 1 << 16 }));
    // The scale, in the two highest bits, is for who shows it.
    let header = Header::read(frame, &LIMITS).unwrap();
    assert_eq!(with(6, &[header.width as u8, 0x40, header.height as u8, 0xC0]), Ok(header));
}
