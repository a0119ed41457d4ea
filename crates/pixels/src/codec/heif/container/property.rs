//! Item properties (ISO/IEC 23008-12, section 6.5 and annex B; AV1 Image File Format, sections 2.2 and 4).

use super::av1_format;
use super::boxes::{Fields, IsoBox};
use super::hevc_format::hevc_format;
use super::layer::{Coding, SampleFormat, Tile};
use super::meta::Meta;
use super::orientation::{CleanAperture, ItemTransform};
use crate::error::{Error, damaged};
use crate::yuv_image::{ChromaSubsampling, Cicp};

/// The properties of one item. The pixel aspect ratio (`pasp`) is ignored, as in browsers.
#[derive(Debug, Default)]
pub(super) struct Properties<'a> {
    /// `ispe`, in pixels.
    pub(super) size: Option<(u32, u32)>,
    /// `av1C`.
    pub(super) av1: Option<SampleFormat>,
    /// `hvcC`.
    pub(super) hevc: Option<&'a [u8]>,
    /// `pixi`: number of channels, and bits per channel.
    pub(super) bits: Option<(u8, u8)>,
    /// `colr` of type `nclx`.
    pub(super) cicp: Option<Cicp>,
    /// `colr` of type `prof` or `rICC`.
    pub(super) profile: Option<&'a [u8]>,
    /// `clap`.
    pub(super) aperture: Option<CleanAperture>,
    /// `irot` and `imir`.
    pub(super) transform: ItemTransform,
}

impl<'a> Properties<'a> {
    /// Reads the properties of item `id`. An unknown essential property is an error (ISO/IEC 23008-12, section 9.3.1).
    pub(super) fn read_all(meta: &Meta<'a>, id: u32) -> Result<Self, Error> {
        let mut properties = Self::default();
        for &(number, is_essential) in &meta.item(id)?.properties {
            // Number 0 means no property.
            if number == 0 {
                continue;
            }
            let property = meta.property(number);
            let property = property.ok_or_else(|| damaged(format!("property {number} is missing (ipco)")))?;
            if !properties.read(property)? && is_essential {
                let kind = property.kind.escape_ascii();
                return Err(damaged(format!("item {id} has the unsupported essential property '{kind}'")));
            }
        }
        Ok(properties)
    }

    /// The codestream of item `id`, and its sample format.
    pub(super) fn tile(&self, meta: &Meta<'a>, id: u32) -> Result<(Tile<'a>, SampleFormat), Error> {
        let tile = meta.bytes(id)?;
        match meta.coding {
            Coding::Av1 => self.av1_format(id, &tile).map(|format| (tile, format)),
            Coding::Hevc => {
                let hvcc = self.hevc.ok_or_else(|| damaged(format!("item {id} has no HEVC configuration (hvcC)")))?;
                let format = hevc_format(hvcc)?;
                if self.bits.is_some_and(|(_, bits)| bits != format.depth) {
                    return Err(damaged(format!("item {id} has conflicting bit depths (pixi, hvcC)")));
                }
                Ok((Tile { config: Some(hvcc), ..tile }, format))
            }
        }
    }

    /// The sample format of item `id` with the codestream `tile`: that of the sequence header, or else that of the AV1
    /// configuration, which is mandatory.
    pub(super) fn av1_format(&self, id: u32, tile: &Tile<'_>) -> Result<SampleFormat, Error> {
        let config = self.av1.ok_or_else(|| damaged(format!("item {id} has no AV1 configuration (av1C)")))?;
        let av1 = av1_format::av1_format(&tile.head(av1_format::HEAD_BYTES)).unwrap_or(config);
        if self.bits.is_some_and(|(_, bits)| bits != config.depth && bits != av1.depth) {
            return Err(damaged(format!("item {id} has conflicting bit depths (pixi, av1C)")));
        }
        Ok(av1)
    }

