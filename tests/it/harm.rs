//! What may happen to an object of a repository.

/// What happens to an object.
#[derive(Debug, Clone, Copy)]
pub(super) enum Harm {
    /// The byte at this share of the length, in thousandths, has a bit flipped.
    Flip(usize),
    /// So many thousandths of it are left.
    Cut(usize),
    /// Its last byte is missing.
    CutByte,
    Remove,
    /// Nothing but zeroes is in it.
    Zero,
    /// Another object is in its place, an older one of its kind where there is one.
    Swap,
}

pub(super) const FLIPS: [Harm; 6] =
    [Harm::Flip(0), Harm::Flip(10), Harm::Flip(250), Harm::Flip(500), Harm::Flip(900), Harm::Flip(1000)];
pub(super) const LOSSES: [Harm; 6] =
    [Harm::Cut(0), Harm::Cut(500), Harm::CutByte, Harm::Remove, Harm::Zero, Harm::Swap];

impl Harm {
    /// What is there afterwards, if anything; `another` gives the bytes of another object.
    pub(super) fn applied(self, bytes: &[u8], another: impl FnOnce() -> Vec<u8>) -> Option<Vec<u8>> {
        let mut changed = bytes.to_vec();
        match self {
            Self::Flip(share) => changed[(bytes.len() - 1) * share / 1000] ^= 0x10,
            Self::Cut(share) => changed.truncate(bytes.len() * share / 1000),
            Self::CutByte => changed.truncate(bytes.len() - 1),
            Self::Remove => return None,
            Self::Zero => changed.fill(0),
            Self::Swap => return Some(another()),
        }
        Some(changed)
    }
}
