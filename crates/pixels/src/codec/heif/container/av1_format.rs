//! Reads the sample format from the sequence header of an AV1 codestream (AV1 Bitstream & Decoding Process Specification,
//! sections 5.3 and 5.5). The property `av1C` repeats it, but some writers state another format there, and decoders
//! believe the sequence header.

use super::bits::Bits;
use super::layer::SampleFormat;
use crate::yuv_image::ChromaSubsampling;

/// Number of bytes of a codestream in which its sequence header is expected.
pub(super) const HEAD_BYTES: usize = 512;

/// OBU types (section 6.2.2).
const SEQUENCE_HEADER: u64 = 1;
const FRAME_HEADER: u64 = 3;
const TILE_GROUP: u64 = 4;
const FRAME: u64 = 6;

/// The sample format of a codestream that begins with `head`. `None` if a frame comes first, or the header is damaged or
/// reserved.
pub(super) fn av1_format(head: &[u8]) -> Option<SampleFormat> {
    let mut rest = head;
    loop {
        let mut header = Bits::new(rest);
        header.skip(1)?;
        let kind = header.read(4)?;
        let (has_extension, has_size) = (header.flag()?, header.flag()?);
        header.skip(if has_extension { 9 } else { 1 })?;
        let data = rest.get(if has_extension { 2 } else { 1 }..)?;
        let (length, data) = if has_size { leb128(data)? } else { (data.len(), data) };
        match kind {
            SEQUENCE_HEADER => return sequence_header(data.get(..length)?),
            FRAME_HEADER | TILE_GROUP | FRAME => return None,
            _ => rest = data.get(length..)?,
        }
    }
}

/// A number in groups of seven bits, lowest first (section 4.10.5), and the bytes after it.
fn leb128(data: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (n, byte) in data.iter().enumerate().take(8) {
        value |= u64::from(byte & 0x7F) << (7 * n);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, data.get(n + 1..)?));
        }
    }
    None
}

/// `sequence_header_obu` up to the color configuration (section 5.5.1).
fn sequence_header(data: &[u8]) -> Option<SampleFormat> {
    let mut bits = Bits::new(data);
    let profile = bits.read(3)?;
    // still_picture
    bits.skip(1)?;
    let is_reduced = bits.flag()?;
    if is_reduced {
        // seq_level_idx
        bits.skip(5)?;
    } else {
        operating_points(&mut bits)?;
    }
    let (width_bits, height_bits) = (bits.read(4)? + 1, bits.read(4)? + 1);
    bits.skip(width_bits + height_bits)?;
    // The lengths of frame ids.
    if !is_reduced && bits.flag()? {
        bits.skip(4 + 3)?;
    }
    // use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter
    bits.skip(3)?;
    if !is_reduced {
        inter_tools(&mut bits)?;
    }
    // enable_superres, enable_cdef, enable_restoration
    bits.skip(3)?;
    color_config(&mut bits, profile)
}

/// Timing, decoder model and operating points (section 5.5.1).
fn operating_points(bits: &mut Bits<'_>) -> Option<()> {
    // None without a decoder model.
    let mut delay_bits = None;
    if bits.flag()? {
        // timing_info: num_units_in_display_tick and time_scale; equal_picture_interval (section 5.5.3)
        bits.skip(32 + 32)?;
        if bits.flag()? {
            bits.skip_uvlc()?;
        }
        // decoder_model_info (section 5.5.4)
        if bits.flag()? {
            delay_bits = Some(bits.read(5)? + 1);
            bits.skip(32 + 5 + 5)?;
        }
    }
    let has_display_delay = bits.flag()?;
    for _ in 0..=bits.read(5)? {
        // operating_point_idc
        bits.skip(12)?;
        // seq_tier is stored for higher levels only.
        if bits.read(5)? > 7 {
            bits.skip(1)?;
        }
        if let Some(delay_bits) = delay_bits
            && bits.flag()?
        {
            // operating_parameters_info (section 5.5.5)
            bits.skip(2 * delay_bits + 1)?;
        }
        if has_display_delay && bits.flag()? {
            bits.skip(4)?;
        }
    }
    Some(())
}

/// The tools for frames that refer to others (section 5.5.1).
fn inter_tools(bits: &mut Bits<'_>) -> Option<()> {
    // enable_interintra_compound, enable_masked_compound, enable_warped_motion, enable_dual_filter
    bits.skip(4)?;
    let has_order_hint = bits.flag()?;
    if has_order_hint {
        // enable_jnt_comp, enable_ref_frame_mvs
        bits.skip(2)?;
    }
    // seq_choose_screen_content_tools, else seq_force_screen_content_tools
    let may_have_screen_content = bits.flag()? || bits.flag()?;
    // seq_choose_integer_mv, else seq_force_integer_mv
    if may_have_screen_content && !bits.flag()? {
        bits.skip(1)?;
    }
    if has_order_hint {
        bits.skip(3)?;
    }
    Some(())
}

