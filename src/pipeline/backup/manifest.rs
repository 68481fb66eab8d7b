//! The manifest of a run, which is written only when a reader would take it, and is read back when it stands.

use super::options::BackupOptions;
use super::origin::ComponentSource;
use crate::clock::LocalTime;
use crate::limits::MANIFEST_BYTES_MAX;
use crate::model::{self, Component, Snapshot, SnapshotKind, Status, decode_snapshot, encode_snapshot};
use crate::pipeline::{Error, lookup};
use crate::repo::{Repository, Reservation};

/// Messages of a component that failed because there was too much to say of it.
const MESSAGES_KEPT: usize = 20;
/// Longest message of those, in bytes.
const MESSAGE_BYTES_KEPT: usize = 1_000;

/// The manifest of a run that begins.
///
/// # Errors
/// [`Error::Refused`] when the name is none that a snapshot may have.
pub(super) fn begin(
    reservation: &Reservation,
    time: LocalTime,
    sources: &[ComponentSource],
    options: &BackupOptions,
) -> Result<Snapshot, Error> {
    let name = reservation.name().parse().map_err(|error| Error::Refused(format!("{error}")))?;
    let mut snapshot = Snapshot::new(name, time, options.kind);
    snapshot.system.clone_from(&options.system);
    snapshot.host.clone_from(&options.host);
    if let Some(machine) = &options.machine {
        snapshot.set_machine(machine);
    }
    snapshot.program.clone_from(&options.program);
    snapshot.tags.clone_from(&options.tags);
    snapshot.imported.clone_from(&options.imported);
    snapshot.dropped.clone_from(&options.dropped);
    if let (SnapshotKind::Stream, Some(stream)) = (options.kind, sources.first()) {
        snapshot.series = format!("{} {}", options.kind.series(), stream.name);
    }
    Ok(snapshot)
}

/// The bytes of a manifest that readers take. Components of which there is more to say than a manifest may hold fail, the
/// largest first, and the rest stands.
pub(super) fn encode(snapshot: &mut Snapshot) -> Vec<u8> {
    loop {
        let status = if snapshot.components.iter().all(|component| component.errors.is_empty()) {
            Status::Complete
        } else {
            Status::Partial
        };
        snapshot.status = status;
        let bytes = encode_snapshot(snapshot);
        let refused = match decode_snapshot(&bytes) {
            Ok(_) if bytes.len() <= MANIFEST_BYTES_MAX => return bytes,
            Ok(_) => format!("{} bytes in all, more than {MANIFEST_BYTES_MAX}", bytes.len()),
            Err(error) => error.to_string(),
        };
        let largest = snapshot
            .components
            .iter_mut()
            .filter(|component| component.root.is_some())
            .max_by_key(|component| size(component));
        // Without any, what is left is names and counts.
        let Some(largest) = largest else { return bytes };
        give_up(largest, &refused);
    }
}

/// Reads the manifest as everybody will.
///
/// # Errors
/// [`Error::Manifest`] when that gives anything else than was written.
pub(super) fn read_back(repository: &Repository, written: &Snapshot) -> Result<(), Error> {
    let name = written.name.to_string();
    let found = lookup::read(repository, &name);
    let differs = || model::Error::Damaged { what: "manifest", why: "it is not what was written".to_owned() };
    match found {
        Ok(found) if found == *written => Ok(()),
        Ok(_) => Err(Error::Manifest { name, source: differs() }),
        Err(source) => Err(Error::Manifest { name, source }),
    }
}

/// About how much there is to say of a component, in bytes.
fn size(component: &Component) -> usize {
    let database = component.database.as_ref().map_or(0, |facts| {
        let tables: usize = facts.tables.iter().map(|rows| rows.table.len() + 32).sum();
        let settings = facts.properties.settings.iter();
        tables + settings.map(|setting| setting.setting.name.len() + setting.setting.value.len() + 64).sum::<usize>()
    });
    let volume = component.volume.as_ref().map_or(0, |facts| {
        let texts = facts.options.iter().chain(&facts.labels);
        texts.map(|(name, value)| name.len() + value.len()).sum::<usize>()
            + facts.containers.iter().map(String::len).sum::<usize>()
    });
    let messages = component.errors.messages.iter().chain(&component.notes.messages).map(String::len).sum::<usize>();
    database + volume + messages + component.source.len()
}

fn give_up(component: &mut Component, refused: &str) {
    let why = format!("there is more to say of it than a manifest may hold ({refused}), so that it was not saved");
    component.root = None;
    component.database = None;
    component.volume = None;
    for problems in [&mut component.errors, &mut component.notes] {
        problems.messages.truncate(MESSAGES_KEPT);
        for message in &mut problems.messages {
            let end = (0..=MESSAGE_BYTES_KEPT.min(message.len())).rev().find(|end| message.is_char_boundary(*end));
            message.truncate(end.unwrap_or(0));
        }
    }
    component.errors.push(why);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ComponentKind, Consistency, Content, DatabaseFacts, NodeKind, TableRows};
    use crate::source::made_node;

    fn component(name: &str, tables: usize) -> Component {
        let name = name.parse().expect("a name");
        let mut component = Component::new(name, ComponentKind::Database, "x".to_owned(), Consistency::Dumped);
        let time = LocalTime::now();
        component.root = Some(made_node("database", NodeKind::Directory { tree: Content::default() }, time));
        let tables = (0..tables).map(|number| TableRows { table: format!("public.\"{number:060}\""), rows: 1 });
        component.database = Some(DatabaseFacts { tables: tables.collect(), ..DatabaseFacts::default() });
        component
    }

    /// A manifest beyond the bound of its readers was written as complete, and no command could read it afterwards.
    #[test]
    fn a_component_that_no_manifest_can_hold_fails_and_the_rest_stands() {
        let time = LocalTime::now();
        let name = "system_backup_20260101_000000".parse().expect("a name");
        let mut snapshot = Snapshot::new(name, time, SnapshotKind::Full);
        snapshot.components = vec![component("small", 10), component("large", 1_200_000)];
        let bytes = encode(&mut snapshot);
        assert!(bytes.len() <= MANIFEST_BYTES_MAX);
        let read = decode_snapshot(&bytes).expect("readers take it");
        assert_eq!(read, snapshot);
        assert_eq!(read.status, Status::Partial);
        let [small, large] = read.components.as_slice() else { panic!("{} components", read.components.len()) };
        assert!(small.root.is_some() && small.errors.is_empty() && large.root.is_none());
        assert!(large.errors.messages[0].contains("more to say of it than a manifest may hold"));
    }
}
