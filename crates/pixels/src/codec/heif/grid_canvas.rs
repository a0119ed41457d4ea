//! Composes an image from tiles. Each tile is copied when it is decoded, so that only the composed planes and one tile
//! are in memory.

use crate::codec::heif::container::Layer;
use crate::error::{Error, damaged};
use crate::yuv_image::{ChromaSubsampling, Cicp, YuvImage, YuvSamples};

/// A partially composed image.
#[derive(Debug)]
pub(crate) struct GridCanvas {
    size: (u32, u32),
    tile_size: (u32, u32),
    columns: u32,
    tiles: u32,
    depth: u8,
    sampling: ChromaSubsampling,
    /// Number of tiles added so far.
    tiles_added: u32,
    composed: Option<YuvImage>,
}

impl GridCanvas {
    pub(crate) fn new(layer: &Layer<'_>) -> Self {
        Self {
            size: layer.size,
            tile_size: layer.tile_size,
            columns: layer.columns,
            tiles: u32::try_from(layer.tiles.len()).unwrap_or(u32::MAX),
            depth: layer.depth,
            sampling: layer.sampling,
            tiles_added: 0,
            composed: None,
        }
    }

    /// Adds the next tile, in the order of [`Layer::tiles`].
    ///
    /// # Errors
    /// The tile does not match the header.
    pub(crate) fn push_tile(&mut self, tile: YuvImage) -> Result<(), Error> {
        if (tile.width, tile.height) != self.tile_size {
            return Err(damaged("the decoded size differs from the header"));
        }
        if (tile.depth, tile.sampling) != (self.depth, self.sampling) {
            return Err(damaged("the bit depth or subsampling of a tile differs from the header (av1C, hvcC)"));
        }
        check_planes(&tile)?;
        let (column, row) = (self.tiles_added % self.columns.max(1), self.tiles_added / self.columns.max(1));
        self.tiles_added += 1;
        if self.tiles == 1 && self.tile_size == self.size {
            self.composed = Some(tile);
            return Ok(());
        }
        let (size, depth, sampling) = (self.size, self.depth, self.sampling);
        let composed = self.composed.get_or_insert_with(|| empty(size, depth, sampling, tile.cicp));
        for (n, (to, from)) in composed.planes.iter_mut().zip(&tile.planes).enumerate() {
            let (size, tile_size) = (sampling.plane_size(n, size), sampling.plane_size(n, self.tile_size));
            let tile = TilePlane { size: tile_size, column, row };
            match (to, from) {
                (YuvSamples::U8(to), YuvSamples::U8(from)) => tile.copy(from, to, size),
                (YuvSamples::U16(to), YuvSamples::U16(from)) => tile.copy(from, to, size),
                _ => return Err(damaged("the tiles differ in format")),
            }
        }
        Ok(())
    }

    /// Returns the composed image.
    ///
    /// # Errors
    /// A tile is missing.
    pub(crate) fn finish(self) -> Result<YuvImage, Error> {
        self.composed.filter(|_| self.tiles_added == self.tiles).ok_or_else(|| damaged("a tile is missing"))
    }
}

/// Checks the number and the sizes of the planes.
fn check_planes(tile: &YuvImage) -> Result<(), Error> {
    let fits = |(n, plane): (usize, &YuvSamples)| {
        let (width, height) = tile.sampling.plane_size(n, (tile.width, tile.height));
        let is_deep = matches!(plane, YuvSamples::U16(_));
        plane.len() as u64 == u64::from(width) * u64::from(height) && is_deep == (tile.depth > 8)
    };
    if tile.planes.len() != tile.sampling.planes() || !tile.planes.iter().enumerate().all(fits) {
        return Err(damaged("a plane has the wrong size"));
    }
    Ok(())
}

fn empty(size: (u32, u32), depth: u8, sampling: ChromaSubsampling, cicp: Cicp) -> YuvImage {
    let plane = |n| {
        let (width, height) = sampling.plane_size(n, size);
        let length = width as usize * height as usize;
        if depth > 8 { YuvSamples::U16(vec![0; length]) } else { YuvSamples::U8(vec![0; length]) }
    };
    let planes = (0..sampling.planes()).map(plane).collect();
    YuvImage { width: size.0, height: size.1, depth, sampling, cicp, planes }
}

/// A plane of a tile, and its position in the grid.
struct TilePlane {
    size: (u32, u32),
    column: u32,
    row: u32,
}

impl TilePlane {
    /// Copies the samples of the tile into the plane of the image, whose size is `size`. Samples beyond the image are
    /// dropped.
    fn copy<T: Copy>(&self, from: &[T], to: &mut [T], size: (u32, u32)) {
        let (width, tile_width) = (size.0 as usize, self.size.0 as usize);
        let (x, y) = (self.column as usize * tile_width, self.row as usize * self.size.1 as usize);
        if x >= width || tile_width == 0 {
            return;
        }
        let visible = tile_width.min(width - x);
        for (to, from) in to.chunks_exact_mut(width).skip(y).zip(from.chunks_exact(tile_width)) {
            to[x..x + visible].copy_from_slice(&from[..visible]);
        }
    }
}
