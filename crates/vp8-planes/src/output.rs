//! Planes that grow line by line.

use crate::{Filter, Header, Plane};

/// What is missing of a plane.
const GREY: u8 = 128;

/// A plane to which lines of the picture are added, from above to below.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) component: usize,
    pub(crate) filter: Filter,
    /// Samples of a line.
    pub(crate) width: usize,
    height: usize,
    data: Vec<u8>,
}

impl Output {
    pub(crate) fn new(header: &Header, component: usize, filter: Filter) -> Self {
        let (width, height) = header.plane_size(component);
        let (width, height) = (width as usize, height as usize);
        Self { component, filter, width, height, data: Vec::with_capacity(width * height) }
    }

    /// Takes lines of its width; those beyond the last of the picture are passed over.
    pub(crate) fn extend<'a>(&mut self, lines: impl Iterator<Item = &'a [u8]>) {
        let missing = self.height - self.data.len() / self.width;
        lines.take(missing).for_each(|line| self.data.extend_from_slice(line));
    }

    /// The plane; lines that never came are grey.
    pub(crate) fn finish(mut self) -> Plane {
        self.data.resize(self.width * self.height, GREY);
        let (width, height) = (self.width as u32, self.height as u32);
        Plane { component: self.component, filter: self.filter, width, height, data: self.data }
    }
}
