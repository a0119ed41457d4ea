//! Safe wrapper of rav1d, an AV1 decoder in Rust with the C API of dav1d. Runs only in the sandbox process.

#![expect(unsafe_code, reason = "rav1d has only a C API; each block states why it is sound")]

use std::ffi::c_int;
use std::io;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::slice;
use std::time::Duration;

use rav1d::include::dav1d::data::Dav1dData;
use rav1d::include::dav1d::dav1d::{Dav1dContext, Dav1dSettings};
use rav1d::include::dav1d::headers::{
    DAV1D_PIXEL_LAYOUT_I400, DAV1D_PIXEL_LAYOUT_I420, DAV1D_PIXEL_LAYOUT_I422, DAV1D_PIXEL_LAYOUT_I444,
    Dav1dSequenceHeader,
};
use rav1d::include::dav1d::picture::Dav1dPicture;
use rav1d::src::lib::{
    dav1d_close, dav1d_data_create, dav1d_data_unref, dav1d_default_settings, dav1d_get_picture, dav1d_open,
    dav1d_picture_unref, dav1d_send_data,
};
use rustix::io::Errno;

use crate::decoders::{Frames, Samples};
use crate::pixel_image::ImageShape;
use crate::sandbox::SandboxImage;
use crate::yuv_image::{ChromaSubsampling, Cicp, YuvImage, YuvSamples, YuvShape};

/// Decodes the first visible image of one or more temporal units in the low-overhead bitstream format (AV1, section
/// 5.2). If the image has layers, the last layer is returned. `pixels_max` limits each frame.
///
/// # Errors
/// The data is damaged, contains no image, or a frame is too large.
pub fn decode(av1: &[u8], pixels_max: u32) -> Result<Av1Picture, Av1Error> {
    if av1.is_empty() {
        return Err(Av1Error::Empty);
    }
    let mut context = Context::open(pixels_max)?;
    context.send(av1)?;
    context.picture()
}

/// Decodes the frames of a track.
pub struct Av1Frames<'a> {
    context: Context,
    /// Samples, each after its length in four bytes, little-endian.
    rest: &'a [u8],
}

impl<'a> Av1Frames<'a> {
    /// # Errors
    /// The decoder could not be started.
    pub fn open(samples: &'a [u8], pixels_max: u32) -> Result<Self, Av1Error> {
        Ok(Self { context: Context::open(pixels_max)?, rest: samples })
    }

    /// The next frame. `None` after the last one.
    ///
    /// # Errors
    /// The data is damaged, or a frame is too large.
    pub fn next_picture(&mut self) -> Result<Option<Av1Picture>, Av1Error> {
        loop {
            match self.context.picture() {
                Err(Av1Error::NoPicture) => {}
                picture => return picture.map(Some),
            }
            let Some((length, rest)) = self.rest.split_first_chunk() else { return Ok(None) };
            let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| Av1Error::Damaged)?;
            let (sample, rest) = rest.split_at_checked(length).ok_or(Av1Error::Damaged)?;
            self.rest = rest;
            if sample.is_empty() {
                return Err(Av1Error::Empty);
            }
            self.context.send(sample)?;
        }
    }
}

impl Frames for Av1Frames<'_> {
    fn next(&mut self) -> Result<Option<(Box<dyn Samples>, Duration)>, String> {
        let picture = self.next_picture().map_err(|error| error.to_string())?;
        Ok(picture.map(|picture| (Box::new(picture) as Box<dyn Samples>, Duration::ZERO)))
    }
}

/// The reason why decoding failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Av1Error {
    #[error("no AV1 data")]
    Empty,
    #[error("out of memory")]
    OutOfMemory,
    #[error("no AV1 image")]
    NoPicture,
    #[error("unsupported AV1 image format")]
    UnknownKind,
    #[error("the AV1 image is larger than the header declares")]
    TooLarge,
    #[error("unsupported AV1 feature")]
    Unsupported,
    #[error("invalid AV1 data")]
    Damaged,
}

