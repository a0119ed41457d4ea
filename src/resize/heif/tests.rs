//! Files of every kind (`tests/avif`), and boxes that are put together wrongly.

use std::path::Path;

use proptest::prelude::*;

use super::*;

mod maker;

use maker::{Maker, iso_box};

fn file(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/avif").join(name).with_extension("avif");
    std::fs::read(path).unwrap()
}

#[track_caller]
fn refused(bytes: &[u8]) -> String {
    Picture::read(bytes).and_then(|picture| picture.facts().map(|_| ())).unwrap_err().to_string()
}

#[test]
fn a_file_says_its_size_depth_and_sampling() {
    use Sampling::{Full, Grey, Halved, Narrowed};
    let table = [
        ("full-420", 8, Halved, 3, 2),
        ("full-422", 8, Narrowed, 3, 2),
        ("full-444", 8, Full, 3, 3),
        ("full-400", 8, Grey, 1, 1),
        ("limited-420", 8, Halved, 3, 2),
        ("ten-420", 10, Halved, 3, 3),
        ("twelve-444-limited", 12, Full, 3, 6),
        ("bt2020-ten-422", 10, Narrowed, 3, 4),
        ("identity", 8, Full, 3, 3),
        ("alpha-420", 8, Halved, 4, 3),
        ("alpha-444-premultiplied", 8, Full, 4, 4),
    ];
    for (name, depth, sampling, channels, codec_bytes) in table {
        let bytes = file(name);
        let picture = Picture::read(&bytes).unwrap();
        assert_eq!((picture.colour.depth, picture.colour.sampling), (depth, sampling), "{name}");
        assert_eq!(picture.colour.tiles.len(), 1, "{name}");
        let facts = picture.facts().unwrap();
        assert_eq!((facts.size, facts.pixel_bytes, facts.codec_bytes), ((46, 34), channels, codec_bytes), "{name}");
        assert_eq!(facts.orientation, Orientation::NoTransforms, "{name}");
        assert_eq!(picture.is_premultiplied, name.contains("premultiplied"), "{name}");
        // OBUs begin with a temporal delimiter or a sequence header (AV1 section 5.3.2).
        for tile in picture.colour.tiles.iter().chain(picture.alpha.iter().flat_map(|alpha| &alpha.tiles)) {
            assert!(matches!(tile.bytes()[0], 0x12 | 0x0A), "{name}: {:02x}", tile.bytes()[0]);
        }
    }
}

#[test]
fn a_file_says_what_its_colours_mean() {
    let table = [
        ("full-420", [1, 13, 6], true),
        ("limited-420", [1, 13, 6], false),
        ("bt709-420", [1, 13, 1], true),
        ("bt2020-ten-422", [9, 16, 9], false),
        ("p3-cicp", [12, 13, 6], true),
    ];
    for (name, [primaries, transfer, matrix], full_range) in table {
        let bytes = file(name);
        let picture = Picture::read(&bytes).unwrap();
        assert_eq!(picture.cicp, Some(Cicp { primaries, transfer, matrix, full_range }), "{name}");
        assert_eq!(picture.profile, None, "{name}");
    }
    let bytes = file("p3-icc");
    let picture = Picture::read(&bytes).unwrap();
    assert_eq!(&picture.profile.unwrap()[36..40], b"acsp");
}

#[test]
fn a_file_says_how_it_is_turned_and_cropped() {
    let exif = |name: &str| {
        let bytes = file(name);
        Picture::read(&bytes).unwrap().facts().unwrap().orientation.to_exif()
    };
    let plain = ["turned-0", "turned-1", "turned-2", "turned-3"].map(exif);
    assert_eq!(plain, [1, 8, 3, 6]);
    let mirrored = ["turned-0-mirrored", "turned-1-mirrored", "turned-2-mirrored", "turned-3-mirrored"].map(exif);
    assert_eq!(mirrored, [2, 7, 4, 5]);
    let bytes = file("cropped");
    let picture = Picture::read(&bytes).unwrap();
    assert_eq!(picture.crop, Crop { x: 4, y: 6, width: 20, height: 14 });
    assert_eq!((picture.facts().unwrap().size, picture.colour.size), ((20, 14), (46, 34)));
}

