//! Pictures that are put together of tiles (ISO/IEC 23008-12 section 6.6.2.3).

use std::collections::BTreeMap;

use super::boxes::Fields;
use super::meta::Meta;
use super::orientation::ItemTransform;
use super::property::{Properties, is_alpha};
use super::{Layer, av1};
use crate::error::{Error, damaged};
use crate::yuv_image::ChromaSubsampling;

/// How many tiles a picture may have: enough for 16,384 x 16,384 pixels in tiles of 512.
const TILES_MAX: u32 = 1024;

#[derive(Debug)]
pub(super) struct Grid {
    rows: u32,
    columns: u32,
    /// Of the whole, in pixels.
    size: (u32, u32),
}

impl Grid {
    /// Reads the grid that item `id` is, whose size is said to be `size`.
    pub(super) fn read(meta: &Meta<'_>, id: u32, size: (u32, u32)) -> Result<Self, Error> {
        let bytes = meta.bytes(id)?.bytes();
        let mut fields = Fields::of(&bytes, *b"grid");
        let [version, flags, rows, columns] = fields.array()?;
        if version != 0 {
            return Err(damaged(format!("its grid has version {version}")));
        }
        let is_wide = flags & 1 != 0;
        let grid = Self {
            rows: u32::from(rows) + 1,
            columns: u32::from(columns) + 1,
            size: (fields.id(is_wide)?, fields.id(is_wide)?),
        };
        if grid.size != size {
            return Err(damaged("its grid has another size than is announced (ispe)"));
        }
        if grid.rows * grid.columns > TILES_MAX {
            return Err(damaged(format!("it has more than {TILES_MAX} tiles")));
        }
        Ok(grid)
    }

    /// The picture of these tiles. They are alike, and each of them shows.
    pub(super) fn layer<'a>(&self, meta: &Meta<'a>, tiles: &[u32], whole: &Properties<'a>) -> Result<Layer<'a>, Error> {
        let count = u32::try_from(tiles.len()).unwrap_or(u32::MAX);
        let Some(&first) = tiles.first().filter(|_| count == self.rows * self.columns) else {
            let (columns, rows) = (self.columns, self.rows);
            return Err(damaged(format!("its grid of {columns}x{rows} has {count} tiles (dimg)")));
        };
        let properties = tile_properties(meta, first)?;
        let (size, av1) = (properties.size, av1(&properties, first)?);
        let (width, height) = size.ok_or_else(|| damaged(format!("its item {first} has no size (ispe)")))?;
        let shows = |tile: u32, count: u32, whole: u32, is_halved: bool| {
            let (tile, count, whole) = (u64::from(tile), u64::from(count), u64::from(whole));
            // Where chroma is halved, a tile that begins between two samples could not be laid down.
            tile * count >= whole && tile * (count - 1) < whole && !(is_halved && count > 1 && tile % 2 != 0)
        };
        let (across, down) = match av1.sampling {
            ChromaSubsampling::Cs420 => (true, true),
            ChromaSubsampling::Cs422 => (true, false),
            ChromaSubsampling::Cs400 | ChromaSubsampling::Cs444 => (false, false),
        };
        if !shows(width, self.columns, self.size.0, across) || !shows(height, self.rows, self.size.1, down) {
            return Err(damaged("its grid has another size than its tiles have together"));
        }
        for &tile in tiles.iter().skip(1) {
            let other = tile_properties(meta, tile)?;
            if (other.size, other.av1) != (size, Some(av1)) {
                return Err(damaged("its tiles are of different kinds (ispe, av1C)"));
            }
        }
        if whole.bits.is_some_and(|(_, bits)| bits != av1.depth) {
            return Err(damaged("its grid has another depth than its tiles (pixi, av1C)"));
        }
        Ok(Layer {
            size: self.size,
            tile_size: (width, height),
            columns: self.columns,
            tiles: tiles.iter().map(|tile| meta.bytes(*tile)).collect::<Result<_, _>>()?,
            depth: av1.depth,
            sampling: av1.sampling,
            cicp: whole.cicp.or(properties.cicp),
        })
    }
}

/// The properties of a tile, which is a picture that nothing is done to.
fn tile_properties<'a>(meta: &Meta<'a>, id: u32) -> Result<Properties<'a>, Error> {
    if meta.item(id)?.kind != Some(*b"av01") {
        return Err(damaged(format!("its tile {id} is not AV1")));
    }
    let properties = Properties::of(meta, id)?;
    if properties.aperture.is_some() || properties.turns != ItemTransform::default() {
        return Err(damaged(format!("its tile {id} is to be cropped or turned")));
    }
    Ok(properties)
}

/// The alpha of a grid whose tiles have one each, and the first of them; `None` if none has.
pub(super) fn alpha_of_tiles<'a>(
    meta: &Meta<'a>,
    id: u32,
    color: &Layer<'a>,
) -> Result<Option<(u32, Layer<'a>)>, Error> {
    let tiles = meta.referred(*b"dimg", id);
    let mut alphas = BTreeMap::new();
    for (auxiliary, master) in meta.all_referred(*b"auxl") {
        if tiles.contains(&master) && is_alpha(meta, auxiliary) {
            alphas.insert(master, auxiliary);
        }
    }
    let found: Vec<u32> = tiles.iter().filter_map(|tile| alphas.get(tile).copied()).collect();
    let Some(&first) = found.first() else { return Ok(None) };
    let rows = u32::try_from(tiles.len()).unwrap_or(u32::MAX) / color.columns;
    let grid = Grid { rows, columns: color.columns, size: color.size };
    Ok(Some((first, grid.layer(meta, &found, &Properties::default())?)))
}
