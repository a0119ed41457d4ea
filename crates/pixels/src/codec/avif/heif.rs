//! AVIF as it is read: which of a file's items is the picture, of which tiles it is put together, and how it is meant to be
//! seen (ISO/IEC 14496-12, 23008-12 and 23000-22, AV1 Image File Format 1.1). No AV1 is decoded here.
//!
//! A picture is turned and mirrored as its properties `irot` and `imir` say. What its EXIF says is passed over: the same
//! was said there before it was put into the properties, and to do both would be to do it twice (ISO/IEC 23000-22 section
//! 7.3.6.7). Of a sequence, the still picture that stands for it is taken.
//!
//! The boxes are read by a parser of our own. `mp4-atom` 0.17, the one permissive crate that knows these boxes, believes a
//! file's counts: where locations have no bytes, eight bytes say 65,535 pieces, and a box of 6,016 bytes took 1.5 GB. Here
//! nothing is copied, and what is kept is as long as the bytes that say it.

use std::borrow::Cow;

use image::metadata::Orientation;

use crate::error::{Error, damaged};
use crate::info::ImageInfo;
#[cfg(feature = "avif-originals")]
use crate::info::oriented_size;
use crate::transform::color::PROFILE_BYTES_MAX;
use crate::yuv_image::{ChromaSubsampling, Cicp};

mod boxes;
#[cfg(any(test, fuzzing))]
pub(crate) mod check;
mod grid;
mod meta;
mod property;
mod orientation;

#[cfg(test)]
mod tests;

use boxes::{Boxes, IsoBox};
use grid::Grid;
use meta::Meta;
use property::{Av1, Properties, is_alpha};

/// A picture as its file describes it.
#[derive(Debug)]
pub(crate) struct AvifImage<'a> {
    pub(crate) color: Layer<'a>,
    /// What can be seen of it; as large as the colors.
    pub(crate) alpha: Option<Layer<'a>>,
    /// Whether colors are multiplied by alpha.
    pub(crate) is_premultiplied: bool,
    /// What of the picture is shown. All sizes but this one's are of the whole.
    pub(crate) crop: CropRect,
    /// How what is shown is to be turned.
    pub(crate) orientation: Orientation,
    /// What the samples mean, where the file says so; the codestream says it else.
    pub(crate) cicp: Option<Cicp>,
    /// An ICC profile, which wins over primaries and transfer.
    pub(crate) profile: Option<&'a [u8]>,
}

/// Colors or alpha: tiles of one size, row by row, put together and cut off on the right and below.
#[derive(Debug)]
pub(crate) struct Layer<'a> {
    /// In pixels.
    pub(crate) size: (u32, u32),
    pub(crate) tile_size: (u32, u32),
    pub(crate) columns: u32,
    /// One, or those of a grid; there are rows enough for them all.
    pub(crate) tiles: Vec<Tile<'a>>,
    /// Bits of a sample.
    pub(crate) depth: u8,
    pub(crate) sampling: ChromaSubsampling,
    /// What the file says that the samples mean.
    pub(crate) cicp: Option<Cicp>,
}

/// An AV1 codestream, in one piece or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tile<'a> {
    extents: Vec<&'a [u8]>,
}

/// A part of a picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CropRect {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl<'a> Tile<'a> {
    /// The bytes; a copy only if they lie in several pieces.
    pub(crate) fn bytes(&self) -> Cow<'a, [u8]> {
        match self.extents.as_slice() {
            [whole] => Cow::Borrowed(whole),
            extents => Cow::Owned(extents.concat()),
        }
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> usize {
        self.extents.iter().map(|extent| extent.len()).sum()
    }
}

impl Layer<'_> {
    /// Bytes of all its samples once they are decoded.
    fn bytes(&self) -> u64 {
        planes_bytes(self.sampling, self.depth, self.size)
    }

    /// Bytes of a tile's samples, if it is not the whole.
    fn tile_bytes(&self) -> u64 {
        if self.tile_size != self.size { planes_bytes(self.sampling, self.depth, self.tile_size) } else { 0 }
    }
}

fn planes_bytes(sampling: ChromaSubsampling, depth: u8, size: (u32, u32)) -> u64 {
    let plane = |n| {
        let (width, height) = sampling.plane_size(n, size);
        u64::from(width).saturating_mul(height.into())
    };
    let samples = (0..sampling.planes()).map(plane).fold(0, u64::saturating_add);
    samples.saturating_mul(if depth > 8 { 2 } else { 1 })
}