#[test]
fn a_grid_is_told_tile_by_tile() {
    for (name, columns, rows, tile_size, has_alpha) in
        [("grid", 2, 2, (64, 64), false), ("grid-alpha", 2, 1, (64, 128), true)]
    {
        let bytes = file(name);
        let picture = Picture::read(&bytes).unwrap();
        assert_eq!(picture.alpha.is_some(), has_alpha, "{name}");
        for layer in [Some(&picture.colour), picture.alpha.as_ref()].into_iter().flatten() {
            assert_eq!((layer.size, layer.tile_size, layer.columns), ((128, 128), tile_size, columns), "{name}");
            assert_eq!(layer.tiles.len(), (columns * rows) as usize, "{name}");
        }
        assert_eq!(picture.facts().unwrap().size, (128, 128), "{name}");
    }
}

#[test]
fn the_still_picture_that_stands_for_a_sequence_is_taken() {
    let bytes = file("sequence");
    assert!(bytes.windows(4).any(|word| word == b"moov"));
    assert_eq!(Picture::read(&bytes).unwrap().facts().unwrap().size, (46, 34));
    let without = maker::file(b"avis", &[]);
    assert!(refused(&without).contains("an AVIF sequence without a still picture"), "{}", refused(&without));
}

#[test]
fn bytes_in_several_pieces_and_in_the_file_itself_are_put_together() {
    let mut maker = Maker::picture();
    maker.idat = b"xxABCDEFyyGH".to_vec();
    maker.items[0].extents = vec![(2, 6), (10, 2)];
    assert_eq!(&*Picture::read(&maker.file()).unwrap().colour.tiles[0].bytes(), b"ABCDEFGH");
    let mut maker = Maker::picture();
    maker.items[0].method = 0;
    maker.items[0].extents = vec![(4, 4)];
    let bytes = maker.file();
    let tile = &Picture::read(&bytes).unwrap().colour.tiles[0];
    assert!(matches!(tile.bytes(), Cow::Borrowed(b"ftyp")));
}

#[test]
fn locations_of_every_version_and_width_are_the_same() {
    for version in 0..=2 {
        for width in [4, 8] {
            let maker = Maker { iloc: (version, width), ..Maker::picture() };
            let bytes = maker.file();
            let picture = Picture::read(&bytes).map(|picture| picture.colour.tiles[0].bytes().into_owned());
            // The oldest knows no place but the file.
            let expected = if version == 0 { &bytes[..8] } else { b"12345678" };
            assert_eq!(picture.unwrap(), expected, "{version} {width}");
        }
    }
}

#[test]
fn alpha_may_be_of_each_tile_or_by_its_older_name() {
    for purpose in ALPHA {
        let mut maker = Maker::grid();
        for (tile, alpha) in [(2, 12), (3, 13)] {
            maker.alpha(alpha, tile, (8, 8), purpose);
        }
        let bytes = maker.file();
        let alpha = Picture::read(&bytes).unwrap().alpha.unwrap();
        assert_eq!((alpha.size, alpha.tile_size, alpha.tiles.len()), ((16, 8), (8, 8), 2));
    }
    // What is for something else is none, whatever it is like.
    let mut maker = Maker::picture();
    maker.alpha(5, 1, (9, 9), b"urn:mpeg:mpegB:cicp:systems:auxiliary:depth");
    maker.items[1].properties.push((*b"what", b"ever".to_vec(), true));
    assert!(Picture::read(&maker.file()).unwrap().alpha.is_none());
}

#[test]
fn the_first_of_two_colours_of_a_kind_counts_and_a_profile_may_stand_beside() {
    let mut maker = Maker::picture();
    for (n, profile) in [(9_u16, &b"one"[..]), (1, b"two")] {
        let code_points = [n, 16, 9].map(u16::to_be_bytes).concat();
        maker.property(b"colr", &[b"nclx", &code_points[..], &[0x80]].concat(), false);
        maker.property(b"colr", &[b"prof", profile].concat(), false);
    }
    let bytes = maker.file();
    let picture = Picture::read(&bytes).unwrap();
    assert_eq!(picture.cicp, Some(Cicp { primaries: 9, transfer: 16, matrix: 9, full_range: true }));
    assert_eq!(picture.profile, Some(&b"one"[..]));
}

