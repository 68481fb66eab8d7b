//! Made-up data, the same at every run.

/// Numbers that look random, the same at every run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % end.max(1)
    }
}

/// Puts other bytes in a hundred places, so that hardly any chunk stays as it was.
pub(crate) fn scatter(bytes: &mut [u8], seed: u64) {
    let mut numbers = Numbers(seed);
    for _ in 0..100 {
        let position = numbers.below(bytes.len());
        bytes[position] ^= 0x55;
    }
}

/// Bytes that do not compress and do not repeat, the same for the same seed.
pub(crate) fn noise(len_bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(len_bytes + 8);
    while bytes.len() < len_bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(len_bytes);
    bytes
}
