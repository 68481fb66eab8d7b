//! What only a superuser can own. Where its owner is none on this server, it stays with who restores.
//!
//! Nobody gets a right by that. The function of an event trigger runs with the rights of whoever makes or alters something, and
//! its owner can write it anew: it was a superuser where it was saved. Where he is none here, the event trigger is disabled.

use super::action::run;
use super::loader::Loader;
use crate::postgres::of_superuser::{Kind, OfSuperuser, validator};
use crate::postgres::sql::{ident, literal};
use crate::sink::Error;

/// Has a row where something that only a superuser can own cannot be given to a role, which is there.
const STAYS_SQL: &str =
    "SELECT 1 FROM pg_catalog.pg_roles r WHERE r.rolname = :OWNER AND NOT r.rolsuper AND r.rolname <> CURRENT_USER
    AND (:KIND <> 'subscription' OR pg_catalog.current_setting('server_version_num')::pg_catalog.int4 < 160000)";
/// Event triggers whose functions others can write, with those.
const WRITTEN_BY_OTHERS: &str =
    "pg_catalog.pg_event_trigger t JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) t.evtfoid
    JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) f.proowner
    WHERE NOT r.rolsuper AND r.rolname OPERATOR(pg_catalog.<>) CURRENT_USER";

impl Loader<'_> {
    /// Runs statements of an entry that makes something that only a superuser can own.
    pub(super) fn run_of_superuser(&mut self, text: &[u8]) -> Result<(), Error> {
        self.check_validator(text)?;
        let Some(object) = OfSuperuser::of(text) else { return self.run(text) };
        if !self.stays(&object)? {
            return self.run(text);
        }
        if object.kind == Kind::EventTrigger && !self.options.trusts_code {
            // Nobody but this session sees it before it is disabled.
            self.say("BEGIN;\n".to_owned())?;
            self.run(&object.without_owner)?;
            let [name, is_it] = [ident(&object.name), literal(&object.name)];
            let disable = format!(
                "BEGIN IF EXISTS (SELECT FROM {WRITTEN_BY_OTHERS} AND t.evtname OPERATOR(pg_catalog.=) {is_it})
                    THEN ALTER EVENT TRIGGER {name} DISABLE; END IF; END"
            );
            self.say(format!("DO {};\nCOMMIT;\n", literal(&disable)))?;
        } else {
            self.run(&object.without_owner)?;
        }
        self.kept.push(object);
        Ok(())
    }

    /// What was not given to its owner, and which of it was disabled, in words. Everything that was said is done by then.
    pub(super) fn notes_on_kept(&self) -> Result<Vec<String>, Error> {
        let mut notes = Vec::new();
        for OfSuperuser { kind, name, owner, .. } in &self.kept {
            let [name, owner] = [name, owner].map(|name| name.escape_debug());
            notes.push(format!(
                "the {kind} {name} belongs to the restoring role: {owner}, who owned it, is no superuser on this server"
            ));
        }
        if self.options.trusts_code || !self.kept.iter().any(|object| object.kind == Kind::EventTrigger) {
            return Ok(notes);
        }
        let cancel = self.monitor.cancel();
        let sql = format!("SELECT t.evtname, r.rolname FROM {WRITTEN_BY_OTHERS} AND t.evtenabled = 'D' ORDER BY 1");
        for row in run(&self.sessions.database, "look for event triggers that are disabled", &sql, cancel)? {
            let [Some(name), Some(writer)] = row.as_slice() else { continue };
            if self.kept.iter().any(|object| object.kind == Kind::EventTrigger && object.name == *name) {
                let [name, writer] = [name, writer].map(|name| name.escape_debug());
                notes.push(format!(
                    "the event trigger {name} is disabled: its function belongs to {writer}, who is no superuser on this server"
                ));
            }
        }
        Ok(notes)
    }

    /// Whether something cannot be given to its owner.
    fn stays(&self, object: &OfSuperuser) -> Result<bool, Error> {
        let sql = STAYS_SQL.replace(":KIND", &literal(&object.kind.to_string()));
        let sql = sql.replace(":OWNER", &literal(&object.owner));
        let cancel = self.monitor.cancel();
        run(&self.sessions.database, "look who can own something", &sql, cancel).map(|rows| !rows.is_empty())
    }

    /// Makes sure that no code of others is run when a foreign data wrapper, or a server of it, is made.
    fn check_validator(&mut self, text: &[u8]) -> Result<(), Error> {
        let Some(function) = validator(text).filter(|_| !self.options.trusts_code) else { return Ok(()) };
        self.sessions.wait()?;
        let sql = format!(
            "SELECT 1 FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_roles r ON r.oid = f.proowner
                WHERE f.oid = pg_catalog.to_regprocedure({}) AND NOT r.rolsuper AND r.rolname <> CURRENT_USER",
            literal(&format!("{function}(pg_catalog.text[], pg_catalog.oid)"))
        );
        let cancel = self.monitor.cancel();
        match run(&self.sessions.database, "look whose function checks options", &sql, cancel)?.as_slice() {
            [] => Ok(()),
            _ => Err(Error::code(&format!("a foreign data wrapper whose options {function} checks"))),
        }
    }
}
