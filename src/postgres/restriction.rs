//! Keeps `psql` from running commands that stand in what it reads.
//!
//! Behind `\restrict KEY` it runs none but `\unrestrict KEY`, and nobody else knows the key. Each is used once: text that
//! somebody else has written may swallow the line that shows it, and what comes after has another.

use std::collections::HashMap;
use std::io;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::{Connection, Error, psql_program};
use crate::cancel::Cancel;
use crate::id::{derive_secret, hex, random_bytes};
use crate::process::{self, Place, Program};

const PURPOSE: &str = "larder 2026 psql restrict key";
/// Most characters of a key that `psql` takes.
const KEY_CHARS: usize = 63;

/// Whether the programs that were asked know the command.
static KNOWN: LazyLock<Mutex<HashMap<String, bool>>> = LazyLock::new(Mutex::default);

/// The keys of one `psql`.
#[derive(Debug)]
pub(crate) struct Restriction {
    secret: [u8; 32],
    number: u64,
    is_known: bool,
}

impl Restriction {
    /// Keys for the `psql` of a connection. The program is asked whether it knows the command.
    ///
    /// # Errors
    /// [`Error::NoPsql`]; those of starting it.
    pub(crate) fn of(connection: &Connection, cancel: &Cancel) -> Result<Self, Error> {
        let is_known = is_known(&connection.place, cancel)?;
        let secret = random_bytes().map_err(|source| Error::stream("/dev/urandom", source))?;
        Ok(Self { secret, number: 0, is_known })
    }

    /// Those of one that knows none.
    #[cfg(test)]
    pub(crate) const fn unknown() -> Self {
        Self { secret: [0; 32], number: 0, is_known: false }
    }

    /// Whether `psql` runs no commands behind it.
    pub(crate) const fn is_effective(&self) -> bool {
        self.is_known
    }

    /// What the `psql` reads first.
    pub(crate) fn begin(&self) -> String {
        if self.is_known { format!("\\restrict {}\n", self.key()) } else { String::new() }
    }

    /// A command of ours between two statements, behind which there is another key.
    pub(crate) fn command(&mut self, command: &str) -> String {
        if !self.is_known {
            return format!("{command}\n");
        }
        let end = format!("\\unrestrict {}\n{command}\n", self.key());
        self.number += 1;
        end + &self.begin()
    }

    fn key(&self) -> String {
        let mut key = hex(&derive_secret(PURPOSE, &self.secret, &self.number.to_le_bytes()));
        key.truncate(KEY_CHARS);
        key
    }
}

/// Whether the `psql` of a place knows `\restrict`.
///
/// # Errors
/// [`Error::NoPsql`]; those of starting it.
fn is_known(place: &Place, cancel: &Cancel) -> Result<bool, Error> {
    let program = psql_program(place);
    let name = format!("{}:{}", place.container().unwrap_or_default(), program.display());
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = known().get(&name) {
        return Ok(*found);
    }
    let help = Program::new(&program, place.clone()).arg("--help=commands").run(cancel);
    let help = help.map_err(|error| match error {
        process::Error::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => Error::NoPsql,
        error => error.into(),
    })?;
    let found = memchr::memmem::find(&help, b"\\restrict ").is_some();
    known().insert(name, found);
    Ok(found)
}

/// What there is to say where the `psql` of a connection cannot be kept from running commands.
///
/// # Errors
/// [`Error::NoPsql`]; those of starting it.
pub(crate) fn unrestricted(connection: &Connection, cancel: &Cancel) -> Result<Option<String>, Error> {
    let why = "is older than 17.6, 16.10, 15.14, 14.19 or 13.22, and cannot be told to run no commands: it is given only what Larder \
               has made, and where it needs no more than a password it runs as a user without rights";
    let place = connection
        .place
        .container()
        .map_or_else(|| "on this host".to_owned(), |name| format!("in the container {name}"));
    Ok((!is_known(&connection.place, cancel)?).then(|| format!("the psql {place} {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_shown_that_is_used_again() {
        let mut restriction = Restriction { secret: [7; 32], number: 0, is_known: true };
        let text = [restriction.begin(), restriction.command("\\echo"), restriction.command("\\echo")].concat();
        let keys: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("\\restrict ")).collect();
        let ends: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("\\unrestrict ")).collect();
        assert_eq!((keys.len(), &keys[..2]), (3, &ends[..]));
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0].len() == KEY_CHARS);
    }

    #[test]
    fn a_program_that_does_not_know_it_is_not_told() {
        let mut restriction = Restriction { secret: [7; 32], number: 0, is_known: false };
        assert_eq!([restriction.begin(), restriction.command("\\echo")].concat(), "\\echo\n");
    }
}
