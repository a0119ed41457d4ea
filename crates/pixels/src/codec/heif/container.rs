//! Parses AVIF and HEIC files: the primary item, its tiles, and the properties that define how the image is shown (ISO/IEC
//! 14496-12, 23008-12 and 23000-22, AV1 Image File Format 1.1). Nothing is decoded here.
//!
//! The properties `irot` and `imir` define the orientation. The EXIF orientation is ignored, because writers copy it to
//! these properties, and applying both would rotate twice (ISO/IEC 23000-22, section 7.3.6.7).
//!
//! This crate has a parser because `mp4-atom` 0.17, the only permissively licensed crate for these boxes, trusts counts
//! in the file: with zero-length locations, eight bytes declare 65,535 extents, and a box of 6,016 bytes
//! allocated 1.5 GB. This parser copies nothing, and its memory use is proportional to the size of the boxes.

use std::borrow::Cow;

use image::metadata::Orientation;

use crate::codecs::Codecs;
use crate::error::{Error, UnsupportedFormat, damaged};
use crate::info::ImageInfo;
use crate::info::oriented_size;
use crate::transform::color::PROFILE_BYTES_MAX;
use crate::yuv_image::{ChromaSubsampling, Cicp};

mod bits;
mod boxes;
#[cfg(any(test, fuzzing))]
pub(crate) mod check;
mod grid;
mod hevc_format;
mod layer;
mod meta;
mod property;
mod orientation;
mod sequence;
mod track;
mod av1_format;

#[cfg(test)]
mod tests;

use boxes::{Boxes, IsoBox};
use grid::Grid;
use layer::SampleFormat;
pub(crate) use layer::{Coding, CropRect, Layer, Tile};
use meta::Meta;
use property::{Properties, is_alpha};
pub(crate) use sequence::Sequence;
pub(crate) use track::Track;

/// The primary image of a file.
#[derive(Debug)]
pub(crate) struct HeifImage<'a> {
    pub(crate) color: Layer<'a>,
    /// The alpha image, which has the size of the color image.
    pub(crate) alpha: Option<Layer<'a>>,
    /// True if the colors are premultiplied by alpha.
    pub(crate) is_premultiplied: bool,
    /// The visible part. All other sizes are those of the uncropped image.
    pub(crate) crop: CropRect,
    /// The rotation and mirroring of the visible part.
    pub(crate) orientation: Orientation,
    /// The color description of the file. It overrides that of the codestream.
    pub(crate) cicp: Option<Cicp>,
    /// An ICC profile, which overrides the primaries and the transfer function.
    pub(crate) profile: Option<&'a [u8]>,
    /// The frames, if the file is an animation of AV1. A still image of another size is shown alone.
    pub(crate) sequence: Option<Sequence<'a>>,
}

impl<'a> HeifImage<'a> {
    /// Reads the boxes of a file with this coding.
    ///
    /// # Errors
    /// The boxes are damaged, or use an unsupported feature.
    pub(crate) fn read(file: &'a [u8], coding: Coding) -> Result<Self, Error> {
        let (meta, is_sequence) = find_meta(file, coding)?;
        let moov = if is_sequence && coding == Coding::Av1 { find_movie(file) } else { None };
        let sequence = moov.map(|moov| Sequence::read(file, &moov));
        let Some((meta, id)) = meta.and_then(|meta| meta.primary.map(|id| (meta, id))) else {
            let sequence = sequence.ok_or_else(|| no_picture(is_sequence, coding))??;
            let first = sequence.first_image();
            return Ok(Self { sequence: Some(sequence), ..first });
        };
        let still = Self::read_still(&meta, id)?;
        let sequence = sequence.and_then(Result::ok).filter(|sequence| sequence.matches(&still));
        Ok(Self { sequence, ..still })
    }

    /// Reads the primary item.
    fn read_still(meta: &Meta<'a>, id: u32) -> Result<Self, Error> {
        let (color, properties) = layer(meta, id)?;
        let alpha = alpha(meta, id, &color)?;
        let is_premultiplied =
            alpha.as_ref().is_some_and(|(alpha, _)| meta.references_from(*b"prem", id).contains(alpha));
        let (width, height) = color.size;
        let crop = match &properties.aperture {
            Some(aperture) => aperture.crop(color.size)?,
            None => CropRect { x: 0, y: 0, width, height },
        };
        Ok(Self {
            alpha: alpha.map(|(_, layer)| layer),
            is_premultiplied,
            crop,
            orientation: properties.transform.orientation(),
            cicp: color.cicp,
            profile: properties.profile.filter(|profile| profile.len() <= PROFILE_BYTES_MAX),
            color,
            sequence: None,
        })
    }