/// `color_config` (section 5.5.2).
fn color_config(bits: &mut Bits<'_>, profile: u64) -> Option<SampleFormat> {
    let is_high = bits.flag()?;
    let depth = match (profile, is_high) {
        (0..=2, false) => 8,
        (2, true) if bits.flag()? => 12,
        (0..=2, true) => 10,
        _ => return None,
    };
    let is_monochrome = profile != 1 && bits.flag()?;
    let [primaries, transfer, matrix] =
        if bits.flag()? { [bits.read(8)?, bits.read(8)?, bits.read(8)?] } else { [2; 3] };
    if is_monochrome {
        return Some(SampleFormat { depth, sampling: ChromaSubsampling::Cs400, coded_size: None });
    }
    // sRGB with the identity matrix has no fields for range and sampling.
    if [primaries, transfer, matrix] == [1, 13, 0] {
        return Some(SampleFormat { depth, sampling: ChromaSubsampling::Cs444, coded_size: None });
    }
    // color_range
    bits.skip(1)?;
    let sampling = match (profile, depth) {
        (0, _) => ChromaSubsampling::Cs420,
        (1, _) => ChromaSubsampling::Cs444,
        // subsampling_x, and subsampling_y if it is set
        (_, 12) if !bits.flag()? => ChromaSubsampling::Cs444,
        (_, 12) if bits.flag()? => ChromaSubsampling::Cs420,
        _ => ChromaSubsampling::Cs422,
    };
    Some(SampleFormat { depth, sampling, coded_size: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes bits, highest first.
    fn packed(fields: &[(u64, u32)]) -> Vec<u8> {
        let bits: Vec<u8> =
            fields.iter().flat_map(|&(value, count)| (0..count).rev().map(move |n| (value >> n & 1) as u8)).collect();
        bits.chunks(8).map(|bits| bits.iter().enumerate().fold(0, |byte, (n, bit)| byte | bit << (7 - n))).collect()
    }

    fn obu(kind: u8, data: &[u8]) -> Vec<u8> {
        [&[kind << 3 | 2, u8::try_from(data.len()).unwrap()], data].concat()
    }

    /// A reduced header of a picture of 8x8 pixels with this color configuration.
    fn reduced(profile: u64, color: &[(u64, u32)]) -> Vec<u8> {
        let start = [(profile, 3), (1, 1), (1, 1), (0, 5), (2, 4), (2, 4), (7, 3), (7, 3), (0, 3), (0, 3)];
        obu(1, &packed(&[&start, color, &[(0, 8)]].concat()))
    }

    /// Values and their numbers of bits.
    type Fields = [(u64, u32)];

    #[test]
    fn formats_of_all_profiles_are_read() {
        use ChromaSubsampling::{Cs400, Cs420, Cs422, Cs444};
        let srgb = [(1, 1), (1, 8), (13, 8), (0, 8)];
        let table: [(u64, &Fields, u8, ChromaSubsampling); 10] = [
            (0, &[(0, 1), (0, 1), (0, 1), (1, 1)], 8, Cs420),
            (0, &[(0, 1), (1, 1), (0, 1), (1, 1)], 8, Cs400),
            (0, &[(1, 1), (0, 1), (0, 1), (1, 1)], 10, Cs420),
            (1, &[(0, 1), (0, 1), (1, 1)], 8, Cs444),
            (1, &[&[(1, 1)], &srgb[..]].concat(), 10, Cs444),
            (2, &[(0, 1), (0, 1), (0, 1), (1, 1)], 8, Cs422),
            (2, &[(1, 1), (0, 1), (0, 1), (0, 1), (1, 1)], 10, Cs422),
            (2, &[(1, 1), (1, 1), (0, 1), (0, 1), (1, 1), (0, 1)], 12, Cs444),
            (2, &[(1, 1), (1, 1), (0, 1), (0, 1), (1, 1), (1, 1), (0, 1)], 12, Cs422),
            (2, &[(1, 1), (1, 1), (0, 1), (0, 1), (1, 1), (1, 1), (1, 1)], 12, Cs420),
        ];
        for (profile, color, depth, sampling) in table {
            let file = [obu(2, &[]), reduced(profile, color)].concat();
            assert_eq!(
                av1_format(&file),
                Some(SampleFormat { depth, sampling, coded_size: None }),
                "{profile} {color:?}"
            );
            for end in 0..file.len() - 2 {
                assert_eq!(av1_format(&file[..end]), None, "{profile} {color:?} {end}");
            }
        }
        assert_eq!(av1_format(&reduced(3, &[(0, 16)])), None);
    }

    #[test]
    fn headers_with_timing_and_a_decoder_model_are_read() {
        let start = [(2, 3), (0, 1), (0, 1)];
        let timing = [(1, 1), (1, 32), (25, 32), (1, 1), (0b00110, 5), (1, 1), (9, 5), (1, 32), (0, 5), (0, 5)];
        let points = [(1, 1), (1, 5), (1, 12), (8, 5), (1, 1), (1, 1), (5, 10), (5, 10), (0, 1), (1, 1), (3, 4)];
        let second = [(0, 12), (7, 5), (0, 1), (0, 1)];
        let size = [(3, 4), (3, 4), (15, 4), (15, 4), (1, 1), (1, 4), (1, 3), (0, 3)];
        let tools = [(0, 4), (1, 1), (0, 2), (0, 1), (1, 1), (0, 1), (1, 1), (6, 3), (0, 3)];
        let color = [(1, 1), (1, 1), (0, 1), (0, 1), (0, 1), (1, 1), (0, 1), (0, 8)];
        let fields = [&start[..], &timing, &points, &second, &size, &tools, &color].concat();
        let expected = SampleFormat { depth: 12, sampling: ChromaSubsampling::Cs422, coded_size: None };
        assert_eq!(av1_format(&obu(1, &packed(&fields))), Some(expected));
    }

    #[test]
    fn a_frame_before_the_header_and_damaged_lengths_give_no_format() {
        let header = reduced(1, &[(0, 1), (0, 1), (1, 1)]);
        assert_eq!(av1_format(&[obu(6, b"frame"), header].concat()), None);
        assert_eq!(av1_format(&[0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1]), None);
        assert_eq!(av1_format(&[]), None);
    }
}
