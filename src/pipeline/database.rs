//! A database of a snapshot: its files, and the plain dump that they are together.

use std::collections::HashMap;
use std::io::{Read, Write};

use super::stream::{ContentStream, Segment};
use super::{Error, Mask};
use crate::limits::DATABASE_LIST_BYTES_MAX;
use crate::model::{
    self, Component, Content, ContentReader, DATA_FOLDER, DatabaseFacts, KeyedTable, Node, NodeKind, PROPERTIES_FILE,
    ROLES_FILE, Roles, Script, ServerProperties, TABLES_FILE, TableIndex, TreeReader, split_table,
};
use crate::repo::ChunkReader;
use crate::sink;
use crate::source::postgres::DUMP_FILE;

const COPY_BUFFER_BYTES: usize = 256 << 10;
/// What ends the rows of a table in a dump.
const ROWS_END: &[u8] = b"\\.\n\n\n";

/// A database as it was saved.
#[derive(Debug)]
pub(super) struct SavedDatabase<'a> {
    pub(super) facts: &'a DatabaseFacts,
    pub(super) dump: Dump,
    /// The roles; none when they were not saved.
    pub(super) roles: Roles,
    /// What the server kept of it; nothing where that was not saved.
    pub(super) of_server: ServerProperties,
}

/// The data and the shape of a database.
#[derive(Debug)]
pub(super) enum Dump {
    /// One plain dump.
    Plain(Content),
    /// Files table by table.
    Tables(Box<SavedTables>),
}

/// The files of a database that was saved table by table.
#[derive(Debug)]
pub(super) struct SavedTables {
    pub(super) index: TableIndex,
    scripts: HashMap<String, Content>,
    data: HashMap<String, Content>,
}

impl<'a> SavedDatabase<'a> {
    /// Finds the files of a component.
    ///
    /// # Errors
    /// [`Error::Refused`] when it has no dump; [`Error::Model`] when it is damaged.
    pub(super) fn find(reader: &mut ChunkReader, component: &'a Component) -> Result<Self, Error> {
        let no_dump = || Error::Refused(format!("{} has no dump", component.name));
        let facts = component.database.as_ref().ok_or_else(no_dump)?;
        let mut files = HashMap::new();
        let mut data = HashMap::new();
        for node in entries(reader, component.root.as_ref().ok_or_else(no_dump)?)? {
            if node.is_directory() && *node.name == *DATA_FOLDER.as_bytes() {
                data = entries(reader, &node)?.into_iter().filter_map(named_content).collect();
            } else {
                files.extend(named_content(node));
            }
        }
        let mut text = |name: &str| match files.get(name) {
            Some(content) => read_whole(reader, content),
            None => Ok(Vec::new()),
        };
        let roles = text(ROLES_FILE)?;
        let roles = if roles.is_empty() { Roles::default() } else { Roles::decode(&roles)? };
        let of_server = text(PROPERTIES_FILE)?;
        let of_server =
            if of_server.is_empty() { ServerProperties::default() } else { ServerProperties::decode(&of_server)? };
        let dump = if let Some(content) = files.get(DUMP_FILE) {
            Dump::Plain(content.clone())
        } else if files.contains_key(TABLES_FILE) {
            let index = TableIndex::decode(&text(TABLES_FILE)?)?;
            Dump::Tables(Box::new(SavedTables { index, scripts: files, data }))
        } else {
            return Err(no_dump());
        };
        Ok(Self { facts, dump, roles, of_server })
    }

    /// Makes sure that each rule of a mask is for a column that is there, as far as that is known before a dump is read.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub(super) fn check_mask(&self, mask: Option<&Mask>) -> Result<(), Error> {
        let (Dump::Tables(tables), Some(mask)) = (&self.dump, mask) else { return Ok(()) };
        let mut tables = tables.index.all_tables();
        tables.try_for_each(|(table, columns, related)| {
            mask.of_table(table, columns, related).map(drop).map_err(Error::Refused)
        })
    }

    /// The index of the tables, where they are files of their own.
    pub(super) fn index(&self) -> Option<&TableIndex> {
        match &self.dump {
            Dump::Plain(_) => None,
            Dump::Tables(tables) => Some(&tables.index),
        }
    }

    /// Everything as one plain dump.
    ///
    /// # Errors
    /// [`Error::Model`] when a file is missing.
    pub(super) fn plain(&self) -> Result<Vec<Segment>, Error> {
        match &self.dump {
            Dump::Plain(content) => Ok(vec![Segment::whole(content)]),
            Dump::Tables(tables) => tables.plain(),
        }
    }
}

