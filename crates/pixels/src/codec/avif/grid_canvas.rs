//! One picture of tiles: planes of the whole, into which each tile is laid as it is decoded. So there are never more than
//! the whole's planes and one tile's.

use crate::codec::avif::heif::Layer;
use crate::error::{Error, damaged};
use crate::yuv_image::{ChromaSubsampling, Cicp, YuvImage, YuvSamples};

/// A picture of which some tiles are there.
#[derive(Debug)]
pub(crate) struct GridCanvas {
    size: (u32, u32),
    tile_size: (u32, u32),
    columns: u32,
    tiles: u32,
    depth: u8,
    sampling: ChromaSubsampling,
    /// How many tiles are there.
    done: u32,
    whole: Option<YuvImage>,
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
            done: 0,
            whole: None,
        }
    }

    /// Lays the next tile, in the order of [`Layer::tiles`].
    ///
    /// # Errors
    /// It is not what its container says.
    pub(crate) fn push_tile(&mut self, tile: YuvImage) -> Result<(), Error> {
        if (tile.width, tile.height) != self.tile_size {
            return Err(damaged("its size is not what its header says"));
        }
        if (tile.depth, tile.sampling) != (self.depth, self.sampling) {
            return Err(damaged("its AV1 has another depth or sampling than its header says (av1C)"));
        }
        check_planes(&tile)?;
        let place = (self.done % self.columns.max(1), self.done / self.columns.max(1));
        self.done += 1;
        if self.tiles == 1 && self.tile_size == self.size {
            self.whole = Some(tile);
            return Ok(());
        }
        let (size, depth, sampling) = (self.size, self.depth, self.sampling);
        let whole = self.whole.get_or_insert_with(|| empty(size, depth, sampling, tile.cicp));
        for (n, (to, from)) in whole.planes.iter_mut().zip(&tile.planes).enumerate() {
            let (to_size, from_size) = (sampling.plane_size(n, size), sampling.plane_size(n, self.tile_size));
            match (to, from) {
                (YuvSamples::U8(to), YuvSamples::U8(from)) => lay((to, to_size), (from, from_size), place),
                (YuvSamples::U16(to), YuvSamples::U16(from)) => lay((to, to_size), (from, from_size), place),
                _ => return Err(damaged("its tiles are of different kinds")),
            }
        }
        Ok(())
    }

    /// The whole.
    ///
    /// # Errors
    /// A tile is missing.
    pub(crate) fn finish(self) -> Result<YuvImage, Error> {
        self.whole.filter(|_| self.done == self.tiles).ok_or_else(|| damaged("a tile is missing"))
    }
}

/// Whether the planes are as many and as large as the picture says.
fn check_planes(tile: &YuvImage) -> Result<(), Error> {
    let fits = |(n, plane): (usize, &YuvSamples)| {
        let (width, height) = tile.sampling.plane_size(n, (tile.width, tile.height));
        let is_deep = matches!(plane, YuvSamples::U16(_));
        plane.len() as u64 == u64::from(width) * u64::from(height) && is_deep == (tile.depth > 8)
    };
    if tile.planes.len() != tile.sampling.planes() || !tile.planes.iter().enumerate().all(fits) {
        return Err(damaged("its planes are not of its size"));
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

/// Lays a tile's plane into the whole's, `place` tiles across and down. What lies beyond the whole is cut off.
fn lay<T: Copy>(
    (to, to_size): (&mut [T], (u32, u32)),
    (from, from_size): (&[T], (u32, u32)),
    (across, down): (u32, u32),
) {
    let (width, tile_width) = (to_size.0 as usize, from_size.0 as usize);
    let (x, y) = (across as usize * tile_width, down as usize * from_size.1 as usize);
    if x >= width || tile_width == 0 {
        return;
    }
    let shown = tile_width.min(width - x);
    for (to, from) in to.chunks_exact_mut(width).skip(y).zip(from.chunks_exact(tile_width)) {
        to[x..x + shown].copy_from_slice(&from[..shown]);
    }
}
