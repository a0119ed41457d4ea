//! HEIC: decoding of one HEVC image, which runs only in the sandboxed process. The container is parsed by
//! [`heif`](crate::codec::heif), and the orientation and the crop are applied there.

use std::cell::OnceCell;

use heic_decoder::{DecodeOptions, DecodedImage};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::yuv_image::{ChromaSubsampling, Cicp, YuvImage, YuvSamples, YuvShape};

/// Decodes a file with one image of this shape.
///
/// # Errors
/// The reason why the image cannot be decoded, or does not have this shape.
pub(crate) fn decode(file: &[u8], shape: YuvShape) -> Result<YuvImage, String> {
    stay_on_this_thread()?;
    let image = heic_decoder::decode_with(file, &DecodeOptions { apply_transforms: false });
    to_yuv(image.map_err(|error| error.to_string())?, shape)
}

/// Makes this thread the only one of its pool, because the sandbox forbids new threads.
fn stay_on_this_thread() -> Result<(), String> {
    thread_local! {
        static POOL: OnceCell<ThreadPool> = const { OnceCell::new() };
    }
    POOL.with(|pool| {
        if pool.get().is_none() {
            let new = ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
            let _ = pool.set(new.map_err(|error| error.to_string())?);
        }
        Ok(())
    })
}

/// Converts the samples, which the decoder returns with four bytes each, plane by plane.
fn to_yuv(image: DecodedImage, shape: YuvShape) -> Result<YuvImage, String> {
    let YuvShape { width, height, depth, sampling } = shape;
    let format = match sampling {
        ChromaSubsampling::Cs400 => 0,
        ChromaSubsampling::Cs420 => 1,
        ChromaSubsampling::Cs422 => 2,
        ChromaSubsampling::Cs444 => 3,
    };
    let depths =
        if format == 0 { vec![image.bit_depth_luma] } else { vec![image.bit_depth_luma, image.bit_depth_chroma] };
    if (image.width, image.height, image.chroma_format_idc) != (width as usize, height as usize, format)
        || depths.into_iter().any(|bits| bits != u32::from(depth))
    {
        let (width, height, bits) = (image.width, image.height, image.bit_depth_luma);
        return Err(format!("its data have {width}x{height} pixels of {bits} bits, and its header says {shape}"));
    }
    let color = image.color_info;
    let cicp = color.map_or(Cicp::UNSPECIFIED, |color| Cicp {
        primaries: color.color_primaries,
        transfer: color.transfer_characteristics,
        matrix: color.matrix_coefficients,
        full_range: color.full_range,
    });
    let planes = [image.y, image.cb, image.cr].into_iter().take(sampling.planes()).enumerate().map(|(n, plane)| {
        let (width, height) = sampling.plane_size(n, (width, height));
        if plane.len() as u64 != u64::from(width) * u64::from(height) {
            return Err("a plane has the wrong size".to_owned());
        }
        Ok(to_samples(&plane, depth))
    });
    Ok(YuvImage { width, height, depth, sampling, cicp, planes: planes.collect::<Result<_, _>>()? })
}

fn to_samples(plane: &[i32], depth: u8) -> YuvSamples {
    let sample_max = (1 << depth) - 1;
    let limited = plane.iter().map(|sample| (*sample).clamp(0, sample_max));
    match depth {
        8 => YuvSamples::U8(limited.map(|sample| u8::try_from(sample).unwrap_or(u8::MAX)).collect()),
        _ => YuvSamples::U16(limited.map(|sample| u16::try_from(sample).unwrap_or(u16::MAX)).collect()),
    }
}
