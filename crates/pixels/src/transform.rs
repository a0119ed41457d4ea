//! Operations on decoded pixels. No module here depends on a file format.

pub(crate) mod alpha;
pub(crate) mod channels;
pub(crate) mod color;
pub(crate) mod convolve;
pub(crate) mod crop;
pub(crate) mod deep;
pub(crate) mod linear_light;
pub(crate) mod orientation;
pub(crate) mod saliency;
pub(crate) mod scale;
pub(crate) mod smart_crop;
pub(crate) mod transfer;
