//! One regular file that is being written, at any offset and from several threads, holes left as holes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::model::{Hole, Node, NodeKind};

/// Where the bytes of a content lie in a file with holes.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// Runs of data: offset in the content, offset in the file, length.
    runs: Vec<(u64, u64, u64)>,
}

impl Layout {
    /// The layout of a file of this length with these holes, which are in order.
    #[must_use]
    pub fn new(size_bytes: u64, holes: &[Hole]) -> Self {
        let mut runs = Vec::with_capacity(holes.len() + 1);
        let (mut in_content, mut in_file) = (0, 0);
        for (start, end) in
            holes.iter().map(|hole| (hole.offset, hole.offset + hole.len_bytes)).chain([(size_bytes, size_bytes)])
        {
            let len = start.saturating_sub(in_file);
            if len > 0 {
                runs.push((in_content, in_file, len));
                in_content += len;
            }
            in_file = end;
        }
        Self { runs }
    }

    /// The pieces of the file that `len` bytes of content at `offset` fill: offset in the file, range of the bytes.
    pub fn pieces(&self, offset: u64, len: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>)> + '_ {
        let end = offset + len as u64;
        let first = self.runs.partition_point(|(start, _, run)| start + run <= offset);
        let runs = self.runs.iter().skip(first).take_while(move |(start, ..)| *start < end);
        runs.map(move |(start, in_file, run)| {
            let from = offset.max(*start);
            let to = end.min(start + run);
            let index = |position: u64| usize::try_from(position - offset).expect("within the bytes that were given");
            (in_file + (from - start), index(from)..index(to))
        })
    }
}

/// A file that is being written.
#[derive(Debug)]
pub struct FileTarget {
    file: File,
    layout: Layout,
}

impl FileTarget {
    /// Prepares an empty file for the content of a node: it gets its length, and everything is a hole.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn new(file: File, node: &Node) -> io::Result<Self> {
        file.set_len(node.metadata.size_bytes)?;
        let holes = match &node.kind {
            NodeKind::File { holes, .. } => holes.as_slice(),
            _ => &[],
        };
        Ok(Self { file, layout: Layout::new(node.metadata.size_bytes, holes) })
    }

    /// Writes bytes of the content where they belong.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.layout.pieces(offset, bytes.len()).try_for_each(|(position, range)| {
            self.file.write_all_at(bytes.get(range).expect("pieces lie within the bytes"), position)
        })
    }

    /// The file.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_spread_around_the_holes() {
        let holes =
            [Hole { offset: 0, len_bytes: 10 }, Hole { offset: 15, len_bytes: 5 }, Hole { offset: 28, len_bytes: 2 }];
        let layout = Layout::new(30, &holes);
        let pieces: Vec<_> = layout.pieces(0, 13).collect();
        assert_eq!(pieces, [(10, 0..5), (20, 5..13)]);
        let pieces: Vec<_> = layout.pieces(4, 3).collect();
        assert_eq!(pieces, [(14, 0..1), (20, 1..3)]);
        assert_eq!(Layout::new(7, &[]).pieces(2, 3).collect::<Vec<_>>(), [(2, 0..3)]);
    }
}
