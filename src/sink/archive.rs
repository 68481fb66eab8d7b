//! A tar archive, written as GNU tar and Go read it: ustar headers, and PAX records where those are too small.
//!
//! The same nodes give the same bytes. There are no times but those of the content, and no process number.

use std::io::{self, Read, Write};

use tar::{EntryType, Header};

use crate::model::{FileTime, Hole, Node, NodeKind};

const BLOCK_BYTES: u64 = 512;
const NAME_BYTES_MAX: usize = 100;
const OWNER_NAME_BYTES_MAX: usize = 31;
/// The largest number in seven and in eleven octal digits.
const OCTAL_7_MAX: u64 = 0o777_7777;
const OCTAL_11_MAX: u64 = 0o777_7777_7777;
const COPY_BUFFER_BYTES: usize = 128 << 10;

/// How the holes of sparse files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holes {
    /// As a map of what is between them (GNU.sparse 1.0).
    Mapped,
    /// As zeros.
    Filled,
}

/// Writes a tar archive.
#[derive(Debug)]
pub struct TarWriter<W> {
    target: W,
    holes: Holes,
}

/// PAX records, each preceded by its length.
#[derive(Debug, Default)]
struct Records {
    bytes: Vec<u8>,
}

impl Records {
    fn push(&mut self, key: &str, value: &[u8]) {
        let rest_len = key.len() + value.len() + 3;
        // The length counts its own digits.
        let mut len = rest_len + 1;
        while rest_len + len.to_string().len() != len {
            len = rest_len + len.to_string().len();
        }
        self.bytes.extend_from_slice(format!("{len} {key}=").as_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.push(b'\n');
    }
}

impl<W: Write> TarWriter<W> {
    /// A writer of an archive that has nothing in it yet.
    pub const fn new(target: W, holes: Holes) -> Self {
        Self { target, holes }
    }

    /// Appends an entry. `data` gives the content of a file without its holes. A socket cannot be in an archive: it is
    /// left out, and `false` says so.
    ///
    /// # Errors
    /// Those of `data` and of the target; `UnexpectedEof` when there is less data than the node says.
    pub fn append(&mut self, path: &[u8], node: &Node, data: &mut dyn Read) -> io::Result<bool> {
        let (entry_type, target, device) = match &node.kind {
            NodeKind::Socket => return Ok(false),
            NodeKind::File { holes, .. } => return self.file(path, node, holes, data).map(|()| true),
            NodeKind::Directory { .. } => (EntryType::Directory, &b""[..], None),
            NodeKind::Symlink { target } => (EntryType::Symlink, &target.0[..], None),
            NodeKind::Fifo => (EntryType::Fifo, &b""[..], None),
            NodeKind::CharDevice { number } => (EntryType::Char, &b""[..], Some(*number)),
            NodeKind::BlockDevice { number } => (EntryType::Block, &b""[..], Some(*number)),
        };
        let path = if node.is_directory() { [path, b"/"].concat() } else { path.to_vec() };
        let mut header = Header::new_ustar();
        header.set_entry_type(entry_type);
        if let Some(number) = device {
            header.set_device_major(rustix::fs::major(number))?;
            header.set_device_minor(rustix::fs::minor(number))?;
        }
        self.header(&mut header, &path, target, node, 0, &Records::default())?;
        Ok(true)
    }

