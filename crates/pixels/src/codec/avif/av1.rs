//! The door to rav1d, an AV1 decoder in Rust whose interface is C's. Only the decoding process goes through it.

#![expect(unsafe_code, reason = "rav1d has no other interface than C's; each block says why it is sound")]

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::slice;

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

use crate::yuv_image::{ChromaSubsampling, Cicp, YuvImage, YuvSamples, YuvShape};

/// Decodes the first picture that is to be shown of one temporal unit, or more of them, of the low-overhead format
/// (AV1 section 5.2); of one in layers the last one. `pixels_max` holds for each frame in it.
///
/// # Errors
/// It is damaged, larger, or holds no picture.
pub fn decode(av1: &[u8], pixels_max: u32) -> Result<Av1Picture, Av1Error> {
    if av1.is_empty() {
        return Err(Av1Error::Empty);
    }
    let mut context = Context::open(pixels_max)?;
    context.send(av1)?;
    context.picture()
}

/// Why there is no picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Av1Error {
    #[error("it holds no AV1")]
    Empty,
    #[error("there is no memory for it")]
    OutOfMemory,
    #[error("it holds no picture")]
    NoPicture,
    #[error("it holds no picture of a known kind")]
    UnknownKind,
    #[error("it is larger than its header says")]
    TooLarge,
    #[error("its AV1 is of a kind that is not decoded")]
    Unsupported,
    #[error("its AV1 is damaged")]
    Damaged,
}

/// A decoder, which has one thread: the one that calls.
struct Context(Option<Dav1dContext>);

impl Context {
    fn open(pixels_max: u32) -> Result<Self, Av1Error> {
        let mut settings = MaybeUninit::<Dav1dSettings>::uninit();
        // SAFETY: the function writes all of the settings and reads nothing of them.
        let mut settings = unsafe {
            dav1d_default_settings(NonNull::from(&mut settings).cast());
            settings.assume_init()
        };
        settings.n_threads = 1;
        settings.max_frame_delay = 1;
        settings.all_layers = 0;
        settings.frame_size_limit = pixels_max;
        let mut context = Self(None);
        // SAFETY: both places are ours, initialized, and outlive the call. The settings keep their own allocator and logger.
        let opened = unsafe { dav1d_open(Some(NonNull::from(&mut context.0)), Some(NonNull::from(&mut settings))) };
        result(opened.0)?;
        Ok(context)
    }

    fn send(&mut self, av1: &[u8]) -> Result<(), Av1Error> {
        let mut data = Data::new(av1)?;
        // SAFETY: the job is open, and the data is initialized. What the decoder keeps of it, it counts.
        let sent = unsafe { dav1d_send_data(self.0, Some(NonNull::from(&mut data.0))) };
        result(sent.0)
    }

    fn picture(&mut self) -> Result<Av1Picture, Av1Error> {
        let mut picture = MaybeUninit::<Dav1dPicture>::uninit();
        // SAFETY: the job is open. The picture is written whatever the result is, and is not read before.
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
        // SAFETY: the place holds an open job, which is closed once, or none; it is left empty.
        unsafe { dav1d_close(Some(NonNull::from(&mut self.0))) }
    }
}

/// Bytes that the decoder may keep.
struct Data(Dav1dData);

impl Data {
    fn new(av1: &[u8]) -> Result<Self, Av1Error> {
        let mut data = MaybeUninit::<Dav1dData>::uninit();
        // SAFETY: the function writes the data unless it returns null, and reads nothing of it.
        let bytes = unsafe { dav1d_data_create(Some(NonNull::from(&mut data).cast()), av1.len()) };
        if bytes.is_null() {
            return Err(Av1Error::OutOfMemory);
        }
        // SAFETY: `bytes` are as many as were asked for, new and so no part of `av1`, and nobody else knows of them yet. Not
        // null, they say that the data was written.
        unsafe {
            ptr::copy_nonoverlapping(av1.as_ptr(), bytes, av1.len());
            Ok(Self(data.assume_init()))
        }
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        // SAFETY: the data is initialized: it holds a reference, which is given back once, or the decoder has taken that and left
        // it empty.
        unsafe { dav1d_data_unref(Some(NonNull::from(&mut self.0))) }
    }
}

/// A decoded picture.
pub struct Av1Picture(Dav1dPicture);

impl Av1Picture {
    /// The picture, if it is one of the kinds that there are.
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

    /// What its sequence header says of its colors.
    pub fn cicp(&self) -> Cicp {
        let Some(header) = self.0.seq_hdr else { return Cicp::UNSPECIFIED };
        // SAFETY: the header of a picture lives as long as the picture does, and nobody writes to it.
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

    /// The rows of plane `n` without padding; none of a plane that there is not.
    pub fn rows(&self, n: usize) -> impl Iterator<Item = &[u8]> {
        let YuvShape { width, height, depth, sampling } = self.shape();
        let (width, height) = sampling.plane_size(n, (width, height));
        let bytes = width as usize * if depth == 8 { 1 } else { 2 };
        let plane = self.0.data.get(n).copied().flatten().filter(|_| n < sampling.planes());
        let stride = self.0.stride[usize::from(n > 0)];
        let rows = if usize::try_from(stride).is_ok_and(|stride| bytes <= stride) { height as usize } else { 0 };
        plane.into_iter().flat_map(move |plane| {
            (0..rows).map(move |row| {
                // SAFETY: the plane of a picture from the decoder's own allocator has at least as many rows as its height says,
                // of `stride` bytes, which is more than none and no fewer than are read, as was looked at above. They are
                // initialized, nobody writes to them any more, and they live as long as the picture, which is borrowed.
                unsafe { slice::from_raw_parts(plane.as_ptr().cast::<u8>().offset(row as isize * stride), bytes) }
            })
        })
    }
}

impl Drop for Av1Picture {
    fn drop(&mut self) {
        // SAFETY: the picture is initialized: its references are given back once, and it is left without any.
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
