//! Vector pictures as rasters: each variant has a separate one, whose header has the size of the variant.

use crate::codec::svg;
use crate::error::Error;
use crate::geometry::Geometry;
use crate::header::Header;
use crate::limits::Limits;
use crate::output::OutputSpec;
use crate::size_limits::check_pixels;

impl Header {
    /// The header of a vector picture rasterized for one variant; of other pictures, the same header.
    ///
    /// # Errors
    /// The rasterized picture exceeds `limits.input_pixels`.
    pub(crate) fn rasterized(&self, geometry: Geometry, limits: &Limits) -> Result<Self, Error> {
        let header = self.with_raster(geometry);
        check_pixels((header.info.width, header.info.height), limits)?;
        Ok(header)
    }

    fn with_raster(&self, geometry: Geometry) -> Self {
        let mut header = self.clone();
        if let Some(nominal) = header.vector.take() {
            let size = svg::raster_size(nominal, geometry);
            (header.info.width, header.info.height) = size;
            header.sandbox_bytes = svg::sandbox_bytes(self.original_bytes, size);
        }
        header
    }

    /// Vector pictures as they are rasterized for each of the variants; `None` for other pictures.
    pub(crate) fn rasters(&self, outputs: &[OutputSpec]) -> Option<Vec<(Self, OutputSpec)>> {
        self.vector?;
        Some(outputs.iter().map(|output| (self.with_raster(output.geometry), *output)).collect())
    }
}
