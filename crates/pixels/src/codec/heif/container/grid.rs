//! Images composed of a grid of tiles (ISO/IEC 23008-12, section 6.6.2.3).

use std::collections::BTreeMap;

use super::boxes::Fields;
use super::layer::Layer;
use super::meta::Meta;
use super::orientation::ItemTransform;
use super::property::{Properties, is_alpha};
use crate::error::{Error, damaged};
use crate::yuv_image::ChromaSubsampling;

/// Maximum number of tiles: 16,384 x 16,384 pixels in tiles of 512 x 512.
const TILES_MAX: u32 = 1024;

#[derive(Debug)]
pub(super) struct Grid {
    rows: u32,
    columns: u32,
    /// Size of the composed image in pixels.
    size: (u32, u32),
}

impl Grid {
    /// Reads the grid in item `id`. `size` is the size property of the item.
    pub(super) fn read(meta: &Meta<'_>, id: u32, size: (u32, u32)) -> Result<Self, Error> {
        let bytes = meta.bytes(id)?.bytes();
        let mut fields = Fields::new(&bytes, *b"grid");
        let [version, flags, rows, columns] = fields.array()?;
        if version != 0 {
            return Err(damaged(format!("the grid has unsupported version {version}")));
        }
        let is_wide = flags & 1 != 0;
        let grid = Self {
            rows: u32::from(rows) + 1,
            columns: u32::from(columns) + 1,
            size: (fields.id(is_wide)?, fields.id(is_wide)?),
        };
        if grid.size != size {
            return Err(damaged("the grid differs in size from its item (ispe)"));
        }
        if grid.rows * grid.columns > TILES_MAX {
            return Err(damaged(format!("more than {TILES_MAX} tiles")));
        }
        Ok(grid)
    }

    /// The layer that consists of `tiles`. All tiles must have the same size and format, and each must be visible.
    pub(super) fn layer<'a>(&self, meta: &Meta<'a>, tiles: &[u32], grid: &Properties<'a>) -> Result<Layer<'a>, Error> {
        let count = u32::try_from(tiles.len()).unwrap_or(u32::MAX);
        let Some(&first) = tiles.first().filter(|_| count == self.rows * self.columns) else {
            let (columns, rows) = (self.columns, self.rows);
            return Err(damaged(format!("the grid of {columns}x{rows} has {count} tiles (dimg)")));
        };
        let properties = tile_properties(meta, first)?;
        let size = properties.size;
        let (tile, format) = properties.tile(meta, first)?;
        let (width, height) = size.ok_or_else(|| damaged(format!("item {first} has no size (ispe)")))?;
        let fits = |tile: u32, count: u32, total: u32, is_subsampled: bool| {
            let (tile, count, total) = (u64::from(tile), u64::from(count), u64::from(total));
            // With subsampled chroma, tiles must start at even positions.
            tile * count >= total && tile * (count - 1) < total && !(is_subsampled && count > 1 && tile % 2 != 0)
        };
        let (subsampled_x, subsampled_y) = match format.sampling {
            ChromaSubsampling::Cs420 => (true, true),
            ChromaSubsampling::Cs422 => (true, false),
            ChromaSubsampling::Cs400 | ChromaSubsampling::Cs444 => (false, false),
        };
        if !fits(width, self.columns, self.size.0, subsampled_x) || !fits(height, self.rows, self.size.1, subsampled_y)
        {
            return Err(damaged("the tiles do not match the size of the grid"));
        }
        let mut found = vec![tile];
        for &id in tiles.iter().skip(1) {
            let other = tile_properties(meta, id)?;
            let (tile, other_format) = other.tile(meta, id)?;
            if (other.size, other_format) != (size, format) {
                return Err(damaged("the tiles differ in size or format (ispe, av1C, hvcC)"));
            }
            found.push(tile);
        }
        let config_depth = properties.av1.map(|config| config.depth);
        if grid.bits.is_some_and(|(_, bits)| bits != format.depth && Some(bits) != config_depth) {
            return Err(damaged("the grid differs in bit depth from its tiles (pixi, av1C, hvcC)"));
        }
        Ok(Layer {
            size: self.size,
            tile_size: (width, height),
            coded_size: format.coded_size.unwrap_or((width, height)),
            columns: self.columns,
            tiles: found,
            depth: format.depth,
            sampling: format.sampling,
            cicp: grid.cicp.or(properties.cicp),
        })
    }
}

/// The properties of a tile. Tiles must not be cropped or rotated.
fn tile_properties<'a>(meta: &Meta<'a>, id: u32) -> Result<Properties<'a>, Error> {
    let kind = meta.coding.item_kind();
    if meta.item(id)?.kind != Some(kind) {
        return Err(damaged(format!("tile {id} does not have the type '{}'", kind.escape_ascii())));
    }
    let properties = Properties::read_all(meta, id)?;
    if properties.aperture.is_some() || properties.transform != ItemTransform::default() {
        return Err(damaged(format!("tile {id} has a crop or rotation property")));
    }
    Ok(properties)
}

/// The alpha layer of a grid whose tiles each have an alpha image, and the id of the first one. `None` if no tile has
/// alpha.
pub(super) fn alpha_of_tiles<'a>(
    meta: &Meta<'a>,
    id: u32,
    color: &Layer<'a>,
) -> Result<Option<(u32, Layer<'a>)>, Error> {
    let tiles = meta.references_from(*b"dimg", id);
    let mut alphas = BTreeMap::new();
    for (auxiliary, master) in meta.all_references(*b"auxl") {
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