impl<'a> AvifImage<'a> {
    /// Reads the boxes of a file.
    ///
    /// # Errors
    /// What is wrong with them, or which unusual thing would have to be known.
    pub(crate) fn read(file: &'a [u8]) -> Result<Self, Error> {
        let (meta, is_sequence) = find_meta(file)?;
        let Some(id) = meta.as_ref().and_then(|meta| meta.primary) else {
            return Err(no_picture(is_sequence));
        };
        let meta = meta.ok_or_else(|| no_picture(is_sequence))?;
        let (color, properties) = layer(&meta, id)?;
        let alpha = alpha(&meta, id, &color)?;
        let is_premultiplied = alpha.as_ref().is_some_and(|(alpha, _)| meta.referred(*b"prem", id).contains(alpha));
        let (width, height) = color.size;
        let crop = match &properties.aperture {
            Some(aperture) => aperture.crop(color.size)?,
            None => CropRect { x: 0, y: 0, width, height },
        };
        Ok(Self {
            alpha: alpha.map(|(_, layer)| layer),
            is_premultiplied,
            crop,
            orientation: properties.turns.orientation(),
            cicp: color.cicp,
            profile: properties.profile.filter(|profile| profile.len() <= PROFILE_BYTES_MAX),
            color,
        })
    }

    /// Channels of the pixels that it becomes: gray or three, and one for alpha.
    pub(crate) fn channels(&self) -> u8 {
        let colors = if self.color.sampling == ChromaSubsampling::Cs400 { 1 } else { 3 };
        colors + u8::from(self.alpha.is_some())
    }

    /// The size of the largest of what is decoded: the whole, or a tile that reaches beyond it. It has to be held against limits
    /// as the size of what is shown is.
    pub(crate) fn decoded_size(&self) -> (u32, u32) {
        let layers = [Some(&self.color), self.alpha.as_ref()].into_iter().flatten();
        let sizes = layers.flat_map(|layer| [layer.size, layer.tile_size]);
        sizes.max_by_key(|(width, height)| u64::from(*width) * u64::from(*height)).unwrap_or(self.color.size)
    }

    /// What is known before AV1 is decoded. The size is of what is shown.
    ///
    /// # Errors
    /// Little is shown of much.
    pub(crate) fn info(&self) -> Result<ImageInfo, Error> {
        let alpha = self.alpha.as_ref();
        // Planes, one tile beside them, and the longest codestream that is not in one piece.
        let planes = self.color.bytes().saturating_add(alpha.map_or(0, Layer::bytes));
        let tile = self.color.tile_bytes().max(alpha.map_or(0, Layer::tile_bytes));
        let tiles = self.color.tiles.iter().chain(alpha.iter().flat_map(|alpha| &alpha.tiles));
        let copied = tiles.filter(|tile| tile.extents.len() > 1).map(Tile::len).max().unwrap_or(0) as u64;
        let shown = u64::from(self.crop.width) * u64::from(self.crop.height);
        let bytes = planes.saturating_add(tile).saturating_add(copied).div_ceil(shown.max(1));
        let codec_bytes = u8::try_from(bytes).map_err(|_| damaged("too little of it is shown (clap, grid)"))?;
        Ok(ImageInfo {
            width: self.crop.width,
            height: self.crop.height,
            orientation: self.orientation,
            pixel_bytes: self.channels(),
            codec_bytes,
            frames: 1,
        })
    }
}

/// The size in which the picture is shown, if what a file begins with says it.
#[cfg(feature = "avif-originals")]
pub(crate) fn shown_size(head: &[u8]) -> Option<(u32, u32)> {
    let (meta, _) = find_meta(head).ok()?;
    let meta = meta?;
    let properties = Properties::of(&meta, meta.primary?).ok()?;
    let size = properties.size?;
    let (width, height) = match &properties.aperture {
        Some(aperture) => aperture.crop(size).map(|crop| (crop.width, crop.height)).ok()?,
        None => size,
    };
    let is_shown = width > 0 && height > 0;
    is_shown.then(|| oriented_size((width, height), properties.turns.orientation()))
}

