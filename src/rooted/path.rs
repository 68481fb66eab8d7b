//! Paths below a root: bytes, names with slashes between them, and none for the root itself.

/// A path below a directory.
#[must_use]
pub fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

/// The directory part and the last name of a path.
#[must_use]
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (path.get(..slash).unwrap_or_default(), path.get(slash + 1..).unwrap_or_default()),
        None => (b"", path),
    }
}

/// How many bytes two paths begin with alike.
pub(super) fn common_len(one: &[u8], other: &[u8]) -> usize {
    const BLOCK: usize = 256;
    let same = one.chunks(BLOCK).zip(other.chunks(BLOCK)).take_while(|(one, other)| one == other);
    let whole: usize = same.map(|(block, _)| block.len()).sum();
    let [one, other] = [one, other].map(|path| path.get(whole..).unwrap_or_default());
    whole + one.iter().zip(other).take_while(|(one, other)| one == other).count()
}
