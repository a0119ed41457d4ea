//! Statements about authorship and license.

use super::*;
use crate::metadata::copyright;

const XMP: &str = "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>\
    <rdf:Description xmlns:photoshop='http://ns.adobe.com/photoshop/1.0/' xmlns:exif='http://ns.adobe.com/exif/1.0/'\
    xmlns:xmpRights='http://ns.adobe.com/xap/1.0/rights/' photoshop:Credit='Agency' photoshop:City='Bonn'\
    exif:GPSLatitude='50,44.0N' xmpRights:WebStatement='https://example.com/license'/></rdf:RDF></x:xmpmeta>";

/// A TIFF structure with an artist and, in another directory, a position.
const EXIF: &[u8] = b"II*\0\x08\0\0\0\x02\0\x3B\x01\x02\0\x04\0\0\0Ada\0\x25\x88\x04\0\x01\0\0\0\x26\0\0\0\0\0\0\0\
    \x01\0\x01\0\x02\0\x02\0\0\0N\0\0\0";

/// Photoshop image resources with a copyright notice.
const IPTC: &[u8] = b"Photoshop 3.0\08BIM\x04\x04\0\0\0\0\0\x15\x1C\x02\x5A\0\x04Bonn\x1C\x02\x74\0\x07(C) Ada\0";

fn jpeg_segment(marker: u8, parts: &[&[u8]]) -> Vec<u8> {
    let data = parts.concat();
    [&[0xFF, marker], &u16::try_from(data.len() + 2).unwrap().to_be_bytes()[..], &data].concat()
}

fn jpeg() -> Vec<u8> {
    let jpeg = bytes(&gradient(64, 48), ImageFormat::Jpeg);
    let exif = jpeg_segment(0xE1, &[b"Exif\0\0", EXIF]);
    let xmp = jpeg_segment(0xE1, &[b"http://ns.adobe.com/xap/1.0/\0", XMP.as_bytes()]);
    [&jpeg[..2], &exif, &xmp, &jpeg_segment(0xED, &[IPTC]), &jpeg[2..]].concat()
}

/// A PNG with a packet in a chunk of international text.
fn png(is_compressed: bool) -> Vec<u8> {
    let png = bytes(&gradient(64, 48), ImageFormat::Png);
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut zlib, XMP.as_bytes()).unwrap();
    let (flag, text) = if is_compressed { (1, zlib.finish().unwrap()) } else { (0, XMP.as_bytes().to_vec()) };
    let data = [&b"XML:com.adobe.xmp\0"[..], &[flag, 0], b"en\0\0", &text].concat();
    let checksum = crc32fast::hash(&[b"iTXt", &data[..]].concat()).to_be_bytes();
    let chunk = [&u32::try_from(data.len()).unwrap().to_be_bytes()[..], b"iTXt", &data, &checksum].concat();
    [&png[..33], &chunk, &png[33..]].concat()
}

fn contains(file: &[u8], text: &str) -> bool {
    file.windows(text.len()).any(|window| window == text.as_bytes())
}

fn statements(file: &[u8]) -> Option<String> {
    let codec = Header::read(file, &LIMITS).unwrap().codec;
    copyright(file, codec)
}

