//! Streams with very many groups of prefix codes.

/// A writer of bits, the least significant first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    free: u32,
}

impl Bits {
    fn put(&mut self, value: u32, count: u32) {
        for n in 0..count {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((value >> n & 1) as u8) << (8 - self.free);
            }
            self.free -= 1;
        }
    }

    /// A code with one symbol, which takes no bits.
    fn single(&mut self, symbol: u32) {
        self.put(0b101, 3);
        self.put(symbol, 8);
    }

    /// A code of 256 symbols with 8 bits each: the code of code lengths has only the symbol 8, which takes no bits.
    fn bytes(&mut self) {
        self.put(0, 1);
        self.put(8, 4);
        (0..11).for_each(|_| self.put(0, 3));
        self.put(1, 3);
        self.put(0, 1);
    }

    /// A code of 280 symbols: 232 with 8 bits and 48 with 9 bits.
    fn green(&mut self) {
        self.put(0, 1);
        // The lengths 16, 8 and 9 have code words of 1, 2 and 2 bits: 0, 01 and 11, as they are read.
        self.put(9, 4);
        for length in [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 2, 2] {
            self.put(length, 3);
        }
        self.put(0, 1);
        for (length, count) in [(0b01, 232), (0b11, 48)] {
            self.put(length, 2);
            let mut rest = count - 1;
            while rest > 0 {
                // Repetitions of 3 to 6, none of which leaves 1 or 2.
                let repeated = if rest == 7 || rest == 8 { 4 } else { rest.min(6) };
                self.put(0, 1);
                self.put(repeated - 3, 2);
                rest -= repeated;
            }
        }
    }
}

/// A transparent black picture of `side` x `side` pixels with this number of groups, the tables of each of which take more
/// than a kilobyte. Tile `n` has the group `n`, and the last tile the last group. With a header, this is the payload of
/// a "VP8L" chunk, and without it that of a compressed "ALPH" chunk after its first byte.
pub fn stream_with_groups(side: u32, groups: u32, has_header: bool) -> Vec<u8> {
    let mut bits = Bits::default();
    if has_header {
        bits.put(0x2F, 8);
        bits.put(side - 1, 14);
        bits.put(side - 1, 14);
        bits.put(1, 1);
        bits.put(0, 3);
    }
    // No transform and no color cache. The groups are those of tiles of 4 x 4 pixels.
    bits.put(0b100, 3);
    bits.put(0, 3);
    // The image of groups has no color cache. Green and red have all symbols.
    bits.put(0, 1);
    bits.green();
    bits.bytes();
    (0..3).for_each(|_| bits.single(0));
    let tiles = side.div_ceil(4).pow(2);
    for tile in 0..tiles {
        let group = if tile + 1 == tiles { groups - 1 } else { tile % groups };
        let [_, _, high, low] = group.to_be_bytes();
        for (byte, is_green) in [(low, true), (high, false)] {
            match (is_green, u32::from(byte)) {
                // The first code word of 9 bits follows 232 of 8 bits.
                (true, green @ 232..) => bits.put((464 + green - 232).reverse_bits() >> 23, 9),
                (_, byte) => bits.put(byte.reverse_bits() >> 24, 8),
            }
        }
    }
    for _ in 0..groups {
        bits.green();
        (0..3).for_each(|_| bits.bytes());
        bits.single(0);
    }
    // Each sample of each pixel is the first symbol of its code: eight zeros.
    for _ in 0..side * side {
        bits.put(0, 32);
    }
    bits.bytes
}
