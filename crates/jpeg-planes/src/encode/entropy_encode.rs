//! Optimal Huffman codes for given symbol frequencies (ITU-T T.81, annex K.2), and the bit writer.

/// A Huffman code, and its representation in a DHT segment.
#[derive(Debug, Clone)]
pub(super) struct HuffmanCode {
    /// Code and length in bits, by symbol. Unused symbols have length 0.
    pub(super) codes: [(u16, u8); 256],
    /// Number of codes of each length, 1 to 16.
    pub(super) counts: [u8; 16],
    /// The symbols in ascending order of their codes.
    pub(super) symbols: Vec<u8>,
}

impl HuffmanCode {
    /// The optimal code of at most 16 bits per symbol. No code consists of 1 bits only.
    pub(super) fn optimal(frequencies: &[u32; 256]) -> Self {
        let mut lengths = CodeLengths::new(frequencies);
        lengths.limit_to_16_bits();
        // Remove the reserved symbol, which has one of the longest codes.
        if let Some(count) = lengths.counts.iter_mut().rev().find(|count| **count > 0) {
            *count -= 1;
        }
        let counts: [u8; 16] = std::array::from_fn(|n| lengths.counts[n + 1] as u8);
        let symbols = lengths.symbols;
        let mut codes = [(0, 0); 256];
        let (mut code, mut index) = (0_u16, 0);
        for (length, &count) in (1_u8..).zip(&counts) {
            for &symbol in &symbols[index..index + usize::from(count)] {
                codes[usize::from(symbol)] = (code, length);
                code = code.wrapping_add(1);
            }
            index += usize::from(count);
            code <<= 1;
        }
        Self { codes, counts, symbols }
    }
}

struct CodeLengths {
    /// Number of codes of each length, 0 to 64 bits.
    counts: [u32; 65],
    /// The symbols in ascending order of code length.
    symbols: Vec<u8>,
}

impl CodeLengths {
    /// Huffman's algorithm. A reserved symbol with the lowest frequency takes the code of all 1 bits.
    fn new(frequencies: &[u32; 256]) -> Self {
        const RESERVED: usize = 256;
        let used = (0..256).filter(|&n| frequencies[n] > 0);
        // Weight and leaves of each subtree. Inner nodes are not stored, only the depth of each leaf.
        let mut trees: Vec<(u64, Vec<usize>)> = used.map(|n| (u64::from(frequencies[n]) + 1, vec![n])).collect();
        trees.push((1, vec![RESERVED]));
        let mut depths = [0_u32; 257];
        // Ties are broken by symbol, so equal frequencies always give equal codes.
        while trees.len() > 1 {
            trees.sort_by(|a, b| b.0.cmp(&a.0).then(a.1[0].cmp(&b.1[0])));
            let (Some(a), Some(b)) = (trees.pop(), trees.pop()) else { break };
            let leaves = [a.1, b.1].concat();
            leaves.iter().for_each(|&leaf| depths[leaf] += 1);
            trees.push((a.0 + b.0, leaves));
        }
        let mut counts = [0; 65];
        depths.iter().filter(|&&depth| depth > 0).for_each(|&depth| counts[depth.min(64) as usize] += 1);
        let mut symbols: Vec<u8> = (0..=255_u8).filter(|&n| frequencies[usize::from(n)] > 0).collect();
        symbols.sort_by_key(|&n| (depths[usize::from(n)], n));
        Self { counts, symbols }
    }

    /// Shortens codes of more than 16 bits (ITU-T T.81, figure K.3).
    fn limit_to_16_bits(&mut self) {
        let counts = &mut self.counts;
        for length in (17..65).rev() {
            while counts[length] > 1 {
                let Some(shorter) = (1..length - 1).rev().find(|&shorter| counts[shorter] > 0) else { break };
                counts[length] -= 2;
                counts[length - 1] += 1;
                counts[shorter + 1] += 2;
                counts[shorter] -= 1;
            }
        }
    }
}

/// Writes bits, most significant bit first, and stuffs a zero byte after each 0xFF (ITU-T T.81, section F.1.2.3).
#[derive(Debug)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    reservoir: u64,
    count: u32,
}

impl BitWriter {
    /// Appends to `bytes`.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, reservoir: 0, count: 0 }
    }

    /// Writes the lowest `count` bits of `bits`, at most 32. The other bits must be zero.
    #[inline(always)]
    pub(super) fn put(&mut self, bits: u32, count: u32) {
        self.reservoir = (self.reservoir << count) | u64::from(bits);
        self.count += count;
        if self.count >= 32 {
            self.count -= 32;
            self.flush((self.reservoir >> self.count) as u32);
        }
    }

    #[inline(always)]
    fn flush(&mut self, word: u32) {
        let bytes = word.to_be_bytes();
        if word & (!word).wrapping_sub(0x0101_0101) & 0x8080_8080 == 0 {
            self.bytes.extend_from_slice(&bytes);
        } else {
            self.stuff(&bytes);
        }
    }

    #[cold]
    fn stuff(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.bytes.push(byte);
            if byte == 0xFF {
                self.bytes.push(0);
            }
        }
    }

    /// Pads the last byte with 1 bits.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let fill = (8 - self.count % 8) % 8;
        let rest = ((self.reservoir << fill) | ((1 << fill) - 1)) & ((1 << (self.count + fill)) - 1);
        let bytes = rest.to_be_bytes();
        let byte_count = ((self.count + fill) / 8) as usize;
        self.stuff(&bytes[8 - byte_count..]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kraft_sum(code: &HuffmanCode) -> f64 {
        code.counts.iter().zip(1..).map(|(&count, length)| f64::from(count) / 2_f64.powi(length)).sum()
    }

    #[test]
    fn codes_are_at_most_16_bits_and_never_all_ones() {
        let fibonacci: [u32; 256] = {
            let mut f = [0; 256];
            let (mut a, mut b) = (1_u32, 1_u32);
            for frequency in f.iter_mut().take(40) {
                *frequency = a;
                (a, b) = (b, a + b);
            }
            f
        };
        let flat = [7; 256];
        let mut single = [0; 256];
        single[9] = 3;
        for frequencies in [fibonacci, flat, single] {
            let code = HuffmanCode::optimal(&frequencies);
            let used = frequencies.iter().filter(|&&n| n > 0).count();
            assert_eq!(code.counts.iter().map(|&n| usize::from(n)).sum::<usize>(), used);
            assert!(kraft_sum(&code) < 1.0, "{}", kraft_sum(&code));
            for (symbol, &(bits, length)) in code.codes.iter().enumerate() {
                assert_eq!(length > 0, frequencies[symbol] > 0);
                assert!(length == 0 || u32::from(bits) != (1 << length) - 1);
            }
        }
    }

    #[test]
    fn output_is_stuffed_and_padded_with_ones() {
        let mut writer = BitWriter::new(Vec::new());
        writer.put(0xFF, 8);
        writer.put(0b101, 3);
        assert_eq!(writer.finish(), [0xFF, 0, 0b1011_1111]);
        assert_eq!(BitWriter::new(vec![1]).finish(), [1]);
    }
}