    /// Number of channels of the decoded pixels: gray or RGB, plus alpha.
    pub(crate) fn channels(&self) -> u8 {
        let colors = if self.color.sampling == ChromaSubsampling::Cs400 { 1 } else { 3 };
        colors + u8::from(self.alpha.is_some())
    }

    /// The largest size that is decoded: that of the uncropped image, or that of a tile that extends beyond it. The
    /// caller must check it against the pixel limit, as well as the visible size.
    pub(crate) fn decoded_size(&self) -> (u32, u32) {
        let layers = [Some(&self.color), self.alpha.as_ref()].into_iter().flatten();
        let sizes = layers.flat_map(|layer| [layer.size, layer.tile_size, layer.coded_size]);
        sizes.max_by_key(|(width, height)| u64::from(*width) * u64::from(*height)).unwrap_or(self.color.size)
    }

    /// The properties that are known without decoding tiles. The size is that of the visible part.
    pub(crate) fn info(&self) -> ImageInfo {
        let alpha = self.alpha.as_ref();
        // Memory for the planes, one tile, and the longest codestream that has to be copied.
        let planes = self.color.bytes().saturating_add(alpha.map_or(0, Layer::bytes));
        let tile = self.color.tile_bytes().max(alpha.map_or(0, Layer::tile_bytes));
        let tiles = self.color.tiles.iter().chain(alpha.iter().flat_map(|alpha| &alpha.tiles));
        let copied = tiles.map(Tile::copied_bytes).max().unwrap_or(0);
        let shown = u64::from(self.crop.width) * u64::from(self.crop.height);
        let bytes = planes.saturating_add(tile).saturating_add(copied);
        let codec_bytes = u8::try_from(bytes.div_ceil(shown.max(1))).unwrap_or(u8::MAX);
        ImageInfo {
            width: self.crop.width,
            height: self.crop.height,
            orientation: self.orientation,
            pixel_bytes: self.channels(),
            codec_bytes,
            is_deep: self.color.depth > 8,
            is_subsampled: matches!(self.color.sampling, ChromaSubsampling::Cs420 | ChromaSubsampling::Cs422),
            // The samples of a sequence are copied.
            extra_bytes: self.sequence.as_ref().map_or(0, Sequence::bytes)
                + bytes.saturating_sub(shown.saturating_mul(codec_bytes.into())),
            profile_bytes: self.profile.map_or(0, |profile| profile.len() as u64),
            frames: self
                .sequence
                .as_ref()
                .map_or(1, |sequence| u32::try_from(sequence.color.samples.len()).unwrap_or(u32::MAX)),
        }
    }
}

/// The visible size in the upright orientation, if the start of the file contains it.
pub(crate) fn shown_size(head: &[u8], coding: Coding) -> Option<(u32, u32)> {
    let (meta, _) = find_meta(head, coding).ok()?;
    let meta = meta?;
    let properties = Properties::read_all(&meta, meta.primary?).ok()?;
    let size = properties.size?;
    let (width, height) = match &properties.aperture {
        Some(aperture) => aperture.crop(size).map(|crop| (crop.width, crop.height)).ok()?,
        None => size,
    };
    let is_shown = width > 0 && height > 0;
    is_shown.then(|| oriented_size((width, height), properties.transform.orientation()))
}

/// The data of the first item of this type that describes the primary image (`cdsc`; ISO/IEC 23008-12, section 6.4.9).
/// `None` if it has more than `bytes_max`.
pub(crate) fn description(file: &[u8], coding: Coding, kind: [u8; 4], bytes_max: usize) -> Option<Cow<'_, [u8]>> {
    let (meta, _) = find_meta(file, coding).ok()?;
    let meta = meta?;
    let mut items = meta.all_references(*b"cdsc").filter(|(_, described)| Some(*described) == meta.primary);
    let (id, _) = items.find(|(id, _)| meta.item(*id).is_ok_and(|item| item.kind == Some(kind)))?;
    let item = meta.bytes(id).ok()?;
    (item.len() <= bytes_max).then(|| item.bytes())
}