/// A decoder without worker threads.
struct Context(Option<Dav1dContext>);

impl Context {
    fn open(pixels_max: u32) -> Result<Self, Av1Error> {
        let mut settings = MaybeUninit::<Dav1dSettings>::uninit();
        // SAFETY: the function initializes all settings and reads none.
        let mut settings = unsafe {
            dav1d_default_settings(NonNull::from(&mut settings).cast());
            settings.assume_init()
        };
        settings.n_threads = 1;
        settings.max_frame_delay = 1;
        settings.all_layers = 0;
        settings.frame_size_limit = pixels_max;
        let mut context = Self(None);
        // SAFETY: both pointers are to initialized variables that outlive the call. The settings contain the default
        // allocator and logger.
        let opened = unsafe { dav1d_open(Some(NonNull::from(&mut context.0)), Some(NonNull::from(&mut settings))) };
        result(opened.0)?;
        Ok(context)
    }

    fn send(&mut self, av1: &[u8]) -> Result<(), Av1Error> {
        let mut data = Data::new(av1)?;
        // SAFETY: the context is open and the data is initialized. The decoder takes counted references to it.
        let sent = unsafe { dav1d_send_data(self.0, Some(NonNull::from(&mut data.0))) };
        result(sent.0)
    }

    fn picture(&mut self) -> Result<Av1Picture, Av1Error> {
        let mut picture = MaybeUninit::<Dav1dPicture>::uninit();
        // SAFETY: the context is open. The function initializes the picture without reading it first, even if it fails.
        let (got, picture) = unsafe {
            let got = dav1d_get_picture(self.0, Some(NonNull::from(&mut picture).cast()));
            (got, Av1Picture(picture.assume_init()))
        };
        result(got.0)?;
        picture.checked()
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the variable contains an open context or `None`. The function closes the context and sets the
        // variable to `None`.
        unsafe { dav1d_close(Some(NonNull::from(&mut self.0))) }
    }
}

/// A reference-counted copy of the input.
struct Data(Dav1dData);

impl Data {
    fn new(av1: &[u8]) -> Result<Self, Av1Error> {
        let mut data = MaybeUninit::<Dav1dData>::uninit();
        // SAFETY: the function initializes the data unless it returns null, and does not read it.
        let bytes = unsafe { dav1d_data_create(Some(NonNull::from(&mut data).cast()), av1.len()) };
        if bytes.is_null() {
            return Err(Av1Error::OutOfMemory);
        }
        // SAFETY: `bytes` points to a new allocation of `av1.len()` bytes without other references, which cannot
        // overlap with `av1`. As it is not null, the data is initialized.
        unsafe {
            ptr::copy_nonoverlapping(av1.as_ptr(), bytes, av1.len());
            Ok(Self(data.assume_init()))
        }
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        // SAFETY: the data is initialized. It contains a reference, which is released once, or is empty because the
        // decoder took the reference.
        unsafe { dav1d_data_unref(Some(NonNull::from(&mut self.0))) }
    }
}

/// A decoded image.
pub struct Av1Picture(Dav1dPicture);

impl Av1Picture {
    /// Checks the format of the image.
    fn checked(self) -> Result<Self, Av1Error> {
        let known =
            self.sampling().is_some() && matches!(self.0.p.bpc, 8 | 10 | 12) && self.0.p.w > 0 && self.0.p.h > 0;
        if known { Ok(self) } else { Err(Av1Error::UnknownKind) }
    }

    pub fn shape(&self) -> YuvShape {
        let side = |n: c_int| u32::try_from(n).unwrap_or(0);
        YuvShape {
            width: side(self.0.p.w),
            height: side(self.0.p.h),
            depth: u8::try_from(self.0.p.bpc).unwrap_or(0),
            sampling: self.sampling().unwrap_or(ChromaSubsampling::Cs400),
        }
    }

