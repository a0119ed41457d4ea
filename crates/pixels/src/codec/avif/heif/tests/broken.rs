//! Boxes that are put together wrongly: what the error says of each.

use super::maker::{self, Maker, iso_box};
use super::{ALPHA, AvifImage, refused};

/// What the error says, and how the file is broken.
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
        assert!(AvifImage::read(&maker.file()).is_ok());
        break_it(&mut maker);
        let error = refused(&maker.file());
        assert!(error.contains(says), "{says}: {error}");
    }
}

#[test]
fn what_is_wrong_with_a_grid_is_said() {
    let table: [Broken; 15] = [
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
        ("too little of it is shown", |m| {
            m.items[1].properties[0].1[2..4].fill(255);
            m.items[2].properties[0].1[2..4].fill(255);
            m.items[1].properties[0].1[6..8].fill(255);
            m.references[0].2.pop();
            m.idat[11] = 0;
        }),
        ("to be cropped or turned", |m| m.items[2].properties.push((*b"irot", vec![1], true))),
        ("has 1 tiles", |m| m.alpha(5, 2, (8, 8), ALPHA[0])),
    ];
    for (says, break_it) in table {
        let mut maker = Maker::grid();
        assert!(AvifImage::read(&maker.file()).is_ok());
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
        ("of the short kind (mini)", maker::file(b"avif", &[iso_box(b"mini", &[])])),
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
