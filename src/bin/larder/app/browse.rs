//! What snapshots have in them: entries, bytes, differences.

use std::collections::BTreeMap;
use std::io::Write;

use larder::model::{Difference, Node, NodeKind, Snapshot, resolve};
use larder::pipeline::find::{Pattern, compare, find as find_entries, list};
use larder::pipeline::{Error, RowChanges, compare_rows, lookup, write_archive, write_content, write_dump};

use super::context::Context;
use super::selection::{Select, warn_of_unreadable};
use crate::error::UsageError;
use crate::exit::Exit;

/// Called for each entry that was found, with its snapshot and path.
type EachEntry<'e> = &'e mut dyn FnMut(&Snapshot, &[u8], &Node) -> Result<(), Error>;

/// What is looked for.
pub(crate) struct Wanted<'w> {
    pub(crate) pattern: &'w str,
    pub(crate) ignores_case: bool,
    /// The snapshot that is looked through; `None` for all.
    pub(crate) snapshot: Option<&'w str>,
}

/// What changed between two snapshots, beside the differences that were shown one by one.
pub(crate) struct Comparison {
    pub(crate) old: Snapshot,
    pub(crate) new: Snapshot,
    /// Tables whose number of rows differs.
    pub(crate) tables: Vec<TableCount>,
    pub(crate) rows: Vec<RowChanges>,
}

/// A table, and how many rows each of two snapshots has of it; `None` where it has no such table.
pub(crate) struct TableCount {
    pub(crate) table: String,
    pub(crate) old_rows: Option<u64>,
    pub(crate) new_rows: Option<u64>,
}

/// Lists what is at a place, `NAME` or `NAME:PATH`.
pub(crate) fn ls(
    context: &Context<'_>,
    select: &Select,
    (place, recursive): (&str, bool),
    each: EachEntry<'_>,
) -> anyhow::Result<()> {
    let repository = context.repository()?;
    let (snapshot, path) = select.snapshot_and_path(context, &repository, place)?;
    let mut each = |path: &[u8], node: &Node| each(&snapshot, path, node);
    Ok(list(&mut repository.reader()?, &snapshot, &path, recursive, &mut each)?)
}

/// Finds entries in one snapshot, or in all.
pub(crate) fn find(
    context: &Context<'_>,
    select: &Select,
    wanted: &Wanted<'_>,
    each: EachEntry<'_>,
) -> anyhow::Result<Exit> {
    let repository = context.repository()?;
    let (snapshots, exit) = if let Some(name) = wanted.snapshot {
        (vec![select.snapshot(context, &repository, name)?], Exit::Done)
    } else {
        let found = lookup::snapshots(&repository)?;
        let exit = if warn_of_unreadable(context, &found) { Exit::Damage } else { Exit::Done };
        let selection = select.selection(context, &repository);
        (found.snapshots.into_iter().filter(|snapshot| selection.has(snapshot)).collect(), exit)
    };
    let pattern = Pattern { text: wanted.pattern, ignores_case: wanted.ignores_case };
    find_entries(&repository, &snapshots, pattern, &context.monitor, each)?;
    Ok(exit)
}

/// Compares two snapshots.
pub(crate) fn diff(
    context: &Context<'_>,
    select: &Select,
    [old, new]: [&str; 2],
    each: &mut dyn FnMut(Difference<'_>) -> Result<(), Error>,
) -> anyhow::Result<Comparison> {
    let repository = context.repository()?;
    let old = select.snapshot(context, &repository, old)?;
    let new = select.snapshot(context, &repository, new)?;
    compare(&mut repository.reader()?, &old, &new, each)?;
    let tables = tables(&old, &new);
    let rows = compare_rows(&repository, &old, &new, &context.monitor)?;
    Ok(Comparison { old, new, tables, rows })
}

/// Writes a file of a snapshot, a directory as an archive, or a database as one plain dump. Gives the number of sockets that were
/// left out of an archive, which has none.
pub(crate) fn cat(context: &Context<'_>, select: &Select, place: &str, target: &mut dyn Write) -> anyhow::Result<u64> {
    let repository = context.repository()?;
    let (snapshot, path) = select.snapshot_and_path(context, &repository, place)?;
    if path.split().is_none() {
        return Err(UsageError::with_advice("cat needs the path of a file", "NAME:COMPONENT/PATH").into());
    }
    let mut reader = repository.reader()?;
    let database = path.split().filter(|(_, rest)| rest.is_empty());
    let database = database.and_then(|(name, _)| snapshot.component(&String::from_utf8_lossy(name)));
    if let Some(component) = database.filter(|component| component.database.is_some()) {
        write_dump(&mut reader, component, target)?;
        return Ok(0);
    }
    let node = resolve(&mut reader, &snapshot, &path).map_err(Error::from)?;
    if matches!(node.kind, NodeKind::Directory { .. }) {
        return Ok(write_archive(&repository, &node, target, &context.monitor)?);
    }
    write_content(&mut reader, &node, target)?;
    Ok(0)
}

fn tables(old: &Snapshot, new: &Snapshot) -> Vec<TableCount> {
    let rows = |snapshot: &Snapshot| {
        let facts = snapshot.components.iter().filter_map(|component| component.database.as_ref());
        let tables = facts.flat_map(|facts| &facts.tables).map(|table| (table.table.clone(), table.rows));
        tables.collect::<BTreeMap<_, _>>()
    };
    let (old, new) = (rows(old), rows(new));
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let row = |name: &String| TableCount {
        table: name.clone(),
        old_rows: old.get(name).copied(),
        new_rows: new.get(name).copied(),
    };
    names.into_iter().map(row).filter(|count| count.old_rows != count.new_rows).collect()
}