    fn sampling(&self) -> Option<ChromaSubsampling> {
        match self.0.p.layout {
            DAV1D_PIXEL_LAYOUT_I400 => Some(ChromaSubsampling::Cs400),
            DAV1D_PIXEL_LAYOUT_I420 => Some(ChromaSubsampling::Cs420),
            DAV1D_PIXEL_LAYOUT_I422 => Some(ChromaSubsampling::Cs422),
            DAV1D_PIXEL_LAYOUT_I444 => Some(ChromaSubsampling::Cs444),
            _ => None,
        }
    }

    /// The color description in the sequence header.
    pub fn cicp(&self) -> Cicp {
        let Some(header) = self.0.seq_hdr else { return Cicp::UNSPECIFIED };
        // SAFETY: the picture keeps its sequence header alive, and the header is never modified.
        let header: &Dav1dSequenceHeader = unsafe { header.as_ref() };
        let code = |n: u32| u16::try_from(n).unwrap_or(2);
        Cicp {
            primaries: code(header.pri),
            transfer: code(header.trc),
            matrix: code(header.mtrx),
            full_range: header.color_range != 0,
        }
    }

    /// Copies the planes.
    #[must_use]
    pub fn to_image(&self) -> YuvImage {
        let YuvShape { width, height, depth, sampling } = self.shape();
        let plane = |n| {
            let bytes: Vec<u8> = self.rows(n).flatten().copied().collect();
            if depth == 8 {
                return YuvSamples::U8(bytes);
            }
            YuvSamples::U16(bytes.as_chunks().0.iter().map(|sample| u16::from_ne_bytes(*sample)).collect())
        };
        let planes = (0..sampling.planes()).map(plane).collect();
        YuvImage { width, height, depth, sampling, cicp: self.cicp(), planes }
    }

    /// The rows of plane `n` without padding. Empty if the plane does not exist.
    pub fn rows(&self, n: usize) -> impl Iterator<Item = &[u8]> {
        let YuvShape { width, height, depth, sampling } = self.shape();
        let (width, height) = sampling.plane_size(n, (width, height));
        let bytes = width as usize * if depth == 8 { 1 } else { 2 };
        let plane = self.0.data.get(n).copied().flatten().filter(|_| n < sampling.planes());
        let stride = self.0.stride[usize::from(n > 0)];
        let rows = if usize::try_from(stride).is_ok_and(|stride| bytes <= stride) { height as usize } else { 0 };
        plane.into_iter().flat_map(move |plane| {
            (0..rows).map(move |row| {
                // SAFETY: the default allocator gives each plane at least `height` rows of `stride` bytes. The check
                // above ensures that `stride` is positive and at least `bytes`. The samples are initialized, no longer
                // modified, and live as long as the picture, which is borrowed.
                unsafe { slice::from_raw_parts(plane.as_ptr().cast::<u8>().offset(row as isize * stride), bytes) }
            })
        })
    }
}

impl Samples for Av1Picture {
    fn shape(&self) -> ImageShape {
        ImageShape::Yuv(Self::shape(self))
    }

    fn cicp(&self) -> Cicp {
        Self::cicp(self)
    }

    fn write(&self, to: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        (0..Self::shape(self).sampling.planes()).try_for_each(|n| self.rows(n).try_for_each(&mut *to))
    }

    fn into_image(self: Box<Self>) -> SandboxImage {
        SandboxImage::Yuv(self.to_image())
    }
}

impl Drop for Av1Picture {
    fn drop(&mut self) {
        // SAFETY: the picture is initialized. The function releases its references once and clears it.
        unsafe { dav1d_picture_unref(Some(NonNull::from(&mut self.0))) }
    }
}

/// Converts a result code, which is a negated errno.
fn result(code: c_int) -> Result<(), Av1Error> {
    if code == 0 {
        return Ok(());
    }
    Err(match Errno::from_raw_os_error(code.saturating_neg()) {
        Errno::AGAIN => Av1Error::NoPicture,
        Errno::NOMEM => Av1Error::OutOfMemory,
        Errno::RANGE => Av1Error::TooLarge,
        Errno::NOPROTOOPT => Av1Error::Unsupported,
        _ => Av1Error::Damaged,
    })
}
