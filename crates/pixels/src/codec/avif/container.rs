//! Writes AVIF files: an AV1 image, its alpha and an XMP packet as items of a HEIF file (ISO/IEC 23008-12; AV1 Image File
//! Format).

use crate::error::Error;
use crate::transform::color::Gamut;
use crate::yuv_image::{ChromaSubsampling, YuvShape};

/// The parts of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct AvifFile<'a> {
    /// Samples of `color`, which have full range and the matrix of BT.601.
    pub(super) shape: YuvShape,
    pub(super) gamut: Gamut,
    /// AV1 data of the color image.
    pub(super) color: &'a [u8],
    /// AV1 data of a gray image with the same size and depth.
    pub(super) alpha: Option<&'a [u8]>,
    /// An XMP packet.
    pub(super) xmp: Option<&'a [u8]>,
}

/// An item, and its data.
struct Item<'a> {
    id: u16,
    kind: &'static [u8; 4],
    data: &'a [u8],
    /// The content type of a `mime` item.
    content_type: Option<&'static [u8]>,
    /// Reference to the color image.
    reference: Option<&'static [u8; 4]>,
    /// Numbers of properties, starting at 1, with [`ESSENTIAL`] for those that a reader must know.
    properties: &'static [u8],
}

/// Bit of a property that a reader must know (ISO/IEC 23008-12, section 9.3.1).
const ESSENTIAL: u8 = 0x80;

/// The type of an auxiliary image that contains alpha (AV1 Image File Format, section 4.1).
const ALPHA_URN: &[u8] = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha";

/// Item of the color image.
const COLOR: u16 = 1;

/// Bytes of the boxes for all items, at most.
const BOXES_BYTES: usize = 768;

impl AvifFile<'_> {
    /// # Errors
    /// [`Error::Encode`] if the file would have 4 GiB or more.
    pub(super) fn to_bytes(self) -> Result<Vec<u8>, Error> {
        let items = self.items();
        let data_bytes: usize = items.iter().map(|item| item.data.len()).sum();
        let mut file = Vec::with_capacity(data_bytes + BOXES_BYTES);
        push_box(&mut file, b"ftyp", &[b"avif\0\0\0\0avifmif1miaf"]);
        // The metadata have the same length whatever the offsets in them.
        let data_at = file.len() + self.meta(&items, 0).len() + BOX_HEADER_BYTES;
        if u32::try_from(data_at + data_bytes).is_err() {
            return Err(Error::Encode { reason: "the file would have 4 GiB or more".to_owned() });
        }
        file.extend(self.meta(&items, data_at));
        let data: Vec<&[u8]> = items.iter().map(|item| item.data).collect();
        push_box(&mut file, b"mdat", &data);
        Ok(file)
    }

    /// The items in the order of their data. Alpha comes first, so that a partial file can be shown.
    fn items(&self) -> Vec<Item<'_>> {
        let alpha = self.alpha.map(|data| Item {
            id: 2,
            kind: b"av01",
            data,
            content_type: None,
            reference: Some(b"auxl"),
            properties: &[1, 5 | ESSENTIAL, 6, 7],
        });
        let color = Item {
            id: COLOR,
            kind: b"av01",
            data: self.color,
            content_type: None,
            reference: None,
            properties: &[1, 2 | ESSENTIAL, 3, 4],
        };
        let xmp = self.xmp.map(|data| Item {
            id: 3,
            kind: b"mime",
            data,
            content_type: Some(b"application/rdf+xml"),
            reference: Some(b"cdsc"),
            properties: &[],
        });
        alpha.into_iter().chain([color]).chain(xmp).collect()
    }

    /// The metadata (ISO/IEC 14496-12, section 8.11) of items whose data begin at `data_at`.
    fn meta(&self, items: &[Item<'_>], data_at: usize) -> Vec<u8> {
        let mut boxes = full_box(b"hdlr", 0, &[&[0; 4], b"pict", &[0; 13]]);
        boxes.extend(full_box(b"pitm", 0, &[&COLOR.to_be_bytes()]));
        boxes.extend(locations(items, data_at));
        boxes.extend(infos(items));
        boxes.extend(references(items));
        let associations = associations(items);
        push_box(&mut boxes, b"iprp", &[&self.properties(), &associations]);
        full_box(b"meta", 0, &[&boxes])
    }

    /// The properties of the items (ISO/IEC 23008-12, section 6.5).
    fn properties(&self) -> Vec<u8> {
        let YuvShape { width, height, depth, sampling } = self.shape;
        let mut list = full_box(b"ispe", 0, &[&width.to_be_bytes(), &height.to_be_bytes()]);
        push_box(&mut list, b"av1C", &[&av1_configuration(depth, sampling)]);
        list.extend(bit_depths(depth, sampling.planes()));
        // Primaries and transfer function of the gamut, the matrix of BT.601, and full range (ITU-T H.273, section 8).
        let primaries = match self.gamut {
            Gamut::Srgb => 1,
            Gamut::DisplayP3 => 12,
        };
        push_box(&mut list, b"colr", &[b"nclx", &[0, primaries, 0, 13, 0, 6, 0x80]]);
        if self.alpha.is_some() {
            push_box(&mut list, b"av1C", &[&av1_configuration(depth, ChromaSubsampling::Cs400)]);
            list.extend(full_box(b"auxC", 0, &[ALPHA_URN, &[0]]));
            list.extend(bit_depths(depth, 1));
        }
        let mut container = Vec::new();
        push_box(&mut container, b"ipco", &[&list]);
        container
    }
}