/// Writes a database as one plain dump.
///
/// # Errors
/// [`Error::Refused`] when the component has none, [`Error::Model`] when it cannot be read, [`Error::Sink`] when `target`
/// fails.
pub fn write_dump(reader: &mut ChunkReader, component: &Component, target: &mut dyn Write) -> Result<(), Error> {
    let segments = SavedDatabase::find(reader, component)?.plain()?;
    let mut dump = ContentStream::of_segments(segments, reader);
    let mut buffer = vec![0; COPY_BUFFER_BYTES];
    loop {
        let len = dump.read(&mut buffer).map_err(|error| match error.downcast::<model::Error>() {
            Ok(error) => Error::Model(error),
            Err(error) => Error::Sink(sink::Error::io("read", "the dump", error)),
        })?;
        if len == 0 {
            return Ok(());
        }
        let written = target.write_all(buffer.get(..len).unwrap_or_default());
        written.map_err(|source| Error::Sink(sink::Error::io("write", "the output", source)))?;
    }
}

impl SavedTables {
    /// The first script's own beginning and end around the statements of all scripts and the rows of all tables, those in the order of
    /// `pg_dump`, where it is known: the checks of a table may look into others.
    fn plain(&self) -> Result<Vec<Segment>, Error> {
        let TableIndex { before, others, after, .. } = &self.index;
        self.statements(before)?;
        let first = self.script(before)?;
        let mut segments = vec![Segment::Content { content: first.clone(), begin: 0, end: before.end }];
        let mut tables: Vec<_> = self.index.tables.iter().map(|table| (split_table(&table.table), table)).collect();
        tables.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let mut tables = tables.into_iter().peekable();
        let mut rest = others.clone();
        let mut end = others.begin;
        for (place, name) in self.index.places() {
            let name = split_table(name);
            while let Some((_, table)) = tables.next_if(|(table, _)| *table < name) {
                segments.push(self.statements(&Script { end: place.begin, ..rest.clone() })?);
                rest.begin = place.begin;
                segments.extend(self.copy(table)?);
            }
            end = place.end;
        }
        segments.push(self.statements(&Script { end, ..rest.clone() })?);
        for (_, table) in tables {
            segments.extend(self.copy(table)?);
        }
        segments.push(self.statements(&Script { begin: end, ..rest })?);
        segments.push(self.statements(after)?);
        segments.push(Segment::Content { content: first.clone(), begin: before.end, end: first.len_bytes });
        Ok(segments)
    }

    /// What loads the rows of a table.
    fn copy(&self, table: &KeyedTable) -> Result<[Segment; 3], Error> {
        let name = table.table.replace(['\n', '\r'], " ");
        let title = format!("--\n-- Data for Name: {name}; Type: TABLE DATA; Schema: -; Owner: -\n--\n\n");
        Ok([
            Segment::Text((title + &table.copy_statement()).into_bytes()),
            Segment::whole(self.rows(table)?),
            Segment::Text(ROWS_END.to_vec()),
        ])
    }

    /// The rows of a table.
    pub(super) fn rows(&self, table: &KeyedTable) -> Result<&Content, Error> {
        self.data.get(&table.file).ok_or_else(|| missing(&format!("{DATA_FOLDER}/{}", table.file)))
    }

    /// The statements of a script, without what makes it a dump of its own.
    pub(super) fn statements(&self, script: &Script) -> Result<Segment, Error> {
        let content = self.script(script)?.clone();
        let (begin, end) = (script.begin, script.end);
        if begin > end || end > content.len_bytes {
            let why = format!("{} is shorter than it says", script.file);
            return Err(model::Error::Damaged { what: "index of tables", why }.into());
        }
        Ok(Segment::Content { content, begin, end })
    }

    fn script(&self, script: &Script) -> Result<&Content, Error> {
        self.scripts.get(&script.file).ok_or_else(|| missing(&script.file))
    }
}

fn missing(file: &str) -> Error {
    model::Error::Damaged { what: "index of tables", why: format!("there is no {file}") }.into()
}

fn entries(reader: &mut ChunkReader, directory: &Node) -> Result<Vec<Node>, Error> {
    let NodeKind::Directory { tree } = &directory.kind else { return Ok(Vec::new()) };
    let (mut nodes, mut found) = (TreeReader::new(tree.clone())?, Vec::new());
    while let Some(node) = nodes.next(reader)? {
        found.push(node);
    }
    Ok(found)
}

fn named_content(node: Node) -> Option<(String, Content)> {
    match node.kind {
        NodeKind::File { content, .. } => Some((node.name.to_text(), content)),
        _ => None,
    }
}

fn read_whole(reader: &mut ChunkReader, content: &Content) -> Result<Vec<u8>, Error> {
    if content.len_bytes > DATABASE_LIST_BYTES_MAX as u64 {
        return Err(model::Error::TooLarge { what: "list of a database" }.into());
    }
    let mut chunks = ContentReader::new(content.clone())?;
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next(reader)? {
        bytes.extend_from_slice(&reader.read(chunk.id).map_err(model::Error::from)?);
    }
    Ok(bytes)
}
