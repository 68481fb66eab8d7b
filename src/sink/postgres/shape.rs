//! Who makes what gives a database its shape: who restores, or the owner, where the server would run code of others at once.
//!
//! The server evaluates what is constant in generated columns, keys of partitions and checks of partitions, and it reads the
//! values that stand in a statement, which domains check.

use std::collections::{BTreeSet, HashMap};

use super::action;
use super::overloads::{check_all_calls, check_calls};
use crate::cancel::Cancel;
use crate::model::split_names;
use crate::postgres::Asked;
use crate::postgres::access::{Access, LoadAs};
use crate::postgres::authors::{Authors, relation_owner};
use crate::postgres::definition::Definition;
use crate::postgres::owned::Owned;
use crate::sink::Error;

/// What is known of the shape so far.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// Whether a domain was made: it may be given a check at any time.
    has_domains: bool,
    /// What was found last; `None` when something was made since then.
    authors: Option<Authors>,
    /// What was found when the last partitions were made.
    access: Option<Access>,
    families: Families,
    /// A query for what the server has refused to make.
    pub(super) refused: String,
}

impl Shape {
    /// Whether a database has to be asked who makes this. Everything that was made before has to be there then.
    pub(super) fn asks(&mut self, definition: &Definition, text: &[u8]) -> bool {
        let evaluates = match definition {
            Definition::Table { evaluates, .. } => *evaluates,
            Definition::Partition { .. } => true,
            Definition::Aggregate { has_initial_value } => *has_initial_value && self.has_domains,
            // It runs nothing, and changes nothing that counts.
            Definition::Comment | Definition::OnSchema | Definition::Privileges => return false,
            _ => false,
        };
        let asks = evaluates || (self.has_domains && Authors::has_value(text));
        self.has_domains |= *definition == Definition::Domain;
        if !asks {
            self.forget(definition, text);
        }
        asks
    }

    /// Something is made, after which what was found may not be true.
    fn forget(&mut self, definition: &Definition, text: &[u8]) {
        self.access = None;
        match (definition, &mut self.authors) {
            // It brings no code along.
            (Definition::Table { owner, .. }, Some(authors)) => {
                let is_of_others = owner.as_ref().is_none_or(|owner| authors.trusts(owner).is_err());
                authors.has_wholes |= is_of_others && memchr::memmem::find(text, b"PARTITION BY").is_some();
            }
            (_, authors) => *authors = None,
        }
    }

    /// Who makes it.
    ///
    /// # Errors
    /// [`Error::Code`] when nobody can without running code with more rights than who wrote it has; [`Error::Database`].
    pub(super) fn maker(
        &mut self,
        database: &impl Asked,
        definition: &Definition,
        text: &[u8],
        cancel: &Cancel,
    ) -> Result<LoadAs, Error> {
        let failed = |source| action::failed("look whose code gives the database its shape", source);
        let authors = match self.authors.take() {
            Some(authors) => authors,
            None => Authors::read(database, &self.refused, cancel).map_err(failed)?,
        };
        if matches!(definition, Definition::Table { evaluates: true, .. } | Definition::Partition { .. })
            && !authors.overloads.is_empty()
        {
            // What is inherited, and the keys of partitions, do not stand in the text.
            check_all_calls(database, &self.refused, cancel)?;
            check_calls(&authors.overloads, database, text, cancel)?;
        }
        if let Definition::Partition { whole, part } = definition {
            self.families.join(whole, part);
            let mut maker = Some(LoadAs::Restorer);
            if authors.has_code {
                let access = match self.access.take() {
                    Some(access) => access,
                    None => Access::read(database, cancel).map_err(failed)?,
                };
                maker = self.families.maker(part, &access);
                self.access = Some(access);
            }
            self.authors = Some(authors);
            return maker.ok_or_else(|| Error::code(part));
        }
        let (has_code, authors) = (authors.has_code, self.authors.insert(authors));
        let maker =
            if has_code { maker_of(definition, text, (authors, database), cancel) } else { Ok(LoadAs::Restorer) };
        self.forget(definition, text);
        maker
    }
}

