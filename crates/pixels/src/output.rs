//! Request for one variant.

use crate::encoding::Encoding;
use crate::geometry::Geometry;

/// Geometry and encoding of one variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OutputSpec {
    pub geometry: Geometry,
    pub encoding: Encoding,
}
