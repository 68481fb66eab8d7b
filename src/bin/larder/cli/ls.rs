//! `larder ls`: what is in a snapshot.

use clap::Args;
use larder::model::{Node, NodeKind, Snapshot, show_path};
use larder::pipeline::find::list;
use serde_json::{Value, json};

use super::Context;
use super::select::SelectArguments;
use crate::failure::Exit;
use crate::units::{file_time, size};

/// List what is in a snapshot, or in a directory of it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  larder ls latest\n  larder ls latest:config\n  larder ls --recursive latest:models"
)]
pub(super) struct LsArguments {
    /// The snapshot, and a path that begins with a component.
    #[arg(value_name = "NAME[:PATH]")]
    place: String,
    /// Everything below it too.
    #[arg(short, long)]
    recursive: bool,
    #[command(flatten)]
    select: SelectArguments,
}

impl LsArguments {
    pub(super) fn run(&self, context: &Context<'_>) -> anyhow::Result<Exit> {
        let repository = context.repository()?;
        let (snapshot, path) = self.select.snapshot_and_path(context, &repository, &self.place)?;
        let mut entries = Vec::new();
        list(&mut repository.reader()?, &snapshot, &path, self.recursive, &mut |path, node| {
            if context.output.is_json() {
                entries.push(node_json(path, node, &snapshot));
            } else {
                context.output.line(&line(path, node, &snapshot));
            }
            Ok(())
        })?;
        if context.output.is_json() {
            context.output.json(&Value::Array(entries));
        }
        Ok(Exit::Done)
    }
}

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

/// An entry as JSON.
pub(super) fn node_json(path: &[u8], node: &Node, snapshot: &Snapshot) -> Value {
    let target = match &node.kind {
        NodeKind::Symlink { target } => Some(show_path(target)),
        _ => None,
    };
    json!({
        "path": show_path(path),
        "type": kind_name(node),
        "mode": format!("{:04o}", node.metadata.mode),
        "uid": node.metadata.uid,
        "gid": node.metadata.gid,
        "user": node.metadata.user,
        "group": node.metadata.group,
        "size": node.metadata.size_bytes,
        "mtime": file_time(node.metadata.mtime, snapshot.time).rfc3339(),
        "target": target,
    })
}

const fn kind_name(node: &Node) -> &'static str {
    match node.kind {
        NodeKind::File { .. } => "file",
        NodeKind::Directory { .. } => "directory",
        NodeKind::Symlink { .. } => "symlink",
        NodeKind::Fifo => "fifo",
        NodeKind::Socket => "socket",
        NodeKind::CharDevice { .. } => "char_device",
        NodeKind::BlockDevice { .. } => "block_device",
    }
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