    /// Appends another name of a file that was appended as `first`.
    ///
    /// # Errors
    /// Those of the target.
    pub fn append_link(&mut self, path: &[u8], node: &Node, first: &[u8]) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Link);
        self.header(&mut header, path, first, node, 0, &Records::default())
    }

    /// Appends the end mark and gives the target back.
    ///
    /// # Errors
    /// Those of the target.
    pub fn finish(mut self) -> io::Result<W> {
        self.zeros(2 * BLOCK_BYTES)?;
        Ok(self.target)
    }

    fn file(&mut self, path: &[u8], node: &Node, holes: &[Hole], data: &mut dyn Read) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        if holes.is_empty() || self.holes == Holes::Filled {
            self.header(&mut header, path, b"", node, node.metadata.size_bytes, &Records::default())?;
            let mut position = 0;
            for hole in holes.iter().copied().chain([Hole { offset: node.metadata.size_bytes, len_bytes: 0 }]) {
                self.copy(data, hole.offset - position)?;
                self.zeros(hole.len_bytes)?;
                position = hole.offset + hole.len_bytes;
            }
            return self.pad(node.metadata.size_bytes);
        }
        let (map, data_bytes) = sparse_map(node.metadata.size_bytes, holes);
        let mut sparse = Records::default();
        sparse.push("GNU.sparse.major", b"1");
        sparse.push("GNU.sparse.minor", b"0");
        sparse.push("GNU.sparse.name", path);
        sparse.push("GNU.sparse.realsize", node.metadata.size_bytes.to_string().as_bytes());
        let stored_bytes = map.len() as u64 + data_bytes;
        self.header(&mut header, &sparse_path(path), b"", node, stored_bytes, &sparse)?;
        self.target.write_all(&map)?;
        self.copy(data, data_bytes)?;
        self.pad(stored_bytes)
    }

    /// Writes the header of an entry, and before it the records that it has no room for. Those of a sparse file come
    /// after the path and the size, which Python's reader takes from the last that it meets.
    fn header(
        &mut self,
        header: &mut Header,
        path: &[u8],
        link: &[u8],
        node: &Node,
        size_bytes: u64,
        sparse: &Records,
    ) -> io::Result<()> {
        let mut records = Records::default();
        set_text(&mut header.as_old_mut().name, path, "path", &mut records);
        set_text(&mut header.as_old_mut().linkname, link, "linkpath", &mut records);
        header.set_size(bounded(size_bytes, OCTAL_11_MAX, "size", &mut records));
        records.bytes.extend_from_slice(&sparse.bytes);
        header.set_uid(bounded(node.metadata.uid.into(), OCTAL_7_MAX, "uid", &mut records));
        header.set_gid(bounded(node.metadata.gid.into(), OCTAL_7_MAX, "gid", &mut records));
        header.set_mode(node.metadata.mode);
        let secs = u64::try_from(node.metadata.mtime.secs).ok().filter(|secs| *secs <= OCTAL_11_MAX);
        if secs.is_none() || node.metadata.mtime.nanos != 0 {
            records.push("mtime", decimal(node.metadata.mtime).as_bytes());
        }
        header.set_mtime(secs.unwrap_or(0));
        for (name, key, is_user) in [(&node.metadata.user, "uname", true), (&node.metadata.group, "gname", false)] {
            let fits = name.is_ascii() && name.len() <= OWNER_NAME_BYTES_MAX;
            let short = if fits { name.as_str() } else { "" };
            if is_user {
                header.set_username(short)?;
            } else {
                header.set_groupname(short)?;
            }
            if !fits {
                records.push(key, name.as_bytes());
            }
        }
        // Another name of a file has what the first one has.
        if header.entry_type() != EntryType::Link {
            for xattr in &node.metadata.xattrs {
                records.push(&format!("SCHILY.xattr.{}", xattr.name.to_text()), &xattr.value);
            }
        }
        header.set_cksum();
        if !records.bytes.is_empty() {
            self.records(&records)?;
        }
        self.target.write_all(header.as_bytes())
    }

    fn records(&mut self, records: &Records) -> io::Result<()> {
        let mut header = Header::new_ustar();
        let len = records.bytes.len() as u64;
        set_text(&mut header.as_old_mut().name, b"././@PaxHeader", "", &mut Records::default());
        header.set_entry_type(EntryType::XHeader);
        header.set_size(len);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        self.target.write_all(header.as_bytes())?;
        self.target.write_all(&records.bytes)?;
        self.pad(len)
    }

    fn copy(&mut self, data: &mut dyn Read, len: u64) -> io::Result<()> {
        let mut buffer = vec![0; COPY_BUFFER_BYTES.min(usize::try_from(len).unwrap_or(COPY_BUFFER_BYTES))];
        let mut left = len;
        while left > 0 {
            let len = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let part = buffer.get_mut(..len).expect("bounded by its own length");
            data.read_exact(part)?;
            self.target.write_all(part)?;
            left -= len as u64;
        }
        Ok(())
    }

    fn zeros(&mut self, len: u64) -> io::Result<()> {
        io::copy(&mut io::repeat(0).take(len), &mut self.target).map(drop)
    }

    fn pad(&mut self, len: u64) -> io::Result<()> {
        self.zeros(len.next_multiple_of(BLOCK_BYTES) - len)
    }
}

/// Puts a text into a field, and into a record where it does not fit or is not plain.
fn set_text(field: &mut [u8; NAME_BYTES_MAX], text: &[u8], key: &str, records: &mut Records) {
    if text.len() > NAME_BYTES_MAX || !text.is_ascii() {
        records.push(key, text);
    }
    for (byte, char) in field.iter_mut().zip(text) {
        *byte = if char.is_ascii() { *char } else { b'_' };
    }
}

/// A number for a field; 0 there and a record where it is too large.
fn bounded(value: u64, max: u64, key: &str, records: &mut Records) -> u64 {
    if value <= max {
        return value;
    }
    records.push(key, value.to_string().as_bytes());
    0
}