#[test]
fn variants_keep_authorship_and_license_and_nothing_else() {
    let webp = render_as(&jpeg(), webp_q90(), true);
    for (original, has_all) in [(jpeg(), true), (png(false), false), (png(true), false), (webp, true)] {
        for encoding in [jpeg_q90(), Encoding::Png, webp_q90(), Encoding::WebP(Quality::new(100).unwrap())] {
            let made = render_as(&original, encoding, true);
            image::load_from_memory(&made).unwrap();
            assert!(contains(&made, "<photoshop:Credit>Agency</photoshop:Credit>"), "{encoding:?}");
            assert!(contains(&made, "https://example.com/license"));
            assert_eq!(contains(&made, "<rdf:li>Ada</rdf:li>") && contains(&made, "(C) Ada"), has_all);
            for dropped in ["Bonn", "GPS", "50,44.0N", "Exif\0", "8BIM"] {
                assert!(!contains(&made, dropped), "{encoding:?} {dropped}");
            }
            // A variant of the variant has the same statements.
            assert_eq!(statements(&made), statements(&original));
            assert!(!contains(&render_as(&original, encoding, false), "Agency"));
        }
        #[cfg(all(feature = "avif", feature = "avif-originals"))]
        {
            let encoding = Encoding::Avif(Quality::new(50).unwrap());
            assert_eq!(statements(&render_as(&original, encoding, true)), statements(&original));
            assert!(!contains(&render_as(&original, encoding, false), "Agency"));
        }
        #[cfg(feature = "jxl-variants")]
        {
            let encoding = Encoding::Jxl(Quality::new(50).unwrap());
            let made = render_as(&original, encoding, true);
            assert!(contains(&made, "<photoshop:Credit>Agency</photoshop:Credit>") && contains(&made, "jxlc"));
            let header = Header::read(&made, &LIMITS).unwrap();
            assert_eq!((header.codec, header.info.width), (Codec::JpegXl, 32));
            assert!(!contains(&render_as(&original, encoding, false), "Agency"));
        }
        assert!(!contains(&render_as(&original, Encoding::Gif, true), "Agency"));
    }
}

fn render_as(original: &[u8], encoding: Encoding, keep_copyright: bool) -> Vec<u8> {
    let limits = Limits { encode: EncodeOptions { keep_copyright, ..LIMITS.encode }, ..LIMITS };
    let header = Header::read(original, &limits).unwrap();
    render(original, &header, fit(32, 24), encoding, &limits).unwrap()
}

#[test]
fn statements_and_display_p3_are_kept_together() {
    let mut original = Vec::new();
    let mut encoder = PngEncoder::new(&mut original);
    encoder.set_icc_profile(ColorProfile::new_display_p3().encode().unwrap()).unwrap();
    encoder.set_exif_metadata(EXIF.to_vec()).unwrap();
    RgbaImage::from_pixel(16, 16, Rgba([255, 0, 0, 100])).write_with_encoder(encoder).unwrap();
    for encoding in [jpeg_q90(), Encoding::Png, webp_q90(), Encoding::WebP(Quality::new(100).unwrap())] {
        let made = render_as(&original, encoding, true);
        let mut decoder =
            image::ImageReader::new(Cursor::new(&made)).with_guessed_format().unwrap().into_decoder().unwrap();
        assert!(image::ImageDecoder::icc_profile(&mut decoder).unwrap().is_some());
        let xmp = image::ImageDecoder::xmp_metadata(&mut decoder).unwrap().unwrap();
        assert!(contains(&xmp, "<rdf:li>Ada</rdf:li>"));
        assert_eq!(image::load_from_memory(&made).unwrap().color().has_alpha(), encoding != jpeg_q90());
    }
}

#[test]
fn animations_keep_authorship_and_license() {
    let mut gif = Vec::new();
    let mut encoder = gif::Encoder::new(&mut gif, 8, 8, &[0, 0, 0, 255, 0, 0]).unwrap();
    for color in [0, 1] {
        let frame = gif::Frame { width: 8, height: 8, buffer: vec![color; 64].into(), ..gif::Frame::default() };
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    let webp = render_as(&gif, webp_q90(), true);
    // The chunk follows the frames.
    let mut with_xmp = webp.clone();
    with_xmp[20] |= 4;
    with_xmp.extend(b"XMP ");
    with_xmp.extend(u32::try_from(XMP.len()).unwrap().to_le_bytes());
    with_xmp.extend(XMP.as_bytes());
    with_xmp.extend(vec![0; XMP.len() % 2]);
    let length = u32::try_from(with_xmp.len() - 8).unwrap().to_le_bytes();
    with_xmp[4..8].copy_from_slice(&length);
    let made = render_as(&with_xmp, webp_q90(), true);
    assert!(contains(&made, "<photoshop:Credit>Agency</photoshop:Credit>") && contains(&made, "ANMF"));
    image::load_from_memory(&made).unwrap();
}
