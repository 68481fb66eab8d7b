//! All of a database, or all but the rows of some tables: loaded beside the one that is there, and put into its place.

use super::load::{Loading, Said, in_words, load};
use super::report::DatabaseRestore;
use super::target::DatabaseTarget;
use crate::events::Phase;
use crate::model::DatabaseFacts;
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::pipeline::causes::with_causes;
use crate::pipeline::database::SavedDatabase;
use crate::pipeline::restore::report::ComponentRestore;
use crate::postgres::{Connection, unrestricted};
use crate::repo::Repository;
use crate::sink;
use crate::sink::postgres::LoadedDatabase;

/// A saved database that is restored.
pub(super) struct Whole<'a> {
    pub(super) saved: &'a SavedDatabase<'a>,
    pub(super) target: &'a DatabaseTarget,
    /// Those of the restored one.
    pub(super) facts: &'a DatabaseFacts,
    pub(super) loading: Loading<'a>,
}

impl Whole<'_> {
    /// Restores it. Until it is whole, the database that is there stays as it is.
    pub(super) fn restore(
        self,
        repository: &Repository,
        maintenance: Connection,
        (result, done): (&mut ComponentRestore, &mut DatabaseRestore),
        monitor: &Monitor<'_>,
    ) -> Result<(), Error> {
        let Self { saved, target, facts, .. } = self;
        let cancel = monitor.cancel();
        // Under another name some extensions are not made.
        let purpose = facts.bound_extension().is_none().then_some("new");
        let (loaded, roles) =
            LoadedDatabase::create(maintenance, (facts, &saved.of_server), purpose, &saved.roles, cancel)?;
        let notes = match self.load(&loaded, repository, (result, done), monitor) {
            Ok(notes) => notes,
            Err(error) => {
                loaded.discard();
                return Err(error);
            }
        };
        monitor.begin(Phase::ReplacingDatabase, None);
        let replaced = loaded.put_in_place(&facts.name, target.is_new, cancel)?;
        result.note_all(replaced.notes);
        if let Some(error) = replaced.left {
            let why = with_causes(&error);
            let why = format!("the database is restored, and the one that it replaced is still there: {why}");
            result.fail(b"", &why);
        }
        done.roles_created = roles.names;
        result.note_all(roles.left_out);
        done.notes = notes;
        Ok(())
    }

    /// Loads it, compares its rows and gives it its settings. Returns what is not as it was saved, each in words.
    fn load(
        &self,
        loaded: &LoadedDatabase,
        repository: &Repository,
        (result, done): (&mut ComponentRestore, &mut DatabaseRestore),
        monitor: &Monitor<'_>,
    ) -> Result<Vec<String>, Error> {
        let Self { saved, target, facts, loading } = *self;
        let cancel = monitor.cancel();
        let Said { notes, refused } = load(repository, loaded, saved, loading, monitor)?;
        for refusal in &refused {
            result.fail(b"", &in_words(refusal));
        }
        for differs in loaded.check_rows(&facts.tables, cancel)? {
            if !loading.goes_on {
                return Err(differs.into());
            }
            result.fail(b"", &differs.to_string());
            done.lacks(&differs);
        }
        done.roles_left = loaded.left_roles(cancel)?;
        result.note_all(loaded.notes().iter().cloned());
        result.note_all(unrestricted(&target.connection, cancel)?);
        if let Some(missing) = target.mask.as_ref().filter(|_| target.has_all_rules).and_then(|mask| mask.missing()) {
            return Err(Error::Refused(missing));
        }
        for refusal in loaded.set_properties((facts, &saved.of_server), loading.goes_on, cancel)? {
            result.fail(b"", &in_words(&refusal));
        }
        if loaded.name() != facts.name {
            result.note_all(loaded.made_under_its_name(&facts.name, cancel));
        }
        Ok(notes)
    }
}

impl DatabaseRestore {
    /// A table does not have the rows that it should have.
    fn lacks(&mut self, differs: &sink::Error) {
        let sink::Error::Rows { expected, found, .. } = differs else { return };
        let found: Option<u64> = found.parse().ok();
        self.tables -= u64::from(found.is_none());
        self.rows = (self.rows + found.unwrap_or_default()).saturating_sub(*expected);
    }
}
