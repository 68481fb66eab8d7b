//! Who makes what a script says: who restores, or an owner whose code the server runs then.

use super::guard::Allowed;
use super::loader::Loader;
use super::maintenance::lacking_of_schema;
use super::shape::schema_of;
use crate::postgres::access::LoadAs;
use crate::postgres::definition::Definition;
use crate::postgres::key_code;
use crate::postgres::object_of;
use crate::postgres::owned::tables_of;
use crate::postgres::part::Statements;
use crate::postgres::sql::ident;
use crate::postgres::wrapped::one_by_one;
use crate::sink::Error;

impl Loader<'_> {
    /// Who makes what gives the database its shape.
    pub(super) fn maker(&mut self, definition: &Definition, text: &[u8]) -> Result<LoadAs, Error> {
        if self.options.trusts_code || !self.shape.asks(definition, text) {
            return Ok(LoadAs::Restorer);
        }
        self.wait()?;
        self.shape.refused = self.refused_sql();
        let cancel = self.monitor.cancel();
        self.shape.maker(&self.sessions.database, definition, text, cancel)
    }

    /// Makes something with the rights of its owner, who may use the schema and make things in it for that.
    pub(super) fn make_as_owner(
        &mut self,
        owner: String,
        definition: &Definition,
        statements: Statements,
    ) -> Result<(), Error> {
        self.sessions.open_owner(&owner)?;
        self.prepare_owners()?;
        let mut lent = None;
        if let Some(schema) = schema_of(definition, &statements.text) {
            let cancel = self.monitor.cancel();
            let of = (owner.as_str(), schema.as_str());
            // What was lent before is taken back by then.
            self.wait()?;
            let lacking = lacking_of_schema(&self.sessions.database, of, &["CREATE", "USAGE"], cancel)?.join(", ");
            if !lacking.is_empty() {
                let (schema, owner) = (ident(&schema), ident(&owner));
                self.say(format!("GRANT {lacking} ON SCHEMA {schema} TO {owner};\n"))?;
                lent = Some(format!("REVOKE {lacking} ON SCHEMA {schema} FROM {owner};\n"));
            }
        }
        let is_closed = self.guard.as_ref().is_some_and(|guard| guard.allowed == Allowed::Nothing);
        if is_closed {
            // Code of rows that are still loaded could make one thing too.
            self.wait()?;
            self.allow(Allowed::One)?;
        }
        let load_as = LoadAs::Owner(owner);
        let whole = statements.whole();
        let mut outcome =
            one_by_one(&whole).into_iter().try_for_each(|statement| self.sessions.run(&load_as, statement));
        if self.options.goes_on {
            outcome = outcome.and_then(|()| self.sessions.wait());
        }
        self.or_refused(&object_of(&whole), outcome)?;
        self.say(lent.unwrap_or_default())?;
        if is_closed { self.allow(Allowed::Nothing) } else { Ok(()) }
    }

    /// Runs the statements of an entry. Where not all rows are there, a foreign key may fail, and what is said of it with it.
    pub(super) fn run_as(&mut self, load_as: &LoadAs, definition: &Definition, text: &[u8]) -> Result<(), Error> {
        let is_key = matches!(definition, Definition::Constraint(constraint) if constraint.is_foreign_key());
        let may_fail = !self.options.has_all_rows && !self.options.goes_on;
        self.was_tried = may_fail && (is_key || (*definition == Definition::Comment && self.was_tried));
        self.tried += u64::from(self.was_tried && is_key);
        if *definition == Definition::OfSuperuser {
            return self.run_of_superuser(text);
        }
        if *definition == Definition::OnSchema {
            return self.run_grants(text);
        }
        if !self.was_tried {
            return self.run_by(load_as, text);
        }
        self.sessions.command(load_as, "\\set ON_ERROR_STOP off")?;
        self.sessions.run(load_as, text)?;
        self.sessions.command(load_as, "\\set ON_ERROR_STOP on")
    }

    /// Has somebody run statements. What is refused of an owner ends his session, and another one is opened where it goes on.
    pub(super) fn run_by(&mut self, load_as: &LoadAs, text: &[u8]) -> Result<(), Error> {
        if !self.options.goes_on || *load_as == LoadAs::Restorer {
            return self.sessions.run(load_as, text);
        }
        self.sessions.wait()?;
        let outcome = self.sessions.run(load_as, text).and_then(|()| self.sessions.wait());
        self.or_refused(&object_of(text), outcome)
    }

    /// Who makes something of tables that are there with their partitions, whose keys the server looks at then.
    pub(super) fn maker_by_keys(&mut self, definition: &Definition, text: &[u8]) -> Result<LoadAs, Error> {
        let Some(keys) = self.keys.as_ref().filter(|keys| !keys.is_empty()) else { return Ok(LoadAs::Restorer) };
        let tables = if let Definition::IndexPartition { whole, part } = definition {
            // They may still be being made.
            self.sessions.wait()?;
            let tables = key_code::tables_of(&self.sessions.database, [whole, part], self.monitor.cancel());
            tables.map_err(|source| self.failed(source))?
        } else {
            tables_of(text)
        };
        Ok(keys.maker(&tables)?)
    }
}
