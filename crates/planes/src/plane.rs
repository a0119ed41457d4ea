/// The samples of one color component, stored row by row without padding.
///
/// `M` is the decoder's output mode, such as the scale of a JPEG plane or the loop filter setting of a VP8 plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plane<M> {
    /// Index of the component: 0 is luma (or red), 1 and 2 are chroma (or green and blue).
    pub component: usize,
    /// The mode in which the decoder produced this plane.
    pub mode: M,
    /// Width in samples.
    pub width: u32,
    /// Height in samples.
    pub height: u32,
    /// `width * height` samples.
    pub data: Vec<u8>,
}

/// A borrowed plane, as input to an encoder.
#[derive(Debug, Clone, Copy)]
pub struct PlaneRef<'a> {
    /// Width in samples.
    pub width: u32,
    /// Height in samples.
    pub height: u32,
    /// `width * height` samples, row by row.
    pub data: &'a [u8],
}
