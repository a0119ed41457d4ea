//! Writes the file of one HEVC image that the decoder in the sandboxed process reads, because `heic-decoder` reads only
//! files (ISO/IEC 23008-12 and 14496-12). The image has no properties but its decoder configuration.

use crate::error::{Error, damaged};

/// A file with a codestream in `extents`, and its decoder configuration, the payload of `hvcC`.
///
/// # Errors
/// The codestream has more than 4 GiB.
pub(super) fn with_image(config: &[u8], extents: &[&[u8]]) -> Result<Vec<u8>, Error> {
    let length = extents.iter().map(|extent| extent.len()).sum::<usize>();
    let word =
        |n: usize| u32::try_from(n).map(u32::to_be_bytes).map_err(|_| damaged("a codestream of more than 4 GiB"));
    let mut file = iso_box(*b"ftyp", &[b"heic\0\0\0\0mif1heic"])?;
    // The length of the metadata does not depend on the offset in it.
    let meta_bytes = meta(config, [0; 4], word(length)?)?.len();
    let offset = word(file.len() + meta_bytes + 8)?;
    file.extend(meta(config, offset, word(length)?)?);
    file.reserve_exact(8 + length);
    file.extend(word(8 + length)?);
    file.extend(b"mdat");
    extents.iter().for_each(|extent| file.extend_from_slice(extent));
    Ok(file)
}

/// The box `meta` of item 1.
fn meta(config: &[u8], offset: [u8; 4], length: [u8; 4]) -> Result<Vec<u8>, Error> {
    let handler = iso_box(*b"hdlr", &[&[0; 8], b"pict", &[0; 13]])?;
    let primary = iso_box(*b"pitm", &[&[0, 0, 0, 0, 0, 1]])?;
    // Version 1: one item, whose offset and length have four bytes, in the file, with one extent.
    let location = [&[1, 0, 0, 0, 0x44, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1][..], &offset, &length].concat();
    let location = iso_box(*b"iloc", &[&location])?;
    // Version 2: item 1 is not protected and has no name.
    let entry = iso_box(*b"infe", &[&[2, 0, 0, 0, 0, 1, 0, 0], b"hvc1\0"])?;
    let info = iso_box(*b"iinf", &[&[0, 0, 0, 0, 0, 1], &entry])?;
    let properties = iso_box(*b"ipco", &[&iso_box(*b"hvcC", &[config])?])?;
    // Item 1 has the essential property 1.
    let associations = iso_box(*b"ipma", &[&[0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1, 0x81]])?;
    let properties = iso_box(*b"iprp", &[&properties, &associations])?;
    iso_box(*b"meta", &[&[0; 4], &handler, &primary, &location, &info, &properties])
}

fn iso_box(kind: [u8; 4], parts: &[&[u8]]) -> Result<Vec<u8>, Error> {
    let length = 8 + parts.iter().map(|part| part.len()).sum::<usize>();
    let length = u32::try_from(length).map_err(|_| damaged("a box of more than 4 GiB"))?;
    Ok([&[&length.to_be_bytes()[..], &kind], parts].concat().concat())
}
