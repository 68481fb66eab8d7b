//! The repository of a command: found, opened, made, and protected.

use std::sync::Arc;

use larder::docker::Stack;
use larder::repo::Repository;
use larder::rooted::Refusal;
use larder::storage::Storage;

use super::context::Context;
use super::discovery::System;
use super::hold_recovery::resume_abandoned_holds;
use super::identity::{check_repository_is_known, doubt_of_repository, warn_of_other_places};
use crate::config::{Parity, Settings, check_repository, repository_refused, strange_folder_above};
use crate::host::state;

/// What is said while another command deletes, merges or repairs.
const WAITING: &str = "another command has the repository to itself: it is waited for, for half a minute at most";

impl Context<'_> {
    /// The storage of the repository, which need not be there.
    pub(crate) fn storage(&self) -> anyhow::Result<Arc<dyn Storage>> {
        let (place, trust) = (&self.settings.backup_dir, &self.settings.trust);
        check_repository(place, trust).map_err(|refusal| repository_refused(place, &refusal))?;
        Ok(larder::storage::open(&place.to_string_lossy(), trust).map_err(larder::repo::Error::from)?)
    }

    /// Opens the repository, which must be there.
    pub(crate) fn repository(&self) -> anyhow::Result<Repository> {
        let waits = || self.events.note(WAITING);
        let repository = Repository::open_telling(self.storage()?, &waits)?;
        if let Some((why, _)) = doubt_of_repository(self, Some(&repository)) {
            self.events.warn(&why);
        }
        resume_abandoned_holds(self, &repository)?;
        Ok(repository)
    }

    /// Opens the repository, where there is one.
    pub(crate) fn repository_if_any(&self) -> anyhow::Result<Option<Repository>> {
        match self.repository() {
            Err(error) if is_not_found(&error) => Ok(None),
            repository => repository.map(Some),
        }
    }

    /// Opens the repository, where there is one, for adding to it; only the one that was used before, or none where none was, unless a new
    /// one is wanted.
    pub(crate) fn repository_to_add_to(&self, takes_new: bool) -> anyhow::Result<Option<Repository>> {
        let existing = self.repository_if_any()?;
        if existing.is_none() {
            Repository::check_vacant(self.storage()?.as_ref())?;
        }
        check_repository_is_known(self, existing.as_ref(), takes_new)?;
        Ok(existing)
    }

    /// Opens the repository, and makes it where there is none.
    pub(crate) fn repository_or_new(&self) -> anyhow::Result<Repository> {
        let storage = self.storage()?;
        let is_there = Repository::is_there(storage.as_ref())?;
        let repository = Repository::open_or_create(storage)?;
        if !is_there {
            self.events.note(&format!("a new repository was made in {}", self.settings.backup_dir.display()));
            warn_of_other_places(self);
        }
        resume_abandoned_holds(self, &repository)?;
        Ok(repository)
    }

    /// Warns where somebody else may take the repository away.
    pub(crate) fn warn_of_strange_folder(&self) {
        let (place, trust) = (&self.settings.backup_dir, &self.settings.trust);
        match strange_folder_above(place, trust) {
            Some(Refusal::Owner { path, uid, .. }) => {
                let folder = path.display();
                self.events.warn(&format!(
                    "{folder}, which the repository lies in, belongs to user {uid}, who can take it away"
                ));
            }
            Some(refusal) => {
                self.events.warn(&format!("{refusal}, which the repository lies in: they can take it away"));
            }
            None => {}
        }
    }

    /// Writes the parity that the settings ask for. Says whether there was room for it.
    pub(crate) fn protect(&self, repository: &Repository) -> anyhow::Result<bool> {
        let share = match self.settings.parity {
            None => return Ok(true),
            Some(Parity::None) => None,
            Some(Parity::Share(share)) => Some(share),
        };
        match repository.protect(share, &self.monitor) {
            Err(error) if error.is_full() => {
                self.events.warn("there is no room for all of the parity; the next command writes what is missing");
                Ok(false)
            }
            protected => Ok(protected.map(|_| true)?),
        }
    }

    /// Everything that there is to back up, or to restore into.
    pub(crate) fn system(&self) -> anyhow::Result<System<'_>> {
        let system = System::find(self, self.monitor.cancel())?;
        let Settings { base, file, backup_dir, .. } = &self.settings;
        let whole = [(base.clone(), "larder.toml"), (backup_dir.clone(), "the repository")];
        let files = Stack::files_in(base).map(|file| (file, "the project")).chain([(file.clone(), "what is done")]);
        let files = files.filter(|(file, _)| file.parent() != Some(base) || !system.trust.is_strange(base));
        for (place, what) in whole.into_iter().chain(files).filter(|(place, _)| system.trust.is_strange(place)) {
            let place = place.display();
            self.events.warn(&format!("a container may write to {place}: whoever is root in it decides over {what}"));
        }
        state::check(&system.trust)?;
        if let Some(why) = self.settings.unused_database.as_ref().filter(|_| !system.databases.is_empty()) {
            self.events.warn(why);
        }
        if let Some(why) = &system.no_engine {
            self.events.warn_with(
                &format!("volumes and databases in containers are out of reach: {why}"),
                "where there is no engine, `enabled = false` in [docker] says so",
            );
        }
        Ok(system)
    }
}

fn is_not_found(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(larder::repo::Error::NotFound { .. }))
}
