//! Trees: the nodes of one directory, sorted by name, as a content of length-prefixed records.

use super::codec::{decode_node, encode_node};
use super::{ByteString, Content, Error, Node};
use super::{ContentBytes, ContentWriter};
use crate::limits::NODE_BYTES_MAX;
use crate::repo::{self, ChunkReader, Transaction};

const MAGIC: [u8; 8] = *b"larder/t";
/// The version of trees, and of the nodes in them.
const VERSION: u16 = 2;
const HEADER_BYTES: usize = 8 + 2;

/// Whether a tree has no nodes.
#[must_use]
pub const fn is_empty_tree(tree: &Content) -> bool {
    tree.len_bytes <= HEADER_BYTES as u64
}

/// Writes the nodes of a directory in the order of their names.
#[derive(Debug, Default)]
pub struct TreeWriter {
    content: ContentWriter,
    record: Vec<u8>,
    last_name: ByteString,
    started: bool,
}

impl TreeWriter {
    /// A writer of what is likely to have much in common with an older tree.
    #[must_use]
    pub fn against(previous: Option<&Content>) -> Self {
        Self { content: ContentWriter::against(previous), ..Self::default() }
    }

    /// Whether a name comes after the last one that was appended.
    #[must_use]
    pub fn follows(&self, name: &ByteString) -> bool {
        self.last_name < *name
    }

    /// Appends a node.
    ///
    /// # Errors
    /// Those of [`Transaction::store`].
    ///
    /// # Panics
    /// When the names are not in ascending order, or a node is longer than any node may be.
    pub fn push(&mut self, transaction: &mut Transaction<'_>, node: &Node) -> Result<(), repo::Error> {
        assert!(self.follows(&node.name), "nodes of a tree come in the order of their names");
        self.record.clear();
        self.record.extend_from_slice(&[0; 4]);
        encode_node(node, &mut self.record);
        let len = self.record.len() - 4;
        assert!(len <= NODE_BYTES_MAX, "the node of a directory entry is bounded");
        let prefix = u32::try_from(len).expect("bounded by NODE_BYTES_MAX").to_le_bytes();
        self.record.get_mut(..4).expect("reserved above").copy_from_slice(&prefix);
        self.start(transaction)?;
        self.content.write(transaction, &self.record)?;
        self.last_name.0.clone_from(&node.name.0);
        Ok(())
    }

    /// The tree of all nodes that were appended.
    ///
    /// # Errors
    /// Those of [`Transaction::store`].
    pub fn finish(mut self, transaction: &mut Transaction<'_>) -> Result<Content, repo::Error> {
        self.start(transaction)?;
        self.content.finish(transaction)
    }

    fn start(&mut self, transaction: &mut Transaction<'_>) -> Result<(), repo::Error> {
        if std::mem::replace(&mut self.started, true) {
            return Ok(());
        }
        self.content.write(transaction, &MAGIC)?;
        self.content.write(transaction, &VERSION.to_le_bytes())
    }
}

/// Reads the nodes of a directory in the order of their names.
#[derive(Debug)]
pub struct TreeReader {
    bytes: ContentBytes,
    record: Vec<u8>,
    last_name: ByteString,
    started: bool,
}

impl TreeReader {
    /// A reader at the first node.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn new(tree: Content) -> Result<Self, Error> {
        let bytes = ContentBytes::new(tree)?;
        Ok(Self { bytes, record: Vec::new(), last_name: ByteString::default(), started: false })
    }

    /// The next node, or `None` after the last.
    ///
    /// # Errors
    /// Those of [`ChunkReader::read`]; [`Error::Damaged`] when the tree is not one that an honest writer makes.
    pub fn next(&mut self, reader: &mut ChunkReader) -> Result<Option<Node>, Error> {
        if !std::mem::replace(&mut self.started, true) {
            self.read_header(reader)?;
        }
        let mut prefix = [0; 4];
        if !self.bytes.read(reader, &mut prefix)? {
            return Ok(None);
        }
        let len = u32::from_le_bytes(prefix) as usize;
        if len > NODE_BYTES_MAX {
            return Err(damaged("an entry is too long"));
        }
        self.record.resize(len, 0);
        if !self.bytes.read(reader, &mut self.record)? {
            return Err(damaged("it ends within an entry"));
        }
        let node = decode_node(&self.record)?;
        node.validate()?;
        if node.name <= self.last_name {
            return Err(damaged("its entries are not sorted by name"));
        }
        self.last_name.0.clone_from(&node.name.0);
        Ok(Some(node))
    }

    fn read_header(&mut self, reader: &mut ChunkReader) -> Result<(), Error> {
        let mut header = [0; HEADER_BYTES];
        let complete = self.bytes.read(reader, &mut header)?;
        let [magic @ .., low, high] = header;
        if !complete || magic != MAGIC {
            return Err(damaged("its magic is another"));
        }
        match u16::from_le_bytes([low, high]) {
            VERSION => Ok(()),
            found => Err(Error::UnknownVersion { what: "tree", found }),
        }
    }
}

fn damaged(why: &str) -> Error {
    Error::Damaged { what: "tree", why: why.to_owned() }
}
