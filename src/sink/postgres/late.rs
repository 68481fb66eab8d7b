//! What is made when everything else is there: it runs code of others, or lets it be run by what follows.

use std::collections::HashMap;

use super::action;
use super::guard::Allowed;
use super::loader::Loader;
use crate::model::split_names;
use crate::postgres::access::LoadAs;
use crate::postgres::authors::index_owners;
use crate::postgres::definition::Definition;
use crate::postgres::object_of;
use crate::sink::Error;

/// Owners of indexes by their names; none of a superuser, or of who restores.
type Owners = HashMap<Vec<String>, Option<String>>;

impl Loader<'_> {
    /// Makes what was put off.
    ///
    /// # Errors
    /// Those of [`Loader::script`].
    pub(super) fn run_late(&mut self) -> Result<(), Error> {
        let late = std::mem::take(&mut self.late);
        if !late.is_empty() {
            self.allow(Allowed::One)?;
        }
        let mut owners = Owners::new();
        for (mut load_as, statements) in late {
            let definition = Definition::of(&statements.text);
            // Functions may have been made since it was read.
            let outcome = self.check_calls(&definition, &statements.text);
            if outcome.is_err() {
                self.or_skipped(&object_of(&statements.text), outcome)?;
                continue;
            }
            if let Definition::IndexPartition { whole, part } = &definition {
                match self.maker_of_part([whole, part], &mut owners) {
                    Ok(maker) => load_as = maker,
                    Err(error) => {
                        self.or_skipped(&object_of(&statements.text), Err(error))?;
                        continue;
                    }
                }
            }
            match load_as {
                LoadAs::Restorer if matches!(definition, Definition::Index { .. }) => {
                    self.sessions.run_in_idle(&statements.whole())?;
                }
                LoadAs::Owner(owner) if !matches!(definition, Definition::Constraint(_)) => {
                    self.sessions.wait()?;
                    self.make_as_owner(owner, &definition, statements)?;
                }
                load_as => {
                    self.sessions.wait()?;
                    self.run_as(&load_as, &definition, &statements.whole())?;
                }
            }
        }
        self.sessions.wait()
    }

    /// Who makes an index part of another: the server compares the expressions of both, and runs what is constant in them.
    fn maker_of_part(&mut self, indexes: [&str; 2], owners: &mut Owners) -> Result<LoadAs, Error> {
        if self.options.trusts_code {
            return Ok(LoadAs::Restorer);
        }
        let names = indexes.map(|name| split_names(name).unwrap_or_default());
        if !names.iter().all(|name| owners.contains_key(name)) {
            // They are made side by side.
            self.sessions.wait()?;
            let found = index_owners(&self.sessions.database, self.monitor.cancel());
            *owners = found.map_err(|source| action::failed("look who owns the indexes", source))?;
        }
        match names.each_ref().map(|name| owners.get(name)) {
            [Some(None), Some(None)] => Ok(LoadAs::Restorer),
            [Some(Some(whole)), Some(Some(part))] if whole == part => Ok(LoadAs::Owner(whole.clone())),
            [_, _] => Err(Error::code(&indexes.join(" and "))),
        }
    }
}
