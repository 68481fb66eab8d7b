//! Calls that a restore could give another meaning: somebody has a function of that name that fits better.
//!
//! What runs when it is made is looked at before, by its text; everything else when it is there, by what the server has found.

use super::action;
use crate::cancel::Cancel;
use crate::model::split_names;
use crate::postgres::Asked;
use crate::postgres::authors::relation_owner;
use crate::postgres::object_of;
use crate::postgres::overloads::Overloads;
use crate::postgres::owned::Owned;
use crate::sink::Error;

/// Most calls that are named.
const NAMED_MAX: usize = 5;

/// Makes sure that the statements of an entry may call no function of somebody else than its owner by a name that others have one of, too.
pub(super) fn check_calls(
    overloads: &Overloads,
    database: &impl Asked,
    text: &[u8],
    cancel: &Cancel,
) -> Result<(), Error> {
    check_named(overloads, text, owner_of(database, text, cancel)?.as_deref())
}

pub(super) fn check_named(overloads: &Overloads, text: &[u8], owner: Option<&str>) -> Result<(), Error> {
    match overloads.called_in(&String::from_utf8_lossy(text), owner) {
        Some(overload) => Err(Error::code(&format!(
            "{} (it calls {overload}; {} has one of that name)",
            object_of(text),
            overload.authors.join(", ").escape_debug()
        ))),
        None => Ok(()),
    }
}

/// Who owns what an entry makes, where that is neither a superuser nor the one who asks, or the entry itself says who.
pub(super) fn owner_of(database: &impl Asked, text: &[u8], cancel: &Cancel) -> Result<Option<String>, Error> {
    match Owned::of(text) {
        Owned::By { role, .. } => Ok(split_names(&role).and_then(|mut names| names.pop())),
        Owned::WithTable(table) => {
            relation_owner(database, &table, cancel).map_err(|source| action::failed("look who owns a table", source))
        }
        Owned::Unknown => Ok(None),
    }
}

/// Makes sure that nothing that is there calls such a function. `refused` is a query for what was refused.
pub(super) fn check_all_calls(database: &impl Asked, refused: &str, cancel: &Cancel) -> Result<(), Error> {
    let found = Overloads::calls_of_others(database, refused, cancel);
    let mut objects = found.map_err(|source| action::failed("look who has written what is called", source))?;
    if objects.len() > NAMED_MAX {
        let more = objects.split_off(NAMED_MAX).len();
        objects.push(format!("{more} more"));
    }
    if objects.is_empty() { Ok(()) } else { Err(Error::Code { objects }) }
}