/// The metadata of a file of AVIF's brands, and whether it is a sequence.
fn find_meta(file: &[u8]) -> Result<(Option<Meta<'_>>, bool), Error> {
    let mut boxes = Boxes::of(file);
    let first = boxes.next().ok_or_else(|| damaged("it has no bytes"))??;
    if first.kind != *b"ftyp" {
        return Err(damaged("it does not begin with its brands (ftyp)"));
    }
    let brands = brands(&first)?;
    if !brands.iter().any(|brand| matches!(brand, b"avif" | b"avis")) {
        return Err(damaged("it is neither of the brand 'avif' nor of 'avis' (ftyp)"));
    }
    let is_sequence = brands.contains(b"avis");
    for found in boxes {
        let found: IsoBox<'_> = found?;
        match &found.kind {
            b"meta" => return Ok((Some(Meta::read(file, &found)?), is_sequence)),
            b"mini" => return Err(damaged("its metadata are of the short kind (mini), which is not read here")),
            _ => {}
        }
    }
    Ok((None, is_sequence))
}

/// The major brand, and those that the file is compatible with (ISO/IEC 14496-12 section 4.3).
fn brands<'a>(ftyp: &IsoBox<'a>) -> Result<Vec<[u8; 4]>, Error> {
    let (words, rest) = ftyp.data.as_chunks::<4>();
    if words.len() < 2 || !rest.is_empty() {
        return Err(damaged("its brands are cut short (ftyp)"));
    }
    // The second word is the version of the major brand.
    Ok(words.iter().enumerate().filter(|(n, _)| *n != 1).map(|(_, brand)| *brand).collect())
}

fn no_picture(is_sequence: bool) -> Error {
    if is_sequence {
        return Error::UnsupportedFormat { format: "an AVIF sequence without a still picture" };
    }
    damaged("no item is its picture (pitm)")
}

/// The item `id` as tiles, and its own properties. Alpha is turned and cropped as its colors are, whatever it says itself.
fn layer<'a>(meta: &Meta<'a>, id: u32) -> Result<(Layer<'a>, Properties<'a>), Error> {
    let properties = Properties::of(meta, id)?;
    let size = properties.size.ok_or_else(|| damaged(format!("its item {id} has no size (ispe)")))?;
    if size.0 == 0 || size.1 == 0 {
        return Err(damaged("it has no pixels"));
    }
    let layer = match meta.item(id)?.kind {
        Some(kind) if kind == *b"av01" => {
            let Av1 { depth, sampling } = av1(&properties, id)?;
            let tiles = vec![meta.bytes(id)?];
            Layer { size, tile_size: size, columns: 1, tiles, depth, sampling, cicp: properties.cicp }
        }
        Some(kind) if kind == *b"grid" => {
            Grid::read(meta, id, size)?.layer(meta, meta.referred(*b"dimg", id), &properties)?
        }
        kind => {
            let kind = kind.unwrap_or_default();
            return Err(damaged(format!("its item {id} is '{}', which is not decoded here", kind.escape_ascii())));
        }
    };
    Ok((layer, properties))
}

/// What an item says of its AV1, which every one has to.
fn av1(properties: &Properties<'_>, id: u32) -> Result<Av1, Error> {
    let av1 = properties.av1.ok_or_else(|| damaged(format!("its item {id} does not say what its AV1 is (av1C)")))?;
    if properties.bits.is_some_and(|(_, bits)| bits != av1.depth) {
        return Err(damaged(format!("its item {id} has two depths (pixi, av1C)")));
    }
    Ok(av1)
}

/// The alpha of picture `id`, and its item: one auxiliary picture, or one of each tile.
fn alpha<'a>(meta: &Meta<'a>, id: u32, color: &Layer<'a>) -> Result<Option<(u32, Layer<'a>)>, Error> {
    let mut found = None;
    for (auxiliary, master) in meta.all_referred(*b"auxl") {
        let is_alpha = master == id && is_alpha(meta, auxiliary);
        if is_alpha && found.replace(auxiliary).is_some() {
            return Err(damaged("it has two alphas (auxl)"));
        }
    }
    let alpha = match found {
        Some(found) => Some((found, layer(meta, found)?.0)),
        None => grid::alpha_of_tiles(meta, id, color)?,
    };
    if alpha.as_ref().is_some_and(|(_, alpha)| alpha.size != color.size) {
        return Err(damaged("its alpha has another size than its colors (ispe)"));
    }
    Ok(alpha)
}