/// The AV1 configuration (AV1 Codec ISO Media File Format Binding, section 2.3.3), which repeats the sequence header that
/// rav1e writes. Its level is unspecified (31).
fn av1_configuration(depth: u8, sampling: ChromaSubsampling) -> [u8; 4] {
    let (profile, monochrome, subsampled) = match sampling {
        ChromaSubsampling::Cs400 => (0, 1, 0b11),
        ChromaSubsampling::Cs420 => (0, 0, 0b11),
        ChromaSubsampling::Cs422 => (2, 0, 0b10),
        ChromaSubsampling::Cs444 => (1, 0, 0b00),
    };
    [0x81, profile << 5 | 31, u8::from(depth > 8) << 6 | monochrome << 4 | subsampled << 2, 0]
}

/// The bits per sample of each plane (ISO/IEC 23008-12, section 6.5.6).
fn bit_depths(depth: u8, planes: usize) -> Vec<u8> {
    full_box(b"pixi", 0, &[&[u8::try_from(planes).unwrap_or(u8::MAX)], &vec![depth; planes]])
}

/// The location of each item in the file (ISO/IEC 14496-12, section 8.11.3).
fn locations(items: &[Item<'_>], data_at: usize) -> Vec<u8> {
    // Offsets and lengths have four bytes.
    let mut fields = vec![0x44, 0];
    fields.extend(number16(items.len()));
    let mut at = data_at;
    for item in items {
        // The data are in this file, in one extent.
        fields.extend([item.id, 0, 1].map(u16::to_be_bytes).as_flattened());
        fields.extend([number32(at), number32(item.data.len())].as_flattened());
        at += item.data.len();
    }
    full_box(b"iloc", 0, &[&fields])
}

/// The type of each item (ISO/IEC 14496-12, section 8.11.6).
fn infos(items: &[Item<'_>]) -> Vec<u8> {
    let mut entries = number16(items.len()).to_vec();
    for item in items {
        let content_type = item.content_type.map_or(vec![], |content_type| [content_type, &[0]].concat());
        // The item is not encrypted and has no name.
        let fields: [&[u8]; 5] = [&item.id.to_be_bytes(), &[0; 2], item.kind, &[0], &content_type];
        entries.extend(full_box(b"infe", 2, &fields));
    }
    full_box(b"iinf", 0, &[&entries])
}

/// References to the color image (ISO/IEC 14496-12, section 8.11.12).
fn references(items: &[Item<'_>]) -> Vec<u8> {
    let mut lists = Vec::new();
    for item in items {
        if let Some(kind) = item.reference {
            push_box(&mut lists, kind, &[[item.id, 1, COLOR].map(u16::to_be_bytes).as_flattened()]);
        }
    }
    if lists.is_empty() { lists } else { full_box(b"iref", 0, &[&lists]) }
}

/// The properties of each item, in the order of the item numbers (ISO/IEC 23008-12, section 9.3).
fn associations(items: &[Item<'_>]) -> Vec<u8> {
    let mut images: Vec<_> = items.iter().filter(|item| !item.properties.is_empty()).collect();
    images.sort_by_key(|item| item.id);
    let mut entries = number32(images.len()).to_vec();
    for image in images {
        entries.extend(image.id.to_be_bytes());
        entries.push(u8::try_from(image.properties.len()).unwrap_or(0));
        entries.extend(image.properties);
    }
    full_box(b"ipma", 0, &[&entries])
}

/// Length of the size and the type of a box.
const BOX_HEADER_BYTES: usize = 8;

/// Appends a box (ISO/IEC 14496-12, section 4.2).
fn push_box(to: &mut Vec<u8>, kind: &[u8; 4], parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    to.extend(number32(BOX_HEADER_BYTES + length));
    to.extend(kind);
    parts.iter().for_each(|part| to.extend_from_slice(part));
}

/// A box with a version and without flags.
fn full_box(kind: &[u8; 4], version: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut made = Vec::new();
    let head: &[u8] = &[version, 0, 0, 0];
    push_box(&mut made, kind, &[&[head], parts].concat());
    made
}

/// A number that was checked, or is small.
fn number32(n: usize) -> [u8; 4] {
    u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes()
}

fn number16(n: usize) -> [u8; 2] {
    u16::try_from(n).unwrap_or(u16::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::heif::container::{Coding, HeifImage, description};

    const COLOR_DATA: &[u8] = b"color image";

    fn file(depth: u8, sampling: ChromaSubsampling, gamut: Gamut, alpha: Option<&[u8]>, xmp: Option<&[u8]>) -> Vec<u8> {
        let shape = YuvShape { width: 300, height: 70_000, depth, sampling };
        AvifFile { shape, gamut, color: COLOR_DATA, alpha, xmp }.to_bytes().unwrap()
    }

    #[test]
    fn the_parser_reads_what_the_file_was_made_from() {
        let samplings = [ChromaSubsampling::Cs400, ChromaSubsampling::Cs420, ChromaSubsampling::Cs444];
        for (depth, sampling) in [8, 10].into_iter().flat_map(|depth| samplings.map(|sampling| (depth, sampling))) {
            for alpha in [None, Some(&b"alpha"[..])] {
                let made = file(depth, sampling, Gamut::Srgb, alpha, None);
                let image = HeifImage::read(&made, Coding::Av1).unwrap();
                assert_eq!(
                    (image.color.size, image.color.depth, image.color.sampling),
                    ((300, 70_000), depth, sampling)
                );
                assert_eq!(&*image.color.tiles[0].bytes(), COLOR_DATA);
                assert_eq!(
                    image.alpha.map(|layer| (layer.depth, layer.tiles[0].bytes().to_vec())),
                    alpha.map(|data| (depth, data.to_vec()))
                );
                assert!(made.len() - COLOR_DATA.len() < BOXES_BYTES, "{}", made.len());
            }
        }
    }

    #[test]
    fn code_points_state_the_gamut_and_full_range() {
        for (gamut, primaries) in [(Gamut::Srgb, 1), (Gamut::DisplayP3, 12)] {
            let made = file(8, ChromaSubsampling::Cs420, gamut, None, None);
            let cicp = HeifImage::read(&made, Coding::Av1).unwrap().cicp.unwrap();
            assert_eq!((cicp.primaries, cicp.transfer, cicp.matrix, cicp.full_range), (primaries, 13, 6, true));
        }
    }

    #[test]
    fn the_packet_describes_the_color_image() {
        let packet = b"<x:xmpmeta/>";
        let made = file(8, ChromaSubsampling::Cs444, Gamut::DisplayP3, Some(b"alpha"), Some(packet));
        assert_eq!(description(&made, Coding::Av1, *b"mime", 100).unwrap(), &packet[..]);
        assert_eq!(&*HeifImage::read(&made, Coding::Av1).unwrap().color.tiles[0].bytes(), COLOR_DATA);
        assert!(
            description(&file(8, ChromaSubsampling::Cs420, Gamut::Srgb, None, None), Coding::Av1, *b"mime", 100)
                .is_none()
        );
    }
}