#[test]
fn a_property_that_is_not_known_matters_only_where_it_is_essential() {
    let mut maker = Maker::picture();
    maker.property(b"abcd", b"", false);
    assert!(Picture::read(&maker.file()).is_ok());
    maker.property(b"efgh", b"", true);
    assert!(refused(&maker.file()).contains("property 'efgh'"), "{}", refused(&maker.file()));
}

/// A name, what the error says, and how the file is broken.
type Broken = (&'static str, fn(&mut Maker));

#[test]
fn what_is_wrong_with_a_picture_is_said() {
    let table: [Broken; 34] = [
        ("no item is its picture", |m| m.primary = None),
        ("item 7 is missing", |m| m.primary = Some(7)),
        ("has no size", |m| m.items[0].properties.retain(|(kind, ..)| kind != b"ispe")),
        ("it has no pixels", |m| m.set(b"ispe", &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8])),
        ("does not say what its AV1 is", |m| m.items[0].properties.retain(|(kind, ..)| kind != b"av1C")),
        ("unknown version (av1C)", |m| m.set(b"av1C", &[0x82, 0, 0x0C, 0])),
        ("no known depth", |m| m.set(b"av1C", &[0x81, 0, 0x2C, 0])),
        ("no known sampling", |m| m.set(b"av1C", &[0x81, 0, 0x04, 0])),
        ("box 'av1C' is cut short", |m| m.set(b"av1C", &[0x81, 0])),
        ("two depths (pixi, av1C)", |m| m.property(b"pixi", &[0, 0, 0, 0, 3, 10, 10, 10], false)),
        ("different depths (pixi)", |m| m.property(b"pixi", &[0, 0, 0, 0, 3, 8, 8, 10], false)),
        ("two properties 'ispe'", |m| m.property(b"ispe", &[0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 8], false)),
        ("is 'iovl', which is not decoded", |m| m.items[0].kind = *b"iovl"),
        ("is encrypted", |m| m.items[0].is_protected = true),
        ("made of others (method 2", |m| m.items[0].method = 2),
        ("lies in another file", |m| m.items[0].data_reference = 1),
        ("beyond its end", |m| m.items[0].extents = vec![(0, 9)]),
        ("beyond its end", |m| m.items[0].extents = vec![(u32::MAX.into(), u32::MAX.into())]),
        ("beyond its end", |m| m.items[0].extents = vec![(0, 8), (0, 8)]),
        ("or has no bytes", |m| m.items[0].extents = vec![(0, 0)]),
        ("or has no bytes", |m| m.items[0].extents.clear()),
        ("more than 64 pieces", |m| m.items[0].extents = vec![(0, 1); 65]),
        ("two items 1", |m| m.items.push(m.items[0].clone())),
        ("property 99 is missing", |m| m.extra_association = Some(99)),
        ("cropped (clap) after it is turned", |m| {
            m.property(b"irot", &[1], true);
            m.property(b"clap", &[0; 32], true);
        }),
        ("over zero (clap)", |m| m.property(b"clap", &[0; 32], true)),
        ("not of whole pixels", |m| m.property(b"clap", &maker::clap([(7, 2), (8, 1), (0, 1), (0, 1)]), true)),
        ("not of whole pixels", |m| m.property(b"clap", &maker::clap([(8, 1), (8, 1), (1, 1), (0, 1)]), true)),
        ("too little of it is shown", |m| {
            m.set(b"ispe", &[[0; 4], 64_u32.to_be_bytes(), 64_u32.to_be_bytes()].concat());
            m.property(b"clap", &maker::clap([(1, 1), (1, 1), (1, 2), (1, 2)]), true);
        }),
        ("property 'a1op'", |m| m.property(b"a1op", &[1], true)),
        ("property 'lsel'", |m| m.property(b"lsel", &[0, 1], true)),
        ("two alphas", |m| {
            m.alpha(5, 1, (8, 8), ALPHA[0]);
            m.alpha(6, 1, (8, 8), ALPHA[0]);
        }),
        ("alpha has another size", |m| m.alpha(5, 1, (8, 7), ALPHA[0])),
        ("two lists 'auxl'", |m| m.references = vec![(*b"auxl", 5, vec![1]); 2]),
    ];
    for (says, break_it) in table {
        let mut maker = Maker::picture();
        assert!(Picture::read(&maker.file()).is_ok());
        break_it(&mut maker);
        let error = refused(&maker.file());
        assert!(error.contains(says), "{says}: {error}");
    }
}