    /// Reads a property. Returns `false` if it is unknown.
    pub(super) fn read(&mut self, property: &IsoBox<'a>) -> Result<bool, Error> {
        let kind = property.kind;
        let twice = || damaged(format!("an item has two properties '{}'", kind.escape_ascii()));
        let once = |was_there: bool| if was_there { Err(twice()) } else { Ok(()) };
        match &kind {
            b"ispe" => {
                let (_, _, mut fields) = property.full_up_to(0)?;
                once(self.size.replace((fields.u32()?, fields.u32()?)).is_some())?;
            }
            b"av1C" => once(self.av1.replace(av1(property)?).is_some())?,
            b"hvcC" => once(self.hevc.replace(property.data).is_some())?,
            b"pixi" => once(self.bits.replace(bits(property)?).is_some())?,
            b"colr" => self.color(property)?,
            b"clap" => {
                if self.transform != ItemTransform::default() {
                    return Err(damaged("crop (clap) after a rotation or mirror property"));
                }
                once(self.aperture.replace(CleanAperture::read(property)?).is_some())?;
            }
            b"irot" => self.transform.rotate(property.fields().u8()? & 3),
            b"imir" => self.transform.mirror(property.fields().u8()? & 1),
            // The decoder uses the first operating point and all layers. Other choices are unsupported.
            b"a1op" => return Ok(property.fields().u8()? == 0),
            b"lsel" => return Ok(property.fields().u16()? == u16::MAX),
            b"auxC" | b"pasp" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Reads color information (ISO/IEC 14496-12, section 12.1.5). An item may have both a profile and code points.
    /// Only the first property of each type is used.
    fn color(&mut self, colr: &IsoBox<'a>) -> Result<(), Error> {
        let mut fields = colr.fields();
        match &fields.four()? {
            b"nclx" => {
                let [primaries, transfer, matrix] = [fields.u16()?, fields.u16()?, fields.u16()?];
                let full_range = fields.u8()? & 0x80 != 0;
                self.cicp.get_or_insert(Cicp { primaries, transfer, matrix, full_range });
            }
            b"prof" | b"rICC" => {
                self.profile.get_or_insert(fields.rest());
            }
            _ => {}
        }
        Ok(())
    }
}

/// Types of auxiliary images that contain alpha (AV1 Image File Format, section 4.1, and the older URN of HEVC).
pub(super) const ALPHA: [&[u8]; 2] = [b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1"];

/// True if item `id` is an alpha image (`auxC`). Other properties are not read, because auxiliary images of other types
/// may have unsupported ones.
pub(super) fn is_alpha(meta: &Meta<'_>, id: u32) -> bool {
    let Ok(item) = meta.item(id) else { return false };
    let mut properties = item.properties.iter().filter_map(|(number, _)| meta.property(*number));
    let purpose = properties.find(|property| property.kind == *b"auxC").and_then(|auxc| auxc.full_up_to(0).ok());
    purpose.is_some_and(|(_, _, purpose)| is_alpha_type(purpose.rest()))
}

/// True if this type of auxiliary images, which may end with a zero, is alpha.
pub(super) fn is_alpha_type(purpose: &[u8]) -> bool {
    let ends = |rest: &[u8]| matches!(rest, [] | [0, ..]);
    ALPHA.iter().any(|name| purpose.strip_prefix(*name).is_some_and(ends))
}

fn av1(property: &IsoBox<'_>) -> Result<SampleFormat, Error> {
    let [marker, _, flags, _] = property.fields().array()?;
    if marker != 0x81 {
        return Err(damaged("unknown AV1 configuration version (av1C)"));
    }
    let flag = |bit: u8| flags >> bit & 1 != 0;
    let depth = match (flag(6), flag(5)) {
        (false, false) => 8,
        (true, false) => 10,
        (true, true) => 12,
        (false, true) => return Err(damaged("invalid bit depth (av1C)")),
    };
    let sampling = match (flag(4), flag(3), flag(2)) {
        (true, ..) => ChromaSubsampling::Cs400,
        (false, true, true) => ChromaSubsampling::Cs420,
        (false, true, false) => ChromaSubsampling::Cs422,
        (false, false, false) => ChromaSubsampling::Cs444,
        (false, false, true) => return Err(damaged("invalid chroma subsampling (av1C)")),
    };
    Ok(SampleFormat { depth, sampling, coded_size: None })
}

/// The number of channels and their bit depth, which must be equal for all channels (AV1 Image File Format, section
/// 2.2.1).
fn bits(property: &IsoBox<'_>) -> Result<(u8, u8), Error> {
    let (_, _, mut fields) = property.full_up_to(1)?;
    let count = fields.u8()?;
    let first = |fields: &mut Fields<'_>| if count == 0 { Ok(0) } else { fields.u8() };
    let bits = first(&mut fields)?;
    for _ in 1..count {
        if fields.u8()? != bits {
            return Err(damaged("channels with different bit depths (pixi)"));
        }
    }
    Ok((count, bits))
}
