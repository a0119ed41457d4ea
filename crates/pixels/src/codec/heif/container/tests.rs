//! Parses the files in `tests/avif`, and files with invalid boxes.

use std::borrow::Cow;
use std::path::Path;

use proptest::prelude::*;

use super::*;

mod broken;
mod file_builder;

use file_builder::FileBuilder;
use property::ALPHA;

fn file(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/avif").join(name).with_extension("avif");
    std::fs::read(path).unwrap()
}

#[track_caller]
fn parse_error(bytes: &[u8]) -> String {
    HeifImage::read(bytes, Coding::Av1).map(|_| ()).unwrap_err().to_string()
}

fn stored_size(image: &HeifImage<'_>) -> (u32, u32) {
    let info = image.info();
    (info.width, info.height)
}

#[test]
fn size_depth_and_subsampling_are_read() {
    use ChromaSubsampling::{Cs400, Cs420, Cs422, Cs444};
    let table = [
        ("full-420", 8, Cs420, 3, 2),
        ("full-422", 8, Cs422, 3, 2),
        ("full-444", 8, Cs444, 3, 3),
        ("full-400", 8, Cs400, 1, 1),
        ("limited-420", 8, Cs420, 3, 2),
        ("ten-420", 10, Cs420, 3, 3),
        ("twelve-444-limited", 12, Cs444, 3, 6),
        ("bt2020-ten-422", 10, Cs422, 3, 4),
        ("identity", 8, Cs444, 3, 3),
        ("alpha-420", 8, Cs420, 4, 3),
        ("alpha-444-premultiplied", 8, Cs444, 4, 4),
    ];
    for (name, depth, sampling, channels, codec_bytes) in table {
        let bytes = file(name);
        let image = HeifImage::read(&bytes, Coding::Av1).unwrap();
        assert_eq!((image.color.depth, image.color.sampling), (depth, sampling), "{name}");
        assert_eq!(image.color.tiles.len(), 1, "{name}");
        let info = image.info();
        assert_eq!(
            ((info.width, info.height), info.pixel_bytes, info.codec_bytes),
            ((46, 34), channels, codec_bytes),
            "{name}"
        );
        assert_eq!(info.orientation, Orientation::NoTransforms, "{name}");
        assert_eq!(image.is_premultiplied, name.contains("premultiplied"), "{name}");
        // The first OBU is a temporal delimiter or a sequence header (AV1, section 5.3.2).
        for tile in image.color.tiles.iter().chain(image.alpha.iter().flat_map(|alpha| &alpha.tiles)) {
            assert!(matches!(tile.bytes()[0], 0x12 | 0x0A), "{name}: {:02x}", tile.bytes()[0]);
        }
    }
}

#[test]
fn the_sequence_header_is_believed_if_the_configuration_disagrees() {
    for (name, depth) in [("full-420", 8), ("ten-420", 10), ("twelve-444-limited", 12), ("grid", 8)] {
        let expected = file(name);
        let expected = HeifImage::read(&expected, Coding::Av1).unwrap();
        // Monochrome with 8 bits.
        let mut bytes = file(name);
        let mut at = 0;
        while let Some(found) = bytes[at..].windows(4).position(|word| word == b"av1C") {
            at += found + 4;
            bytes[at + 2] = 0x1C;
        }
        let image = HeifImage::read(&bytes, Coding::Av1).unwrap();
        let format = |image: &HeifImage<'_>| (image.color.depth, image.color.sampling);
        assert_eq!((format(&image), image.color.depth), (format(&expected), depth), "{name}");
        assert_eq!(image.info(), expected.info(), "{name}");
    }
}

#[test]
fn color_descriptions_are_read() {
    let table = [
        ("full-420", [1, 13, 6], true),
        ("limited-420", [1, 13, 6], false),
        ("bt709-420", [1, 13, 1], true),
        ("bt2020-ten-422", [9, 16, 9], false),
        ("p3-cicp", [12, 13, 6], true),
    ];
    for (name, [primaries, transfer, matrix], full_range) in table {
        let bytes = file(name);
        let image = HeifImage::read(&bytes, Coding::Av1).unwrap();
        assert_eq!(image.cicp, Some(Cicp { primaries, transfer, matrix, full_range }), "{name}");
        assert_eq!(image.profile, None, "{name}");
    }
    let bytes = file("p3-icc");
    let image = HeifImage::read(&bytes, Coding::Av1).unwrap();
    assert_eq!(&image.profile.unwrap()[36..40], b"acsp");
}

#[test]
fn orientation_and_crop_are_read() {
    let exif = |name: &str| {
        let bytes = file(name);
        HeifImage::read(&bytes, Coding::Av1).unwrap().info().orientation.to_exif()
    };
    let plain = ["turned-0", "turned-1", "turned-2", "turned-3"].map(exif);
    assert_eq!(plain, [1, 8, 3, 6]);
    let mirrored = ["turned-0-mirrored", "turned-1-mirrored", "turned-2-mirrored", "turned-3-mirrored"].map(exif);
    assert_eq!(mirrored, [2, 7, 4, 5]);
    let bytes = file("cropped");
    let image = HeifImage::read(&bytes, Coding::Av1).unwrap();
    assert_eq!(image.crop, CropRect { x: 4, y: 6, width: 20, height: 14 });
    assert_eq!((stored_size(&image), image.color.size), ((20, 14), (46, 34)));
}

