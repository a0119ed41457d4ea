//! Huffman codes made for what is to be coded (ITU-T T.81, annex K.2), and bits on their way into bytes.

/// Codes by symbol, and what a DHT segment says of them.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    /// Code and length, by symbol.
    pub(crate) codes: [(u16, u8); 256],
    pub(crate) counts: [u8; 16],
    pub(crate) symbols: Vec<u8>,
}

impl Code {
    /// The best code of at most 16 bits for symbols that occur so often. No code is all ones.
    pub(crate) fn best(frequencies: &[u32; 256]) -> Self {
        let mut lengths = lengths(frequencies);
        shorten(&mut lengths.counts);
        // The symbol of our own goes: it has one of the longest codes.
        if let Some(count) = lengths.counts.iter_mut().rev().find(|count| **count > 0) {
            *count -= 1;
        }
        let counts: [u8; 16] = std::array::from_fn(|n| lengths.counts[n + 1] as u8);
        let symbols = lengths.symbols;
        let mut codes = [(0, 0); 256];
        let (mut code, mut place) = (0_u16, 0);
        for (length, &count) in (1_u8..).zip(&counts) {
            for &symbol in &symbols[place..place + usize::from(count)] {
                codes[usize::from(symbol)] = (code, length);
                code = code.wrapping_add(1);
            }
            place += usize::from(count);
            code <<= 1;
        }
        Self { codes, counts, symbols }
    }
}

struct Lengths {
    /// How many codes have each length, up to 64 bits for now.
    counts: [u32; 65],
    /// The symbols, those with short codes first.
    symbols: Vec<u8>,
}

/// Huffman's method. One symbol more, the rarest of all, takes the code of all ones, and is dropped.
fn lengths(frequencies: &[u32; 256]) -> Lengths {
    let used = (0..256).filter(|&n| frequencies[n] > 0);
    // Weight, and the leaves below: the tree is kept only as each leaf's depth.
    let mut trees: Vec<(u64, Vec<usize>)> = used.map(|n| (u64::from(frequencies[n]) + 1, vec![n])).collect();
    trees.push((1, vec![256]));
    let mut depths = [0_u32; 257];
    // A stable order makes the same code for the same frequencies: by weight, then by symbol, the last first.
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
    Lengths { counts, symbols }
}

/// Makes codes of more than 16 bits shorter (figure K.3).
fn shorten(counts: &mut [u32; 65]) {
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

/// Bits, most significant first, with a zero byte stuffed behind each 0xFF.
#[derive(Debug)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    reservoir: u64,
    count: u32,
}

impl BitWriter {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, reservoir: 0, count: 0 }
    }

    /// The lowest `count` bits of `bits`, at most 32; the others must be zero.
    #[inline(always)]
    pub(crate) fn put(&mut self, bits: u32, count: u32) {
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

    /// Fills the last byte with ones (section F.1.2.3).
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let fill = (8 - self.count % 8) % 8;
        let rest = ((self.reservoir << fill) | ((1 << fill) - 1)) & ((1 << (self.count + fill)) - 1);
        let bytes = rest.to_be_bytes();
        let whole = ((self.count + fill) / 8) as usize;
        self.stuff(&bytes[8 - whole..]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kraft(code: &Code) -> f64 {
        code.counts.iter().zip(1..).map(|(&count, length)| f64::from(count) / 2_f64.powi(length)).sum()
    }

    #[test]
    fn codes_are_short_enough_and_none_is_all_ones() {
        let fibonacci: [u32; 256] = {
            let mut f = [0; 256];
            let (mut a, mut b) = (1_u32, 1_u32);
            for place in f.iter_mut().take(40) {
                *place = a;
                (a, b) = (b, a + b);
            }
            f
        };
        let flat = [7; 256];
        let mut single = [0; 256];
        single[9] = 3;
        for frequencies in [fibonacci, flat, single] {
            let code = Code::best(&frequencies);
            let used = frequencies.iter().filter(|&&n| n > 0).count();
            assert_eq!(code.counts.iter().map(|&n| usize::from(n)).sum::<usize>(), used);
            assert!(kraft(&code) < 1.0, "{}", kraft(&code));
            for (symbol, &(bits, length)) in code.codes.iter().enumerate() {
                assert_eq!(length > 0, frequencies[symbol] > 0);
                assert!(length == 0 || u32::from(bits) != (1 << length) - 1);
            }
        }
    }

    #[test]
    fn bits_come_out_stuffed_and_filled_with_ones() {
        let mut writer = BitWriter::new(Vec::new());
        writer.put(0xFF, 8);
        writer.put(0b101, 3);
        assert_eq!(writer.finish(), [0xFF, 0, 0b1011_1111]);
        assert_eq!(BitWriter::new(vec![1]).finish(), [1]);
    }
}
