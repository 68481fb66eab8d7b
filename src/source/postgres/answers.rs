//! What a server says of a database before its data is read, by one session.

use super::name_list::first_names;
use crate::cancel::Cancel;
use crate::limits::PROBLEMS_MAX;
use crate::model::{DatabaseFacts, ServerProperties};
use crate::monitor::Monitor;
use crate::postgres::access::Access;
use crate::postgres::{
    self, Connection, Found, Kept, LockRoom, Tools, doubts, globals_text, lock_room, read_facts, read_left_out,
    read_roles, unrestricted,
};
use crate::source::{Error, Visitor};

/// What a server has said.
pub(super) struct Answers {
    pub(super) facts: DatabaseFacts,
    pub(super) properties: ServerProperties,
    /// None where they could not be read.
    pub(super) roles: Option<RoleFiles>,
    /// Who asked.
    pub(super) user: String,
    /// The programs for this server.
    pub(super) tools: Tools,
    /// Whether it has room for the locks of those who read table by table, where that is wanted.
    pub(super) room: Option<LockRoom>,
}

/// The roles of a server, for people and for a restore.
pub(super) struct RoleFiles {
    pub(super) globals: String,
    pub(super) list: Vec<u8>,
}

impl Answers {
    /// Asks the server. What is missing, or may not come back, is said to `visitor`. `sessions` is how many read table by table.
    ///
    /// # Errors
    /// [`Error::Postgres`] when the server cannot be reached; [`Error::Stop`].
    pub(super) fn ask(
        connection: &Connection,
        sessions: Option<usize>,
        visitor: &mut dyn Visitor,
        monitor: &Monitor<'_>,
    ) -> Result<Self, Error> {
        let cancel = monitor.cancel();
        let asked = Kept::new(connection.clone());
        let Found { mut facts, properties, user, server_major, left_out } = read_facts(&asked, cancel)?;
        facts.foreign_code = foreign_code(&asked, cancel)?;
        let members = read_left_out(&asked, cancel)?;
        left_out.into_iter().chain(members.problems).for_each(|problem| visitor.error(problem));
        members.notes.into_iter().for_each(|note| visitor.note(note));
        match doubts(&asked, cancel) {
            Ok(doubts) => doubts.into_iter().for_each(|doubt| visitor.note(doubt)),
            Err(error) => visitor.note(format!("it was not looked for what might not restore: {error}")),
        }
        if let Some(note) = foreign_note(&facts.foreign_code) {
            visitor.note(note);
        }
        if let Some(extension) = facts.bound_extension() {
            visitor.note(format!(
                "the server makes the extension {extension} only in the database of this name: it can be restored where there is none"
            ));
        }
        let tools = Tools::for_server(server_major, &connection.place, cancel)?;
        facts.dump_version.clone_from(&tools.dump_version);
        let roles = roles(&asked, visitor, monitor)?;
        if let Some(note) = unrestricted(connection, cancel)? {
            visitor.note(note);
        }
        let room = sessions.map(|sessions| lock_room(&asked, sessions, cancel)).transpose()?;
        Ok(Self { facts, properties, roles, user, tools, room })
    }
}

/// The tables that nobody but a superuser will be able to load, because they run code of others.
fn foreign_code(asked: &Kept, cancel: &Cancel) -> Result<Vec<String>, postgres::Error> {
    let refused = Access::of_restore(asked, cancel)?.check().err();
    let mut objects = refused.map(|refused| refused.objects).unwrap_or_default();
    objects.truncate(PROBLEMS_MAX);
    Ok(objects)
}

/// The roles of the server as files. What keeps them from being read is worth a note and no failure; one that cannot be
/// saved as it is, is missing.
fn roles(asked: &Kept, visitor: &mut dyn Visitor, monitor: &Monitor<'_>) -> Result<Option<RoleFiles>, Error> {
    let read = read_roles(asked, monitor.cancel()).and_then(|(roles, left_out)| {
        let globals = globals_text(&roles)?;
        Ok((RoleFiles { globals, list: roles.encode() }, left_out))
    });
    match read {
        Ok((files, left_out)) => {
            for problem in left_out {
                visitor.error(problem);
            }
            Ok(Some(files))
        }
        Err(error) if !monitor.is_cancelled() => {
            visitor.note(format!("roles were not saved: {error}"));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// What is to be said of objects that nobody but a superuser can load.
fn foreign_note(objects: &[String]) -> Option<String> {
    let shown = first_names(objects, |object| object.escape_debug().to_string());
    (!objects.is_empty()).then(|| {
        format!("it is restored only with --run-code-as-superuser, which runs code of others with all rights: {shown}")
    })
}
