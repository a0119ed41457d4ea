//! Files with invalid boxes, and the expected error of each.

use super::file_builder::{self, FileBuilder, iso_box};
use super::{ALPHA, Coding, HeifImage, parse_error};

/// A part of the expected error, and the modification of the file.
type Case = (&'static str, fn(&mut FileBuilder));

#[test]
fn errors_in_the_primary_item_are_reported() {
    let table: [Case; 33] = [
        ("no primary item", |m| m.primary = None),
        ("item 7 is missing", |m| m.primary = Some(7)),
        ("has no size", |m| m.items[0].properties.retain(|(kind, ..)| kind != b"ispe")),
        ("zero width or height", |m| m.set(b"ispe", &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8])),
        ("no AV1 configuration", |m| m.items[0].properties.retain(|(kind, ..)| kind != b"av1C")),
        ("configuration version (av1C)", |m| m.set(b"av1C", &[0x82, 0, 0x0C, 0])),
        ("invalid bit depth", |m| m.set(b"av1C", &[0x81, 0, 0x2C, 0])),
        ("invalid chroma subsampling", |m| m.set(b"av1C", &[0x81, 0, 0x04, 0])),
        ("box 'av1C' is truncated", |m| m.set(b"av1C", &[0x81, 0])),
        ("conflicting bit depths (pixi, av1C)", |m| m.property(b"pixi", &[0, 0, 0, 0, 3, 10, 10, 10], false)),
        ("different bit depths (pixi)", |m| m.property(b"pixi", &[0, 0, 0, 0, 3, 8, 8, 10], false)),
        ("two properties 'ispe'", |m| m.property(b"ispe", &[0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 8], false)),
        ("unsupported type 'iovl'", |m| m.items[0].kind = *b"iovl"),
        ("is encrypted", |m| m.items[0].is_protected = true),
        ("unsupported construction method 2", |m| m.items[0].method = 2),
        ("stored in another file", |m| m.items[0].data_reference = 1),
        ("past the end", |m| m.items[0].extents = vec![(0, 9)]),
        ("past the end", |m| m.items[0].extents = vec![(u32::MAX.into(), u32::MAX.into())]),
        ("past the end", |m| m.items[0].extents = vec![(0, 8), (0, 8)]),
        ("is empty", |m| m.items[0].extents = vec![(0, 0)]),
        ("is empty", |m| m.items[0].extents.clear()),
        ("more than 64 extents", |m| m.items[0].extents = vec![(0, 1); 65]),
        ("duplicate item 1", |m| m.items.push(m.items[0].clone())),
        ("property 99 is missing", |m| m.extra_association = Some(99)),
        ("crop (clap) after a rotation", |m| {
            m.property(b"irot", &[1], true);
            m.property(b"clap", &[0; 32], true);
        }),
        ("zero denominator", |m| m.property(b"clap", &[0; 32], true)),
        ("not within the image", |m| m.property(b"clap", &file_builder::clap([(1, 3), (8, 1), (0, 1), (0, 1)]), true)),
        ("not within the image", |m| m.property(b"clap", &file_builder::clap([(8, 1), (8, 1), (1, 1), (0, 1)]), true)),
        ("property 'a1op'", |m| m.property(b"a1op", &[1], true)),
        ("property 'lsel'", |m| m.property(b"lsel", &[0, 1], true)),
        ("more than one alpha image", |m| {
            m.alpha(5, 1, (8, 8), ALPHA[0]);
            m.alpha(6, 1, (8, 8), ALPHA[0]);
        }),
        ("alpha image differs in size", |m| m.alpha(5, 1, (8, 7), ALPHA[0])),
        ("two reference lists 'auxl'", |m| m.references = vec![(*b"auxl", 5, vec![1]); 2]),
    ];
    for (expected, modify) in table {
        let mut builder = FileBuilder::single();
        assert!(HeifImage::read(&builder.file(), Coding::Av1).is_ok());
        modify(&mut builder);
        let error = parse_error(&builder.file());
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn errors_in_a_grid_are_reported() {
    let table: [Case; 14] = [
        ("box 'grid' is truncated", |m| m.items[0].extents = vec![(8, 7)]),
        ("grid has unsupported version 1", |m| m.idat[8] = 1),
        ("differs in size from its item", |m| m.idat[13] = 15),
        ("grid of 3x1 has 2 tiles", |m| m.idat[11] = 2),
        ("grid of 2x1 has 0 tiles", |m| m.references.clear()),
        ("more than 1024 tiles", |m| m.idat[10..12].fill(255)),
        ("item 9 is missing", |m| m.references[0].2[1] = 9),
        ("tile 1 does not have the type 'av01'", |m| m.references[0].2[1] = 1),
        ("differ in size or format (ispe, av1C, hvcC)", |m| m.items[2].properties[1].1[2] = 0x4C),
        ("do not match the size of the grid", |m| {
            for item in &mut m.items[1..] {
                item.properties[0].1[3] = 9;
            }
            m.idat[13] = 17;
            m.items[0].properties[0].1[3] = 17;
        }),
        ("do not match the size of the grid", |m| {
            m.idat[13] = 17;
            m.items[0].properties[0].1[3] = 17;
        }),
        ("do not match the size of the grid", |m| {
            m.idat[13] = 8;
            m.items[0].properties[0].1[3] = 8;
        }),
        ("has a crop or rotation property", |m| m.items[2].properties.push((*b"irot", vec![1], true))),
        ("has 1 tiles", |m| m.alpha(5, 2, (8, 8), ALPHA[0])),
    ];
    for (expected, modify) in table {
        let mut builder = FileBuilder::grid();
        assert!(HeifImage::read(&builder.file(), Coding::Av1).is_ok());
        modify(&mut builder);
        let error = parse_error(&builder.file());
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn errors_in_boxes_are_reported() {
    let meta =
        |boxes: &[Vec<u8>]| file_builder::file(b"avif", &[iso_box(b"meta", &[&[0; 4][..], &boxes.concat()].concat())]);
    let hdlr = |kind: &[u8; 4]| iso_box(b"hdlr", &[&[0; 8][..], kind, &[0; 13]].concat());
    let ftyp = |data: &[u8]| iso_box(b"ftyp", data);
    let many = iso_box(b"free", b"").repeat(1025);
    let table = [
        ("empty file", Vec::new()),
        ("box 'size' is truncated", vec![0; 7]),
        ("first box is not 'ftyp'", iso_box(b"mdat", b"")),
        ("truncated brand list", ftyp(b"avif")),
        ("truncated brand list", ftyp(b"avif\0\0\0\0mi")),
        ("no brand of its format", ftyp(b"heic\0\0\0\0mif1")),
        ("no primary item", file_builder::file(b"avif", &[])),
        ("unsupported metadata box 'mini'", file_builder::file(b"avif", &[iso_box(b"mini", &[])])),
        ("metadata without a handler", meta(&[])),
        ("handler 'soun'", meta(&[hdlr(b"soun")])),
        ("no primary item", meta(&[hdlr(b"pict")])),
        ("duplicate box 'hdlr'", meta(&[hdlr(b"pict"), hdlr(b"pict")])),
        ("box 'pitm' is truncated", meta(&[hdlr(b"pict"), iso_box(b"pitm", &[0; 5])])),
        ("box 'pitm' has unsupported version 2", meta(&[hdlr(b"pict"), iso_box(b"pitm", &[2, 0, 0, 0, 0, 1])])),
        ("box 'meta' has unsupported version 1", file_builder::file(b"avif", &[iso_box(b"meta", &[1, 0, 0, 0])])),
        ("box 'free' extends past the end", file_builder::file(b"avif", &[b"\0\0\0\x09free".to_vec()])),
        ("box 'free' is smaller than its header", file_builder::file(b"avif", &[b"\0\0\0\x07free".to_vec()])),
        ("extends past the end", file_builder::file(b"avif", &[[&b"\0\0\0\x01free"[..], &[255; 8]].concat()])),
        ("more than 1024 boxes", file_builder::file(b"avif", std::slice::from_ref(&many))),
        ("fields of 3 bytes", meta(&[hdlr(b"pict"), iso_box(b"iloc", &[0, 0, 0, 0, 0x34, 0, 0, 1, 0, 1, 0, 0, 0, 1])])),
        ("without lengths", meta(&[hdlr(b"pict"), iso_box(b"iloc", &[0, 0, 0, 0, 0x40, 0, 0, 1])])),
        (
            "box 'iloc' is truncated",
            meta(&[hdlr(b"pict"), iso_box(b"iloc", &[2, 0, 0, 0, 0x44, 0, 255, 255, 255, 255])]),
        ),
        (
            "box 'ipma' is truncated",
            meta(&[hdlr(b"pict"), iso_box(b"iprp", &iso_box(b"ipma", &[0, 0, 0, 0, 255, 255, 255, 255]))]),
        ),
        (
            "duplicate box 'ipco'",
            meta(&[hdlr(b"pict"), iso_box(b"iprp", &iso_box(b"ipco", &iso_box(b"free", b"")).repeat(2))]),
        ),
    ];
    for (expected, bytes) in table {
        let error = parse_error(&bytes);
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn excessive_item_and_reference_counts_are_refused() {
    let locations: Vec<u8> = (0..5000_u32).flat_map(|id| [&id.to_be_bytes()[..], &[0; 6]].concat()).collect();
    let iloc = [&[2, 0, 0, 0, 0x44, 0][..], &5000_u32.to_be_bytes(), &locations].concat();
    let hdlr = iso_box(b"hdlr", &[&[0; 8][..], b"pict", &[0; 13]].concat());
    let meta = iso_box(b"meta", &[&[0; 4][..], &hdlr, &iso_box(b"iloc", &iloc)].concat());
    let error = parse_error(&file_builder::file(b"avif", &[meta]));
    assert!(error.contains("more than 4096 items"), "{error}");
    let mut builder = FileBuilder::single();
    builder.references = (0..5).map(|from| (*b"auxl", from, vec![1; 4000])).collect();
    let error = parse_error(&builder.file());
    assert!(error.contains("more than 16384 references"), "{error}");
}
