//! Nodes and manifests as bytes: bincode 2 in its `standard()` configuration, bounded, trailing bytes refused.
//!
//! The only file that names bincode. `docs/format.md` writes the encoding down, and the golden bytes in the tests hold
//! it there, because the crate is no longer maintained.

use bincode::config::{Configuration, Limit, LittleEndian, Varint, standard};
use bincode::error::DecodeError;
use bincode::serde::{decode_from_slice, encode_into_std_write};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Error, Node, NodeKind, Snapshot};
use crate::id::Digest;
use crate::limits::{ID_BYTES, MANIFEST_BYTES_MAX, NODE_BYTES_MAX};

const MANIFEST_MAGIC: [u8; 8] = *b"larder/m";
/// The version of manifests, and of the nodes in them. When a record gets another one, its former fields stay here as a type of their own,
/// which is read and turned into the new one: a version that was ever written is read for ever.
const MANIFEST_VERSION: u16 = 2;
const MANIFEST_HEADER_BYTES: usize = 8 + 2;

type Bounded<const LIMIT: usize> = Configuration<LittleEndian, Varint, Limit<LIMIT>>;

const fn bounded<const LIMIT: usize>() -> Bounded<LIMIT> {
    standard().with_limit::<LIMIT>()
}

fn encode<T: Serialize>(value: &T, target: &mut Vec<u8>) {
    encode_into_std_write(value, target, standard()).expect("encoding plain data into memory cannot fail");
}

fn decode<T: DeserializeOwned, const LIMIT: usize>(bytes: &[u8], what: &'static str) -> Result<T, Error> {
    let decoded = decode_from_slice::<T, _>(bytes, bounded::<LIMIT>());
    let (value, used) = decoded.map_err(|error| Error::Damaged { what, why: reason(error) })?;
    if used != bytes.len() {
        return Err(Error::Damaged { what, why: format!("{} bytes follow it", bytes.len() - used) });
    }
    Ok(value)
}

fn reason(error: DecodeError) -> String {
    match error {
        DecodeError::OtherString(why) => why,
        DecodeError::UnexpectedEnd { .. } => "it ends too early".to_owned(),
        DecodeError::LimitExceeded => "it says that it is longer than such a thing may be".to_owned(),
        _ => "it has values that nothing of the kind has".to_owned(),
    }
}

/// Appends the bytes of a node.
pub(super) fn encode_node(node: &Node, target: &mut Vec<u8>) {
    encode(node, target);
}

/// Appends the bytes of what a node is.
pub(super) fn encode_kind(kind: &NodeKind, target: &mut Vec<u8>) {
    encode(kind, target);
}

/// The node with exactly these bytes.
pub(super) fn decode_node(bytes: &[u8]) -> Result<Node, Error> {
    decode::<Node, NODE_BYTES_MAX>(bytes, "tree")
}

/// The object that a manifest is stored as: magic, version, body, BLAKE3 of all of it.
#[must_use]
pub fn encode_snapshot(snapshot: &Snapshot) -> Vec<u8> {
    let mut bytes = MANIFEST_MAGIC.to_vec();
    bytes.extend_from_slice(&MANIFEST_VERSION.to_le_bytes());
    encode(snapshot, &mut bytes);
    let sum = Digest::of(&bytes);
    bytes.extend_from_slice(sum.as_bytes());
    bytes
}

