//! HEIC: sample formats and damaged decoder configurations.

use super::*;

fn heic(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/originals").join(name).with_extension("heic");
    std::fs::read(path).unwrap()
}

#[test]
fn hevc_formats_are_read_from_the_parameter_sets() {
    use ChromaSubsampling::{Cs400, Cs420, Cs422, Cs444};
    let table = [
        ("shown", 8, Cs420, 1),
        ("half-chroma", 8, Cs422, 1),
        ("full-chroma", 8, Cs444, 1),
        ("gray", 8, Cs400, 1),
        ("ten", 10, Cs420, 1),
        ("alpha", 8, Cs420, 1),
        ("grid", 8, Cs420, 6),
    ];
    for (name, depth, sampling, tiles) in table {
        let bytes = heic(name);
        let image = HeifImage::read(&bytes, Coding::Hevc).unwrap();
        assert_eq!(
            (image.color.depth, image.color.sampling, image.color.tiles.len()),
            (depth, sampling, tiles),
            "{name}"
        );
        assert_eq!(image.color.coded_size, (64, 64), "{name}");
        assert_eq!(image.alpha.is_some(), name == "alpha");
        assert!(image.color.tiles.iter().all(|tile| tile.config.is_some()));
        // The other coding is refused, even if the brand allows it.
        assert!(HeifImage::read(&bytes, Coding::Av1).is_err());
        let error = HeifImage::read(&as_avif(&bytes), Coding::Av1).unwrap_err().to_string();
        assert!(error.contains("type 'hvc1'") || error.contains("type 'av01'"), "{name}: {error}");
    }
}

/// Replaces the brand of HEIC by that of AVIF.
fn as_avif(file: &[u8]) -> Vec<u8> {
    [&file[..8], b"avif", &file[12..]].concat()
}

#[test]
fn arbitrary_changes_of_heic_keep_the_invariants() {
    for name in ["shown", "alpha", "grid", "turned"] {
        let whole = heic(name);
        assert!(check::heic(&whole).is_some() || name == "grid", "{name}");
        for at in 0..whole.len().min(1500) {
            let mut changed = whole.clone();
            changed[at] ^= 1 << (at % 8);
            check::heic(&changed);
            check::heic(&whole[..at]);
        }
    }
}

#[test]
fn a_damaged_hevc_configuration_is_refused() {
    let whole = heic("shown");
    let at = whole.windows(4).position(|kind| kind == b"hvcC").unwrap() + 4;
    let length = usize::try_from(u32::from_be_bytes(whole[at - 8..at - 4].try_into().unwrap())).unwrap() - 8;
    let hvcc = &whole[at..at + length];
    assert!(hevc_format::hevc_format(hvcc).is_ok());
    let units = hvcc.windows(2).position(|unit| unit == [0x42, 1]).unwrap();
    for end in 0..units + 20 {
        assert!(hevc_format::hevc_format(&hvcc[..end]).is_err(), "{end}");
    }
    let reason = |hvcc: &[u8]| hevc_format::hevc_format(hvcc).unwrap_err().to_string();
    assert!(reason(&[2; 30]).contains("configuration version"));
    assert!(reason(&[&[1; 22][..], &[0]].concat()).contains("no sequence parameter set"));
    assert!(reason(&vec![1; 1 << 15]).contains("more than 16384 bytes"));
}
