//! The identities of stored things, made from BLAKE3 values of 32 bytes: one type for each kind of thing.
//!
//! A chunk is named by its plaintext, a pack and a segment by the bytes of their whole file. [`IdScheme`] is the only way to make a
//! [`ChunkId`] of plaintext: in an encrypted repository it will be keyed. What is no identity is a [`Digest`]. What the ids stand for is
//! not known here.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::str::FromStr;

use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde::ser::{SerializeTuple, Serializer};
use serde::{Deserialize, Serialize};

use crate::limits::{BASE_ID_BYTES, ID_BYTES};

/// A text that is not the 64 lower-case hexadecimal digits of an id or a digest.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' does not have the 64 lower-case hexadecimal digits of an id")]
pub struct ParseIdError(String);

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; ID_BYTES]);

        impl $name {
            /// The id with these bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; ID_BYTES]) -> Self {
                Self(bytes)
            }

            /// The bytes of the id.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; ID_BYTES] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_hex(text).map(Self).ok_or_else(|| ParseIdError(text.to_owned()))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    return serializer.collect_str(self);
                }
                let mut tuple = serializer.serialize_tuple(ID_BYTES)?;
                for byte in &self.0 {
                    tuple.serialize_element(byte)?;
                }
                tuple.end()
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = String::deserialize(deserializer)?;
                    return text.parse().map_err(D::Error::custom);
                }
                deserializer.deserialize_tuple(ID_BYTES, IdBytes).map(Self)
            }
        }
    };
}

id_type! {
    /// BLAKE3 of anything: a checksum, a fingerprint, the name of a file that is called by its content.
    Digest
}
id_type! {
    /// Names a chunk: made from its plaintext by an [`IdScheme`].
    ChunkId
}
id_type! {
    /// Names an index segment: BLAKE3 of the whole segment file.
    SegmentId
}
id_type! {
    /// Names a repository: random, made with it.
    RepositoryId
}

impl Digest {
    /// BLAKE3 of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl From<Digest> for SegmentId {
    fn from(digest: Digest) -> Self {
        Self(digest.0)
    }
}

/// What the blocks of a pack hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PackKind {
    /// The content of files and streams.
    Data,
    /// Trees and long chunk lists.
    Tree,
}

impl PackKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Data, Self::Tree];

    /// The number of the kind in the format.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Tree => 1,
        }
    }

    /// The kind with this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Data),
            1 => Some(Self::Tree),
            _ => None,
        }
    }
}

/// Names a pack: its kind, by which it lies in one folder or another, and BLAKE3 of the whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackId {
    kind: PackKind,
    digest: Digest,
}

impl PackId {
    /// The pack of this kind with this digest.
    #[must_use]
    pub const fn new(kind: PackKind, digest: Digest) -> Self {
        Self { kind, digest }
    }

    /// What its blocks hold.
    #[must_use]
    pub const fn kind(&self) -> PackKind {
        self.kind
    }

    /// BLAKE3 of the whole file.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

impl fmt::Display for PackId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.digest.fmt(formatter)
    }
}

impl RepositoryId {
    /// A new random name.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn random() -> std::io::Result<Self> {
        random_bytes().map(Self)
    }
}

/// 32 bytes that nobody knows and that never recur: a key, or the salt of an object.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn random_bytes() -> std::io::Result<[u8; ID_BYTES]> {
    let mut bytes = [0; ID_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Names a chunk that a block is encoded against: the first half of its id. Two chunks with the same one would only make
/// the reader try both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BaseId([u8; BASE_ID_BYTES]);

impl BaseId {
    /// The name with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; BASE_ID_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes of the name.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; BASE_ID_BYTES] {
        &self.0
    }
}

impl From<ChunkId> for BaseId {
    fn from(id: ChunkId) -> Self {
        Self(*id.0.first_chunk().expect("an id is longer"))
    }
}

/// How chunk ids are made from plaintext in one repository.
#[derive(Debug, Clone, Copy, Default)]
pub struct IdScheme(());

impl IdScheme {
    /// Plain BLAKE3, the scheme of an unencrypted repository.
    #[must_use]
    pub const fn plain() -> Self {
        Self(())
    }

    /// The id of a chunk with this plaintext.
    #[must_use]
    pub fn chunk_id(self, plaintext: &[u8]) -> ChunkId {
        ChunkId(Digest::of(plaintext).0)
    }
}

/// Computes the digest of a file while its bytes pass by.
#[derive(Debug, Clone, Default)]
pub struct FileHasher(blake3::Hasher);

impl FileHasher {
    /// A hasher that has seen no bytes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next bytes of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Bytes that were added.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.0.count()
    }

    /// BLAKE3 of everything that was added.
    #[must_use]
    pub fn finish(&self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}

/// The first eight bytes of BLAKE3: the checksum of small headers and payloads whose file has a full hash besides.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u64 {
    let hash = blake3::hash(bytes);
    let first = hash.as_bytes().first_chunk().expect("a hash has 32 bytes");
    u64::from_le_bytes(*first)
}

/// A secret of 32 bytes that only the holder of `secret` can derive for `purpose` and `subject`.
#[must_use]
pub fn derive_secret(purpose: &str, secret: &[u8; ID_BYTES], subject: &[u8]) -> [u8; ID_BYTES] {
    let key = blake3::derive_key(purpose, secret);
    *blake3::keyed_hash(&key, subject).as_bytes()
}

/// Fills `target` with a stream of bytes that depends on `key` alone (BLAKE3 in extendable-output mode).
pub fn expand_key(key: &[u8; ID_BYTES], target: &mut [u8]) {
    blake3::Hasher::new_keyed(key).finalize_xof().fill(target);
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    push_hex(&mut text, bytes);
    text
}

/// Appends bytes as lower-case hexadecimal digits.
pub fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
    text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
}

fn parse_hex(text: &str) -> Option<[u8; ID_BYTES]> {
    let digits = text.as_bytes();
    if digits.len() != ID_BYTES * 2 {
        return None;
    }
    let mut bytes = [0; ID_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = hex_digit(*high)? << 4 | hex_digit(*low)?;
    }
    Some(bytes)
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

struct IdBytes;

impl<'de> Visitor<'de> for IdBytes {
    type Value = [u8; ID_BYTES];

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an id of 32 bytes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut bytes = [0; ID_BYTES];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = sequence.next_element()?.ok_or_else(|| A::Error::invalid_length(index, &self))?;
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_rejects_other_text() {
        let digest = Digest::of(b"larder");
        assert_eq!(digest.to_string().parse::<Digest>().expect("own text"), digest);
        for text in ["", "00", &digest.to_string().to_uppercase(), &format!("{digest}0")] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }

    #[test]
    fn chunk_id_is_plain_blake3() {
        let id = IdScheme::plain().chunk_id(b"abc");
        assert_eq!(id.to_string(), "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
    }
}