/// The manifest that an object holds.
///
/// # Errors
/// [`Error::Damaged`], [`Error::UnknownVersion`].
pub fn decode_snapshot(bytes: &[u8]) -> Result<Snapshot, Error> {
    let damaged = |why: &str| Error::Damaged { what: "manifest", why: why.to_owned() };
    let (covered, sum) = bytes.split_last_chunk::<ID_BYTES>().ok_or_else(|| damaged("it is too short"))?;
    let (header, body) =
        covered.split_first_chunk::<MANIFEST_HEADER_BYTES>().ok_or_else(|| damaged("it is too short"))?;
    let (magic, version) = header.split_at(MANIFEST_MAGIC.len());
    if magic != MANIFEST_MAGIC {
        return Err(damaged("its magic is another"));
    }
    if Digest::of(covered).as_bytes() != sum {
        return Err(damaged("it does not match its checksum"));
    }
    if version != MANIFEST_VERSION.to_le_bytes() {
        let found = version.first_chunk().map_or(0, |version| u16::from_le_bytes(*version));
        return Err(Error::UnknownVersion { what: "manifest", found });
    }
    let snapshot = decode::<Snapshot, MANIFEST_BYTES_MAX>(body, "manifest")?;
    snapshot.validate()?;
    Ok(snapshot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::ChunkRef;
    use crate::id::IdScheme;
    use crate::model::{ByteString, Content, ExtraFields, FileTime, Metadata};

    fn node() -> Node {
        let content = Content {
            len_bytes: 300,
            depth: 0,
            chunks: vec![ChunkRef { id: IdScheme::plain().chunk_id(b"x"), len_bytes: 300 }],
        };
        let metadata = Metadata {
            mode: 0o644,
            uid: 1000,
            gid: 70_000,
            user: "u".to_owned(),
            group: String::new(),
            mtime: FileTime { secs: -1, nanos: 5 },
            ctime: FileTime { secs: 2, nanos: 0 },
            size_bytes: 300,
            inode: 9,
            device: 1,
            links: 1,
            xattrs: Vec::new(),
            changed: false,
        };
        Node::new(ByteString(b"caf\xe9".to_vec()), metadata, NodeKind::File { content, holes: Vec::new() })
    }

    #[test]
    fn golden_bytes_of_a_node() {
        let mut bytes = Vec::new();
        encode_node(&node(), &mut bytes);
        let hex = crate::id::hex(&bytes);
        // name, mode, uid, gid, user, group, mtime (zigzag), ctime, size, inode, device, links, xattrs, changed, kind;
        // then content, holes and extra fields
        let head = "04636166e9fba401fbe803fc7011010001750001050400fb2c01090101000000";
        let content = format!("fb2c010001{}fb2c01", IdScheme::plain().chunk_id(b"x"));
        assert_eq!(hex, format!("{head}{content}0000"));
        assert_eq!(decode_node(&bytes).expect("own bytes"), node());
    }

    /// A newer program may add a field: it stays, and nobody is kept from reading the rest.
    #[test]
    fn extra_fields_come_back_as_they_were() {
        let extra = ExtraFields::new(vec![(300, ByteString(b"later".to_vec())), (2, ByteString::default())]);
        let newer = Node { extra, ..node() };
        let mut bytes = Vec::new();
        encode_node(&newer, &mut bytes);
        assert!(crate::id::hex(&bytes).ends_with("000202 00fb2c01056c61746572".replace(' ', "").as_str()));
        assert_eq!(decode_node(&bytes).expect("own bytes"), newer);
        newer.validate().expect("they may be ignored");
        let critical = Node { extra: ExtraFields::new(vec![(3, ByteString::default())]), ..node() };
        let refused = critical.validate().expect_err("it must not be ignored").to_string();
        assert_eq!(refused, "the tree has a field 3 that this program does not know and must not ignore");
    }

    #[test]
    fn short_and_long_bytes_are_refused() {
        let mut bytes = Vec::new();
        encode_node(&node(), &mut bytes);
        for len in 0..bytes.len() {
            assert!(decode_node(&bytes[..len]).is_err(), "{len} bytes");
        }
        bytes.push(0);
        assert!(decode_node(&bytes).is_err());
    }

    #[test]
    fn a_length_that_is_not_there_allocates_nothing() {
        let mut bytes = vec![0xfd];
        bytes.extend_from_slice(&u64::MAX.to_le_bytes());
        assert!(decode_node(&bytes).is_err());
    }
}
