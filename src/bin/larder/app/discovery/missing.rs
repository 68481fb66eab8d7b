//! What earlier backups of the system had, and is neither configured nor found now.

use larder::model::{Component, ComponentKind, ComponentName, Expectation, Expected};

use super::system::System;
use crate::config::VOLUME_PREFIX;

/// A component that is expected and is not there.
#[derive(Debug)]
pub(crate) struct Missing {
    pub(crate) name: ComponentName,
    pub(crate) kind: ComponentKind,
    /// What it was read from when it was there.
    pub(crate) source: String,
    pub(crate) why: String,
}

impl System<'_> {
    /// What is expected and neither configured nor found, but for what the settings say is not to be saved.
    pub(crate) fn missing(&self, expectation: &Expectation<'_>) -> Vec<Missing> {
        let names = self.present_names();
        let is_gone = |expected: &&Expected<'_>| {
            !names.iter().any(|name| name == expected.component.name.as_str()) && !self.is_unwanted(expected.component)
        };
        let missing = |Expected { snapshot, component }: &Expected<'_>| {
            let (name, source) = (component.name.clone(), component.source.clone());
            let way_out = format!("To go on without it, add `--drop {name}` to `larder create`");
            let why = format!("{} has it from {source}, and {}. {way_out}", snapshot.name, self.why_gone(component));
            Missing { name, kind: component.kind, source, why }
        };
        expectation.iter().filter(is_gone).map(missing).collect()
    }

    /// What is expected, and is not to be saved by the settings.
    pub(crate) fn unwanted(&self, expectation: &Expectation<'_>) -> Vec<ComponentName> {
        let names = self.present_names();
        let is_present = |component: &Component| names.iter().any(|name| name == component.name.as_str());
        let components = expectation.iter().map(|expected| expected.component);
        let unwanted = components.filter(|component| !is_present(component) && self.is_unwanted(component));
        unwanted.map(|component| component.name.clone()).collect()
    }

    /// The names of what is configured, and of what is found.
    fn present_names(&self) -> Vec<String> {
        let databases = self.databases.iter().map(|database| database.name.to_string());
        let volumes = self.volumes.iter().map(|volume| volume.name.to_string());
        databases.chain(self.present_directories()).chain(volumes).collect()
    }

    /// The directories that the user named, and of the default ones those that are there.
    pub(crate) fn present_directories(&self) -> Vec<String> {
        let directories = self.settings.directories.iter();
        let present = directories.filter(|directory| directory.configured || directory.path.exists());
        present.map(|directory| directory.name.to_string()).collect()
    }

    /// Whether the settings say that a component is not to be saved.
    fn is_unwanted(&self, component: &Component) -> bool {
        if component.kind == ComponentKind::Database && self.settings.skips_database {
            return true;
        }
        let short = component.name.as_str().strip_prefix(VOLUME_PREFIX);
        let settings = short.and_then(|short| self.settings.volumes.get(short));
        let is_skipped = settings.is_some_and(|settings| settings.skip);
        is_skipped || (self.settings.docker.enabled == Some(false) && is_of_engine(component))
    }

    /// Why a component is not there.
    fn why_gone(&self, component: &Component) -> String {
        let unknown = self.databases.iter().find_map(|database| database.others_unknown.clone());
        match (is_of_engine(component), &self.engine, &self.silent_engine) {
            (true, Some(_), _) => match unknown.filter(|_| component.kind == ComponentKind::Database) {
                Some(unknown) => unknown,
                None => "that is gone from the Docker Engine".to_owned(),
            },
            (true, None, Some(why)) => why.clone(),
            (true, None, None) => "no Docker Engine was found".to_owned(),
            (false, ..) if component.kind == ComponentKind::Database => {
                "no database is configured now (is DATABASE_URL set?)".to_owned()
            }
            (false, ..) => match self.settings.directory(component.name.as_str()) {
                Some(directory) => format!("{} is not there", directory.path.display()),
                None => "that is not configured any more".to_owned(),
            },
        }
    }
}

/// Whether a component was saved from an engine.
fn is_of_engine(component: &Component) -> bool {
    let in_container = component.database.as_ref().is_some_and(|facts| facts.container.is_some());
    component.kind == ComponentKind::Volume || in_container
}
