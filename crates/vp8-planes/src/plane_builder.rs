//! Assembles a plane from its lines.

use crate::header::Header;
use crate::options::{LoopFilter, Plane};

/// Value of the samples that a truncated frame does not define.
const MID_GRAY: u8 = 128;

/// A plane to which lines are appended from top to bottom.
#[derive(Debug)]
pub(crate) struct PlaneBuilder {
    pub(crate) component: usize,
    pub(crate) filter: LoopFilter,
    /// Samples per line.
    pub(crate) width: usize,
    height: usize,
    data: Vec<u8>,
}

impl PlaneBuilder {
    pub(crate) fn new(header: &Header, component: usize, filter: LoopFilter) -> Self {
        let (width, height) = header.plane_size(component);
        let (width, height) = (width as usize, height as usize);
        Self { component, filter, width, height, data: Vec::with_capacity(width * height) }
    }

    /// Appends lines of `width` samples. Lines beyond the bottom of the image are dropped.
    pub(crate) fn extend<'a>(&mut self, lines: impl Iterator<Item = &'a [u8]>) {
        let missing = self.height - self.data.len() / self.width;
        lines.take(missing).for_each(|line| self.data.extend_from_slice(line));
    }

    /// Returns the plane. Missing lines are gray.
    pub(crate) fn finish(mut self) -> Plane {
        self.data.resize(self.width * self.height, MID_GRAY);
        let (width, height) = (self.width as u32, self.height as u32);
        Plane { component: self.component, mode: self.filter, width, height, data: self.data }
    }
}
