//! Hexadecimal text.

use std::fmt::Write;

/// Encodes each byte as two lowercase digits.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Decodes exactly `2 * N` digits, in uppercase or lowercase.
#[must_use]
pub fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (digits, rest) = text.as_bytes().as_chunks::<2>();
    if digits.len() != N || !rest.is_empty() {
        return None;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(digits) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_two_lowercase_digits() {
        assert_eq!(encode(&[0, 9, 0xab, 0xff]), "0009abff");
        assert_eq!(encode(&[]), "");
    }

    #[test]
    fn only_the_exact_number_of_digits_is_decoded() {
        assert_eq!(decode("0009AbfF"), Some([0, 9, 0xab, 0xff]));
        for text in ["", "0", "000", "00000", "+0", "0g", "é"] {
            assert_eq!(decode::<1>(text), None, "{text}");
        }
    }
}