#[test]
fn grids_are_read() {
    for (name, columns, rows, tile_size, has_alpha) in
        [("grid", 2, 2, (64, 64), false), ("grid-alpha", 2, 1, (64, 128), true)]
    {
        let bytes = file(name);
        let image = HeifImage::read(&bytes, Coding::Av1).unwrap();
        assert_eq!(image.alpha.is_some(), has_alpha, "{name}");
        for layer in [Some(&image.color), image.alpha.as_ref()].into_iter().flatten() {
            assert_eq!((layer.size, layer.tile_size, layer.columns), ((128, 128), tile_size, columns), "{name}");
            assert_eq!(layer.tiles.len(), (columns * rows) as usize, "{name}");
        }
        assert_eq!(stored_size(&image), (128, 128), "{name}");
    }
}

#[test]
fn a_sequence_is_read_with_its_still_image() {
    let bytes = file("sequence");
    assert!(bytes.windows(4).any(|word| word == b"moov"));
    let image = HeifImage::read(&bytes, Coding::Av1).unwrap();
    assert_eq!((stored_size(&image), image.info().frames), ((46, 34), 2));
    let without = file_builder::file(b"avis", &[]);
    assert!(parse_error(&without).contains("no primary item"), "{}", parse_error(&without));
}

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

#[test]
fn extents_in_idat_are_concatenated_and_extents_in_the_file_are_borrowed() {
    let mut builder = FileBuilder::single();
    builder.idat = b"xxABCDEFyyGH".to_vec();
    builder.items[0].extents = vec![(2, 6), (10, 2)];
    assert_eq!(&*HeifImage::read(&builder.file(), Coding::Av1).unwrap().color.tiles[0].bytes(), b"ABCDEFGH");
    let mut builder = FileBuilder::single();
    builder.items[0].method = 0;
    builder.items[0].extents = vec![(4, 4)];
    let bytes = builder.file();
    let tile = &HeifImage::read(&bytes, Coding::Av1).unwrap().color.tiles[0];
    assert!(matches!(tile.bytes(), Cow::Borrowed(b"ftyp")));
}

#[test]
fn item_locations_are_read_in_all_versions_and_field_sizes() {
    for version in 0..=2 {
        for width in [4, 8] {
            let builder = FileBuilder { iloc: (version, width), ..FileBuilder::single() };
            let bytes = builder.file();
            let image = HeifImage::read(&bytes, Coding::Av1).map(|image| image.color.tiles[0].bytes().into_owned());
            // Version 0 has no construction method, so all of its offsets are relative to the file.
            let expected = if version == 0 { &bytes[..8] } else { b"12345678" };
            assert_eq!(image.unwrap(), expected, "{version} {width}");
        }
    }
}

#[test]
fn alpha_images_of_tiles_and_the_hevc_urn_are_accepted() {
    for purpose in ALPHA {
        let mut builder = FileBuilder::grid();
        for (tile, alpha) in [(2, 12), (3, 13)] {
            builder.alpha(alpha, tile, (8, 8), purpose);
        }
        let bytes = builder.file();
        let alpha = HeifImage::read(&bytes, Coding::Av1).unwrap().alpha.unwrap();
        assert_eq!((alpha.size, alpha.tile_size, alpha.tiles.len()), ((16, 8), (8, 8), 2));
    }
    // Auxiliary images of other types are ignored, even with unknown essential properties.
    let mut builder = FileBuilder::single();
    builder.alpha(5, 1, (9, 9), b"urn:mpeg:mpegB:cicp:systems:auxiliary:depth");
    builder.items[1].properties.push((*b"what", b"ever".to_vec(), true));
    assert!(HeifImage::read(&builder.file(), Coding::Av1).unwrap().alpha.is_none());
}

#[test]
fn the_first_color_box_of_each_type_counts() {
    let mut builder = FileBuilder::single();
    for (n, profile) in [(9_u16, &b"one"[..]), (1, b"two")] {
        let code_points = [n, 16, 9].map(u16::to_be_bytes).concat();
        builder.property(b"colr", &[b"nclx", &code_points[..], &[0x80]].concat(), false);
        builder.property(b"colr", &[b"prof", profile].concat(), false);
    }
    let bytes = builder.file();
    let image = HeifImage::read(&bytes, Coding::Av1).unwrap();
    assert_eq!(image.cicp, Some(Cicp { primaries: 9, transfer: 16, matrix: 9, full_range: true }));
    assert_eq!(image.profile, Some(&b"one"[..]));
}

#[test]
fn only_unknown_properties_that_are_essential_are_refused() {
    let mut builder = FileBuilder::single();
    builder.property(b"abcd", b"", false);
    assert!(HeifImage::read(&builder.file(), Coding::Av1).is_ok());
    builder.property(b"efgh", b"", true);
    assert!(parse_error(&builder.file()).contains("property 'efgh'"), "{}", parse_error(&builder.file()));
}

#[test]
fn truncated_files_are_refused() {
    for name in ["full-420", "alpha-420", "grid-alpha", "cropped", "p3-icc"] {
        let whole = file(name);
        for length in 0..whole.len() {
            assert!(HeifImage::read(&whole[..length], Coding::Av1).is_err(), "{name}: {length} of {}", whole.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn mutated_files_violate_no_invariant(
        which in 0..6_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let names = ["full-420", "alpha-444-premultiplied", "grid-alpha", "cropped", "turned-1-mirrored", "sequence"];
        let mut bytes = file(names[which]);
        let metadata = bytes.len().min(1000);
        for (at, to) in changes {
            let at = at.index(metadata);
            // Half of the mutations flip a single bit, which gives more nearly valid files.
            bytes[at] = if to < 128 { bytes[at] ^ (1 << (to % 8)) } else { to };
        }
        check::avif(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        check::avif(&bytes);
    }
}

#[test]
fn fuzz_seeds_violate_no_invariant() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/avif");
    let files: Vec<_> =
        std::fs::read_dir(seeds).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(files.len() > 5);
    for file in files {
        check::avif(&file);
    }
}

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
