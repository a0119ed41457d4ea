//! The tracks of image sequences.

use super::*;

fn animation(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/originals").join(name).with_extension("avif");
    std::fs::read(path).unwrap()
}

#[test]
fn tracks_are_read_with_durations_and_alpha() {
    for (name, has_alpha) in [("animated", false), ("animated-alpha", true)] {
        let bytes = animation(name);
        let sequence = HeifImage::read(&bytes, Coding::Av1).unwrap().sequence.unwrap();
        let durations: Vec<_> = sequence.color.durations.iter().map(std::time::Duration::as_millis).collect();
        assert_eq!(durations, [100, 50, 200, 40, 300], "{name}");
        assert_eq!((sequence.color.samples.len(), sequence.color.plays, sequence.alpha.is_some()), (5, 0, has_alpha));
    }
}

#[test]
fn damaged_tracks_leave_the_still_image() {
    let whole = animation("animated-alpha");
    let movie = whole.windows(4).position(|kind| kind == b"moov").unwrap();
    let end = whole.windows(4).rposition(|kind| kind == b"mdat").unwrap();
    for at in movie..end {
        for bit in [1, 0x10, 0x80] {
            let mut changed = whole.clone();
            changed[at] ^= bit;
            check::avif(&changed);
            assert!(HeifImage::read(&changed, Coding::Av1).is_ok() || at < movie + 4, "{at}");
        }
    }
    // Without the still image, the file is an error or a sequence.
    let mut alone = whole;
    let meta = alone.windows(4).position(|kind| kind == b"meta").unwrap();
    alone[meta..meta + 4].copy_from_slice(b"free");
    assert_eq!(HeifImage::read(&alone, Coding::Av1).unwrap().info().frames, 5);
    let mut refused = 0;
    for at in movie..end {
        let mut changed = alone.clone();
        changed[at] ^= 0x80;
        check::avif(&changed);
        refused += u32::from(HeifImage::read(&changed, Coding::Av1).is_err());
    }
    assert!(refused > 100, "{refused}");
}