/// Returns the metadata of a file with a brand of this coding, and true if the file is an image sequence.
fn find_meta(file: &[u8], coding: Coding) -> Result<(Option<Meta<'_>>, bool), Error> {
    let mut boxes = Boxes::new(file);
    let first = boxes.next().ok_or_else(|| damaged("empty file"))??;
    if first.kind != *b"ftyp" {
        return Err(damaged("the first box is not 'ftyp'"));
    }
    let brands = brands(&first)?;
    if !brands.iter().any(|brand| coding.brands().contains(&brand)) {
        return Err(damaged("no brand of its format (ftyp)"));
    }
    let is_sequence = brands.iter().any(|brand| coding.sequence_brands().contains(&brand));
    for found in boxes {
        let found: IsoBox<'_> = found?;
        match &found.kind {
            b"meta" => return Ok((Some(Meta::read(file, &found, coding)?), is_sequence)),
            b"mini" => return Err(damaged("unsupported metadata box 'mini'")),
            _ => {}
        }
    }
    Ok((None, is_sequence))
}

/// The box of the tracks, if it can be found.
fn find_movie(file: &[u8]) -> Option<IsoBox<'_>> {
    Boxes::new(file).map_while(Result::ok).find(|found| found.kind == *b"moov")
}

/// The major brand and the compatible brands (ISO/IEC 14496-12, section 4.3).
fn brands<'a>(ftyp: &IsoBox<'a>) -> Result<Vec<[u8; 4]>, Error> {
    let (words, rest) = ftyp.data.as_chunks::<4>();
    if words.len() < 2 || !rest.is_empty() {
        return Err(damaged("truncated brand list (ftyp)"));
    }
    // The second word is the minor version.
    Ok(words.iter().enumerate().filter(|(n, _)| *n != 1).map(|(_, brand)| *brand).collect())
}

fn no_picture(is_sequence: bool, coding: Coding) -> Error {
    if is_sequence && coding == Coding::Hevc {
        return Error::UnsupportedFormat { format: UnsupportedFormat::HeicSequence, accepted: Codecs::DEFAULT };
    }
    damaged("no primary item (pitm)")
}

/// The tiles and the properties of item `id`. The crop and orientation of an alpha image are ignored in favor of those
/// of the color image.
fn layer<'a>(meta: &Meta<'a>, id: u32) -> Result<(Layer<'a>, Properties<'a>), Error> {
    let properties = Properties::read_all(meta, id)?;
    let size = properties.size.ok_or_else(|| damaged(format!("item {id} has no size (ispe)")))?;
    if size.0 == 0 || size.1 == 0 {
        return Err(damaged("zero width or height"));
    }
    let layer = match meta.item(id)?.kind {
        Some(kind) if kind == meta.coding.item_kind() => {
            let (tile, SampleFormat { depth, sampling, coded_size }) = properties.tile(meta, id)?;
            let coded_size = coded_size.unwrap_or(size);
            let cicp = properties.cicp;
            Layer { size, tile_size: size, coded_size, columns: 1, tiles: vec![tile], depth, sampling, cicp }
        }
        Some(kind) if kind == *b"grid" => {
            Grid::read(meta, id, size)?.layer(meta, meta.references_from(*b"dimg", id), &properties)?
        }
        kind => {
            let kind = kind.unwrap_or_default();
            return Err(damaged(format!("item {id} has the unsupported type '{}'", kind.escape_ascii())));
        }
    };
    Ok((layer, properties))
}

/// Returns the alpha image of item `id`, and the id of the alpha item. The alpha image is either one auxiliary image,
/// or one for each tile.
fn alpha<'a>(meta: &Meta<'a>, id: u32, color: &Layer<'a>) -> Result<Option<(u32, Layer<'a>)>, Error> {
    let mut found = None;
    for (auxiliary, master) in meta.all_references(*b"auxl") {
        let is_alpha = master == id && is_alpha(meta, auxiliary);
        if is_alpha && found.replace(auxiliary).is_some() {
            return Err(damaged("more than one alpha image (auxl)"));
        }
    }
    let alpha = match found {
        Some(found) => Some((found, layer(meta, found)?.0)),
        None => grid::alpha_of_tiles(meta, id, color)?,
    };
    if alpha.as_ref().is_some_and(|(_, alpha)| alpha.size != color.size) {
        return Err(damaged("the alpha image differs in size from the color image (ispe)"));
    }
    Ok(alpha)
}