#[test]
fn what_is_wrong_with_a_grid_is_said() {
    let table: [Broken; 14] = [
        ("box 'grid' is cut short", |m| m.items[0].extents = vec![(8, 7)]),
        ("grid has version 1", |m| m.idat[8] = 1),
        ("another size than is announced", |m| m.idat[13] = 15),
        ("grid of 3x1 has 2 tiles", |m| m.idat[11] = 2),
        ("grid of 2x1 has 0 tiles", |m| m.references.clear()),
        ("more than 1024 tiles", |m| m.idat[10..12].fill(255)),
        ("item 9 is missing", |m| m.references[0].2[1] = 9),
        ("tile 1 is not AV1", |m| m.references[0].2[1] = 1),
        ("different kinds (ispe, av1C)", |m| m.items[2].properties[1].1[2] = 0x4C),
        ("another size than its tiles have", |m| {
            for item in &mut m.items[1..] {
                item.properties[0].1[3] = 9;
            }
            m.idat[13] = 17;
            m.items[0].properties[0].1[3] = 17;
        }),
        ("another size than its tiles have", |m| {
            m.idat[13] = 17;
            m.items[0].properties[0].1[3] = 17;
        }),
        ("another size than its tiles have", |m| {
            m.idat[13] = 8;
            m.items[0].properties[0].1[3] = 8;
        }),
        ("to be cropped or turned", |m| m.items[2].properties.push((*b"irot", vec![1], true))),
        ("has 1 tiles", |m| m.alpha(5, 2, (8, 8), ALPHA[0])),
    ];
    for (says, break_it) in table {
        let mut maker = Maker::grid();
        assert!(Picture::read(&maker.file()).is_ok());
        break_it(&mut maker);
        let error = refused(&maker.file());
        assert!(error.contains(says), "{says}: {error}");
    }
}

#[test]
fn what_is_wrong_with_boxes_is_said() {
    let meta = |boxes: &[Vec<u8>]| maker::file(b"avif", &[iso_box(b"meta", &[&[0; 4][..], &boxes.concat()].concat())]);
    let hdlr = |kind: &[u8; 4]| iso_box(b"hdlr", &[&[0; 8][..], kind, &[0; 13]].concat());
    let ftyp = |data: &[u8]| iso_box(b"ftyp", data);
    let many = iso_box(b"free", b"").repeat(1025);
    let table = [
        ("it has no bytes", Vec::new()),
        ("box 'size' is cut short", vec![0; 7]),
        ("does not begin with its brands", iso_box(b"mdat", b"")),
        ("brands are cut short", ftyp(b"avif")),
        ("brands are cut short", ftyp(b"avif\0\0\0\0mi")),
        ("neither of the brand", ftyp(b"heic\0\0\0\0mif1")),
        ("no item is its picture", maker::file(b"avif", &[])),
        ("do not say what they are of", meta(&[])),
        ("of 'soun' and not of pictures", meta(&[hdlr(b"soun")])),
        ("no item is its picture", meta(&[hdlr(b"pict")])),
        ("two boxes 'hdlr'", meta(&[hdlr(b"pict"), hdlr(b"pict")])),
        ("box 'pitm' is cut short", meta(&[hdlr(b"pict"), iso_box(b"pitm", &[0; 5])])),
        ("box 'pitm' has version 2", meta(&[hdlr(b"pict"), iso_box(b"pitm", &[2, 0, 0, 0, 0, 1])])),
        ("box 'meta' has version 1", maker::file(b"avif", &[iso_box(b"meta", &[1, 0, 0, 0])])),
        ("box 'free' reaches beyond its end", maker::file(b"avif", &[b"\0\0\0\x09free".to_vec()])),
        ("box 'free' is smaller than a box", maker::file(b"avif", &[b"\0\0\0\x07free".to_vec()])),
        ("reaches beyond", maker::file(b"avif", &[[&b"\0\0\0\x01free"[..], &[255; 8]].concat()])),
        ("more than 1024 boxes", maker::file(b"avif", std::slice::from_ref(&many))),
        (
            "numbers of 3 bytes",
            meta(&[hdlr(b"pict"), iso_box(b"iloc", &[0, 0, 0, 0, 0x34, 0, 0, 1, 0, 1, 0, 0, 0, 1])]),
        ),
        ("no lengths", meta(&[hdlr(b"pict"), iso_box(b"iloc", &[0, 0, 0, 0, 0x40, 0, 0, 1])])),
        (
            "box 'iloc' is cut short",
            meta(&[hdlr(b"pict"), iso_box(b"iloc", &[2, 0, 0, 0, 0x44, 0, 255, 255, 255, 255])]),
        ),
        (
            "box 'ipma' is cut short",
            meta(&[hdlr(b"pict"), iso_box(b"iprp", &iso_box(b"ipma", &[0, 0, 0, 0, 255, 255, 255, 255]))]),
        ),
        (
            "two boxes 'ipco'",
            meta(&[hdlr(b"pict"), iso_box(b"iprp", &iso_box(b"ipco", &iso_box(b"free", b"")).repeat(2))]),
        ),
    ];
    for (says, bytes) in table {
        let error = refused(&bytes);
        assert!(error.contains(says), "{says}: {error}");
    }
}

