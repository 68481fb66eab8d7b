//! Which statements of a script are accepted.

use super::statement::Statements;

/// What can be done about it.
const LOADS_IT: &str = "`--run-code-as-superuser` loads it all the same, with all rights";

/// Which statements of a script are accepted. What reaches beyond its database never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepts {
    All,
    /// Those that `pg_dump` writes.
    Dumps,
    /// Those that run no code of whoever wrote the dump, whoever it says owns it.
    DumpsWithoutCode,
}

impl Accepts {
    /// Makes sure that the statements so far stay in the database, and are accepted.
    ///
    /// # Errors
    /// Which one is not, and why.
    pub(super) fn check(self, statements: &Statements) -> Result<(), String> {
        if let Some(found) = statements.beyond() {
            return Err(format!(
                "it has the statement {found}, which reaches beyond the database that it is loaded into"
            ));
        }
        if let Some(found) = statements.refused().filter(|_| self != Self::All) {
            return Err(format!("it has the statement {found}, which pg_dump does not write ({LOADS_IT})"));
        }
        if let Some(found) = statements.code().found().first().filter(|_| self == Self::DumpsWithoutCode) {
            return Err(format!("it has code of whoever wrote it: {found} ({LOADS_IT})"));
        }
        Ok(())
    }
}
