//! An entry of a snapshot in one line.

use larder::model::{Node, NodeKind, Snapshot, show_path};

use crate::units::{file_time, size};

/// An entry in one line, like `ls -l`.
pub(super) fn line(path: &[u8], node: &Node, snapshot: &Snapshot) -> String {
    let name_or_number = |name: &str, number: u32| if name.is_empty() { number.to_string() } else { name.to_owned() };
    let owner = format!(
        "{}:{}",
        name_or_number(&node.metadata.user, node.metadata.uid),
        name_or_number(&node.metadata.group, node.metadata.gid)
    );
    let arrow = match &node.kind {
        NodeKind::Symlink { target } => format!(" -> {}", show_path(target)),
        _ => String::new(),
    };
    let time = file_time(node.metadata.mtime, snapshot.time).to_text();
    let bytes = size(node.metadata.size_bytes);
    format!(
        "{}{} {owner:<17} {bytes:>10}  {time}  {}{arrow}",
        node.kind_letter(),
        permissions(node.metadata.mode),
        show_path(path)
    )
}

fn permissions(mode: u32) -> String {
    let letter = |bit: u32, letter: char| if mode & bit == 0 { '-' } else { letter };
    let special = |bit: u32, execute: u32, set: char, plain: char| match (mode & bit != 0, mode & execute != 0) {
        (true, true) => set,
        (true, false) => set.to_ascii_uppercase(),
        (false, true) => plain,
        (false, false) => '-',
    };
    [
        letter(0o400, 'r'),
        letter(0o200, 'w'),
        special(0o4000, 0o100, 's', 'x'),
        letter(0o040, 'r'),
        letter(0o020, 'w'),
        special(0o2000, 0o010, 's', 'x'),
        letter(0o004, 'r'),
        letter(0o002, 'w'),
        special(0o1000, 0o001, 't', 'x'),
    ]
    .iter()
    .collect()
}