#[test]
fn counts_without_bytes_and_items_without_end_are_refused() {
    let locations: Vec<u8> = (0..5000_u32).flat_map(|id| [&id.to_be_bytes()[..], &[0; 6]].concat()).collect();
    let iloc = [&[2, 0, 0, 0, 0x44, 0][..], &5000_u32.to_be_bytes(), &locations].concat();
    let hdlr = iso_box(b"hdlr", &[&[0; 8][..], b"pict", &[0; 13]].concat());
    let meta = iso_box(b"meta", &[&[0; 4][..], &hdlr, &iso_box(b"iloc", &iloc)].concat());
    let error = refused(&maker::file(b"avif", &[meta]));
    assert!(error.contains("more than 4096 items"), "{error}");
    let mut maker = Maker::picture();
    maker.references = (0..5).map(|from| (*b"auxl", from, vec![1; 4000])).collect();
    let error = refused(&maker.file());
    assert!(error.contains("more than 16384 references"), "{error}");
}

#[test]
fn no_beginning_of_a_file_is_a_picture() {
    for name in ["full-420", "alpha-420", "grid-alpha", "cropped", "p3-icc"] {
        let whole = file(name);
        for length in 0..whole.len() {
            assert!(Picture::read(&whole[..length]).is_err(), "{name}: {length} of {}", whole.len());
        }
    }
}

/// What has to hold of a picture that is read out of whatever bytes.
fn holds(bytes: &[u8]) {
    let Ok(picture) = Picture::read(bytes) else { return };
    for layer in [Some(&picture.colour), picture.alpha.as_ref()].into_iter().flatten() {
        assert_eq!(layer.size, picture.colour.size);
        let rows = u32::try_from(layer.tiles.len()).unwrap() / layer.columns;
        assert_eq!(layer.tiles.len() as u32, rows * layer.columns);
        assert!(u64::from(layer.tile_size.0) * u64::from(layer.columns) >= u64::from(layer.size.0));
        assert!(u64::from(layer.tile_size.1) * u64::from(rows) >= u64::from(layer.size.1));
        assert!(layer.tiles.iter().all(|tile| !tile.bytes().is_empty() && tile.len() <= bytes.len()));
    }
    let Crop { x, y, width, height } = picture.crop;
    assert!(width > 0 && height > 0);
    assert!(x + width <= picture.colour.size.0 && y + height <= picture.colour.size.1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_are_errors_or_pictures_that_hold(
        which in 0..6_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let names = ["full-420", "alpha-444-premultiplied", "grid-alpha", "cropped", "turned-1-mirrored", "sequence"];
        let mut bytes = file(names[which]);
        let metadata = bytes.len().min(1000);
        for (at, to) in changes {
            let at = at.index(metadata);
            // Often a bit, so that what is near to right is met too.
            bytes[at] = if to < 128 { bytes[at] ^ (1 << (to % 8)) } else { to };
        }
        holds(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        holds(&bytes);
    }
}