fn decimal(time: FileTime) -> String {
    let total = i128::from(time.secs) * 1_000_000_000 + i128::from(time.nanos);
    let (sign, total) = if total < 0 { ("-", -total) } else { ("", total) };
    let text = format!("{sign}{}.{:09}", total / 1_000_000_000, total % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The map of what is between the holes, filled up to a whole block, and how many bytes that is.
fn sparse_map(size_bytes: u64, holes: &[Hole]) -> (Vec<u8>, u64) {
    let mut runs = Vec::new();
    let mut position = 0;
    for hole in holes {
        if hole.offset > position {
            runs.push((position, hole.offset - position));
        }
        position = hole.offset + hole.len_bytes;
    }
    // The last run says how long the file is, even when it is empty.
    runs.push((position, size_bytes - position));
    let numbers = runs.iter().flat_map(|(offset, len)| [*offset, *len]);
    let lines = std::iter::once(runs.len() as u64).chain(numbers).map(|number| format!("{number}\n"));
    let mut map = lines.collect::<String>().into_bytes();
    map.resize(map.len().next_multiple_of(512), 0);
    (map, runs.iter().map(|(_, len)| len).sum())
}

/// Where readers that know no sparse files put what they find.
fn sparse_path(path: &[u8]) -> Vec<u8> {
    let (folder, name) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => path.split_at(slash + 1),
        None => (&b""[..], path),
    };
    [folder, b"GNUSparseFile.0/", name].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ByteString, Content, Metadata, Xattr};

    fn node() -> Node {
        let metadata = Metadata {
            mode: 0o640,
            uid: 3_000_000,
            gid: 6,
            user: "u".to_owned(),
            mtime: FileTime { secs: -2, nanos: 750_000_000 },
            size_bytes: 3,
            inode: 9,
            device: 1,
            links: 1,
            xattrs: vec![Xattr { name: ByteString(b"user.x".to_vec()), value: ByteString(b"1\n\0".to_vec()) }],
            ..Metadata::default()
        };
        Node::new(
            ByteString(b"a".to_vec()),
            metadata,
            NodeKind::File { content: Content::default(), holes: Vec::new() },
        )
    }

    #[test]
    fn a_record_counts_its_own_length() {
        let mut records = Records::default();
        records.push("a", b"b");
        records.push("path", &[b'x'; 91]);
        let text = String::from_utf8_lossy(&records.bytes);
        assert!(text.starts_with("6 a=b\n101 path=xxx"), "{text}");
        assert_eq!(records.bytes.len(), 6 + 101);
    }

    #[test]
    fn times_before_1970_count_downwards() {
        assert_eq!(decimal(FileTime { secs: -2, nanos: 750_000_000 }), "-1.25");
        assert_eq!(decimal(FileTime { secs: 5, nanos: 1 }), "5.000000001");
        assert_eq!(decimal(FileTime { secs: 50, nanos: 0 }), "50");
    }

    #[test]
    fn golden_bytes_of_an_entry() {
        let mut writer = TarWriter::new(Vec::new(), Holes::Mapped);
        writer.append(b"./a", &node(), &mut &b"abc"[..]).expect("written");
        let bytes = writer.finish().expect("finished");
        assert_eq!(bytes.len(), 512 * 6);
        let records = "15 uid=3000000\n15 mtime=-1.25\n27 SCHILY.xattr.user.x=1\n\0\n";
        assert_eq!(&bytes[512..512 + records.len()], records.as_bytes());
        assert_eq!(&bytes[1024..1027], b"./a");
        assert_eq!(&bytes[1536..1540], b"abc\0");
        let sum = crate::id::Digest::of(&bytes).to_string();
        assert_eq!(&sum[..16], "713c952be3e8eefe", "{sum}");
    }

    #[test]
    fn missing_data_is_an_error() {
        let mut writer = TarWriter::new(Vec::new(), Holes::Mapped);
        assert!(writer.append(b"./a", &node(), &mut &b"ab"[..]).is_err());
    }

    #[test]
    fn the_map_of_a_sparse_file_names_what_is_between_the_holes() {
        let holes = [Hole { offset: 0, len_bytes: 10 }, Hole { offset: 15, len_bytes: 5 }];
        let (map, data_bytes) = sparse_map(20, &holes);
        assert!(map.starts_with(b"2\n10\n5\n20\n0\n\0") && map.len() == 512);
        assert_eq!(data_bytes, 5);
        assert_eq!(sparse_path(b"./d/f"), b"./d/GNUSparseFile.0/f");
    }
}