/// Who makes what is no partition.
fn maker_of(
    definition: &Definition,
    text: &[u8],
    (authors, database): (&Authors, &impl Asked),
    cancel: &Cancel,
) -> Result<LoadAs, Error> {
    let checks_value = authors.checks_value_in(&String::from_utf8_lossy(text));
    match definition {
        Definition::Table { owner: Some(owner), name, is_part, evaluates } => match authors.trusts(owner) {
            Ok(()) if checks_value || (*is_part && authors.has_wholes) => Err(Error::code(name)),
            Ok(()) if *evaluates && authors.has_casts_of_others(None) => Err(Error::code(name)),
            Ok(()) => Ok(LoadAs::Restorer),
            Err(owner) if owner.is_empty() || authors.has_casts_of_others(Some(&owner)) => Err(Error::code(name)),
            Err(owner) => Ok(LoadAs::Owner(owner)),
        },
        Definition::Aggregate { has_initial_value: true } if authors.has_domains => {
            owner_of(database, text, authors, cancel)
        }
        _ if checks_value => owner_of(database, text, authors, cancel),
        _ => Ok(LoadAs::Restorer),
    }
}

/// The owner of what an entry makes that is neither a table nor a partition.
fn owner_of(database: &impl Asked, text: &[u8], authors: &Authors, cancel: &Cancel) -> Result<LoadAs, Error> {
    let owner = match Owned::of(text) {
        Owned::By { role, .. } => authors.trusts(&role).err(),
        Owned::WithTable(table) => relation_owner(database, &table, cancel)
            .map_err(|source| action::failed("look who owns a table", source))?,
        Owned::Unknown => None,
    };
    let owner = owner.filter(|owner| !owner.is_empty());
    owner.map(LoadAs::Owner).ok_or_else(|| Error::code(first_line(&String::from_utf8_lossy(text))))
}

/// What is shown of an entry that is neither a table nor a domain.
fn first_line(text: &str) -> &str {
    text.lines().find(|line| !line.is_empty() && !line.starts_with("--")).unwrap_or_default()
}

/// Tables that are partitions of one another.
#[derive(Debug, Default)]
struct Families {
    /// The family of a table.
    of: HashMap<String, usize>,
    members: Vec<BTreeSet<String>>,
}

impl Families {
    /// Two tables are of one family from now on.
    fn join(&mut self, whole: &str, part: &str) {
        let [whole, part] = [whole, part].map(|table| self.of.get(table).copied().unwrap_or_else(|| self.begin(table)));
        if whole == part {
            return;
        }
        let moved = self.members.get_mut(part).map(std::mem::take).unwrap_or_default();
        for table in &moved {
            self.of.insert(table.clone(), whole);
        }
        if let Some(members) = self.members.get_mut(whole) {
            members.extend(moved);
        }
    }

    fn begin(&mut self, table: &str) -> usize {
        self.members.push(BTreeSet::from([table.to_owned()]));
        self.of.insert(table.to_owned(), self.members.len() - 1);
        self.members.len() - 1
    }

    /// Who makes a partition: its checks, those of its parts, and the keys above it are evaluated. `None` is nobody.
    fn maker(&self, part: &str, access: &Access) -> Option<LoadAs> {
        let members = self.members.get(*self.of.get(part)?)?;
        let mut owners = BTreeSet::new();
        let mut calls = false;
        for table in members {
            let (owner, calls_others) = access.calls(table)?;
            owners.insert(owner);
            calls |= calls_others;
        }
        match owners.pop_first()? {
            _ if !calls => Some(LoadAs::Restorer),
            Some(owner) if owners.is_empty() => Some(LoadAs::Owner(owner.to_owned())),
            _ => None,
        }
    }
}

/// The schema in which the statements of an entry make something, where they name one.
pub(super) fn schema_of(definition: &Definition, text: &[u8]) -> Option<String> {
    let name = match Owned::of(text) {
        _ if matches!(definition, Definition::Partition { .. }) => return None,
        Owned::By { name, .. } | Owned::WithTable(name) => split_names(&name)?,
        Owned::Unknown => return None,
    };
    match name.as_slice() {
        [schema, _] => Some(schema.clone()),
        _ => None,
    }
}
