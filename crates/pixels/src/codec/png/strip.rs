//! Copies a PNG without its metadata (third edition, section 11).

use crate::codec::png::chunks::{Chunks, SIGNATURE_BYTES};

/// Copies the chunks that define the pixels and their colors, and those of the animation if `is_animated` is set. Text,
/// times, EXIF data, resolutions, unknown chunks and bytes after the end are dropped. `None` if a chunk is truncated or an
/// unknown one is critical.
pub(crate) fn strip<'a>(original: &'a [u8], is_animated: bool, keep: &mut dyn FnMut(&'a [u8])) -> Option<()> {
    let (signature, rest) = original.split_at_checked(SIGNATURE_BYTES)?;
    keep(signature);
    for chunk in Chunks::new(rest) {
        chunk.checksum?;
        let is_kept = match chunk.name {
            b"IHDR" | b"PLTE" | b"IDAT" | b"IEND" => true,
            b"tRNS" | b"cHRM" | b"cICP" | b"gAMA" | b"iCCP" | b"mDCV" | b"cLLI" | b"sBIT" | b"sRGB" => true,
            b"acTL" | b"fcTL" | b"fdAT" => is_animated,
            // The case of the first letter tells critical chunks from ancillary ones (section 5.4).
            [first, ..] if first.is_ascii_uppercase() => return None,
            _ => false,
        };
        if is_kept {
            keep(chunk.whole);
        }
        if chunk.name == b"IEND" {
            return Some(());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &str) -> Vec<u8> {
        [&[0, 0, 0, 2], name.as_bytes(), b"abcrc!"].concat()
    }

    fn stripped(names: &str, is_animated: bool) -> Option<String> {
        let file = [b"\x89PNG\r\n\x1A\n".to_vec(), names.split(' ').flat_map(chunk).collect()].concat();
        let mut bytes = Vec::new();
        strip(&file, is_animated, &mut |part| bytes.extend_from_slice(part))?;
        assert_eq!(bytes[..8], file[..8]);
        let names = bytes[8..].chunks(14).map(|chunk| std::str::from_utf8(&chunk[4..8]).unwrap());
        Some(names.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn only_chunks_of_pixels_colors_and_animations_are_kept() {
        let names = "IHDR iCCP tEXt PLTE tRNS eXIf acTL fcTL IDAT fdAT iTXt zTXt tIME pHYs abcd IEND IDAT";
        assert_eq!(stripped(names, false).unwrap(), "IHDR iCCP PLTE tRNS IDAT IEND");
        assert_eq!(stripped(names, true).unwrap(), "IHDR iCCP PLTE tRNS acTL fcTL IDAT fdAT IEND");
        assert_eq!(stripped("IHDR CgBI IDAT IEND", false), None, "an unknown critical chunk");
        assert_eq!(stripped("IHDR IDAT", false), None, "no end");
        let mut file = [b"\x89PNG\r\n\x1A\n".to_vec(), chunk("IHDR"), chunk("IEND")].concat();
        file.pop();
        assert_eq!(strip(&file, false, &mut |_| {}), None, "truncated");
    }
}
