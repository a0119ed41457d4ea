//! Reads the sample format from the parameter sets of an HEVC codestream (ISO/IEC 14496-15, section 8.3.2.1.2; ITU-T H.265,
//! sections 7.3.1 and 7.3.2.2). The fields of `hvcC` that repeat it are ignored, because decoders believe the parameter
//! sets.

use super::bits::Bits;
use super::boxes::Fields;
use super::layer::SampleFormat;
use crate::error::{Error, damaged};
use crate::yuv_image::ChromaSubsampling;

/// The type of NAL unit that contains a sequence parameter set (ITU-T H.265, table 7-1).
const SEQUENCE_PARAMETERS: u8 = 33;

/// Maximum length of a decoder configuration. It is read and sent to the decoder once for each tile.
const CONFIG_BYTES_MAX: usize = 16 << 10;

/// Number of bytes of a sequence parameter set in which the fields before the bit depth are expected.
const HEAD_BYTES: usize = 128;

/// The sample format of the codestreams with this decoder configuration.
pub(super) fn hevc_format(hvcc: &[u8]) -> Result<SampleFormat, Error> {
    let unit = sequence_parameters(hvcc)?.ok_or_else(|| damaged("no sequence parameter set (hvcC)"))?;
    let parameters = unescape(unit.get(..HEAD_BYTES).unwrap_or(unit));
    let Parameters { chroma, coded_size, depths } =
        Parameters::read(&parameters).ok_or_else(|| damaged("unsupported sequence parameter set (hvcC)"))?;
    let sampling = match chroma {
        0 => ChromaSubsampling::Cs400,
        1 => ChromaSubsampling::Cs420,
        2 => ChromaSubsampling::Cs422,
        _ => ChromaSubsampling::Cs444,
    };
    let depth = match depths {
        (luma @ (8 | 10 | 12), chroma) if luma == chroma || sampling == ChromaSubsampling::Cs400 => luma,
        (luma, chroma) => return Err(damaged(format!("HEVC with {luma} bits of luma and {chroma} bits of chroma"))),
    };
    Ok(SampleFormat { depth, sampling, coded_size: Some(coded_size) })
}

/// The content of the first unit with sequence parameters of the base layer.
fn sequence_parameters(hvcc: &[u8]) -> Result<Option<&[u8]>, Error> {
    if hvcc.len() > CONFIG_BYTES_MAX {
        return Err(damaged(format!("a configuration of more than {CONFIG_BYTES_MAX} bytes (hvcC)")));
    }
    let mut fields = Fields::new(hvcc, *b"hvcC");
    let [version, ..] = fields.array::<22>()?;
    if version != 1 {
        return Err(damaged("unknown HEVC configuration version (hvcC)"));
    }
    for _ in 0..fields.u8()? {
        fields.u8()?;
        for _ in 0..fields.u16()? {
            let length = fields.u16()?;
            let unit = fields.bytes(length.into())?;
            // The header has a zero bit, six bits of type, six of layer and three of sub-layer.
            if let [first, second, content @ ..] = unit
                && first >> 1 & 0x3F == SEQUENCE_PARAMETERS
                && first & 1 == 0
                && second >> 3 == 0
            {
                return Ok(Some(content));
            }
        }
    }
    Ok(None)
}

/// Removes the byte 3 after two zeros, which prevents the start code of a unit.
fn unescape(unit: &[u8]) -> Vec<u8> {
    let is_escape = |n: usize| n >= 2 && unit[n - 2..=n] == [0, 0, 3];
    unit.iter().enumerate().filter(|(n, _)| !is_escape(*n)).map(|(_, byte)| *byte).collect()
}

/// Fields of a sequence parameter set.
struct Parameters {
    /// `chroma_format_idc`, at most 3.
    chroma: u32,
    /// Width and height of the coded image, which the conformance window crops.
    coded_size: (u32, u32),
    /// Bits of luma and of chroma.
    depths: (u8, u8),
}

impl Parameters {
    /// `None` if the parameters are truncated, have temporal sub-layers or separate color planes, or are reserved.
    fn read(parameters: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(parameters);
        bits.skip(4)?;
        let sub_layers = bits.read(3)?;
        if sub_layers > 0 {
            return None;
        }
        // sps_temporal_id_nesting_flag, and profile_tier_level without sub-layers (section 7.3.3)
        bits.skip(1 + 88 + 8)?;
        // sps_seq_parameter_set_id
        bits.exp_golomb()?;
        let chroma = bits.exp_golomb().filter(|chroma| *chroma <= 3)?;
        if chroma == 3 && bits.flag()? {
            return None;
        }
        let coded_size = (bits.exp_golomb()?, bits.exp_golomb()?);
        if bits.flag()? {
            (0..4).try_for_each(|_| bits.exp_golomb().map(drop))?;
        }
        let mut depth = || u8::try_from(bits.exp_golomb()?.checked_add(8)?).ok();
        let depths = (depth()?, depth()?);
        (coded_size.0 > 0 && coded_size.1 > 0).then_some(Self { chroma, coded_size, depths })
    }
}
