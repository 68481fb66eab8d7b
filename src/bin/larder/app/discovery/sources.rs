//! What was found as sources of a backup.

use std::path::Path;

use larder::docker::{self, HoldMethod};
use larder::model::{ComponentKind, ComponentName};
use larder::pipeline::backup::{ComponentSource, Origin, VolumeOrigin};
use larder::repo::Repository;
use larder::rooted::Guarded;
use larder::source::postgres::DumpSource;
use larder::source::{self, DirSource, VolumeSource, VolumeUse};

use super::system::System;
use crate::config::{Directory, VolumeSettings, decision_on_mount};

impl System<'_> {
    /// The names of all components that are configured or found.
    pub(crate) fn names(&self) -> Vec<String> {
        let databases = self.databases.iter().map(|database| database.name.to_string());
        let directories = self.settings.directories.iter().map(|directory| directory.name.to_string());
        databases.chain(directories).chain(self.volumes.iter().map(|volume| volume.name.to_string())).collect()
    }

    /// The sources of the named components: databases, directories, volumes.
    pub(crate) fn sources(
        &self,
        repository: Option<&Repository>,
        names: &[String],
    ) -> anyhow::Result<Vec<ComponentSource>> {
        let wanted = |name: &ComponentName| names.iter().any(|wanted| wanted == name.as_str());
        let mut sources = Vec::new();
        let secret = repository.map_or([0; 32], |repository| *repository.config().id.as_bytes());
        for database in self.databases.iter().filter(|database| wanted(&database.name)) {
            let origin = match &database.connection {
                Ok(connection) => {
                    let source = DumpSource::new(connection.clone(), secret).by_tables(self.settings.tables);
                    Origin::Database(Box::new(source.reporting(database.others_unknown.clone())))
                }
                Err(why) => Origin::missing(ComponentKind::Database, why.clone()),
            };
            sources.push(ComponentSource { name: database.name.clone(), origin });
        }
        let guarded = repository.map(Repository::guarded).transpose()?.unwrap_or_default();
        let repository_root = repository.map(|_| self.settings.backup_dir.as_path());
        for directory in self.settings.directories.iter().filter(|directory| wanted(&directory.name)) {
            let origin = Origin::Directory(self.directory_source(directory).forbidding(guarded.clone()));
            sources.push(ComponentSource { name: directory.name.clone(), origin });
        }
        for volume in self.volumes.iter().filter(|volume| wanted(&volume.name)) {
            let origin = match &volume.found {
                Ok(found) => forbid(self.volume_origin(found, &volume.settings)?, repository_root),
                Err(why) => Origin::missing(ComponentKind::Volume, why.clone()),
            };
            sources.push(ComponentSource { name: volume.name.clone(), origin });
        }
        Ok(sources)
    }

    /// A directory as a source, which knows the other components, and how a mount in it is dealt with.
    pub(crate) fn directory_source(&self, directory: &Directory) -> DirSource {
        let missing = |directory: &Directory| {
            let source = self.undecided_source(directory).forbidding(Guarded::at(&self.settings.backup_dir));
            source.missing_patterns()
        };
        let source = self.undecided_source(directory);
        match decision_on_mount((&self.settings.base, &self.settings.directories), directory, missing) {
            Some(decision) => source.deciding(decision),
            None => source,
        }
    }

    fn undecided_source(&self, directory: &Directory) -> DirSource {
        let others = self.settings.directories.iter().filter(|other| other.name != directory.name);
        let source = DirSource::new(&directory.path, directory.excludes.clone()).trusting(self.trust.clone());
        others.fold(source, |source, other| source.beside(other.name.as_str(), &other.path))
    }

    /// A volume as a source, with the containers that are to be held for it.
    pub(crate) fn volume_origin(&self, volume: &docker::Volume, settings: &VolumeSettings) -> anyhow::Result<Origin> {
        let source = match self.volume_source(volume, settings)? {
            Ok(source) => source,
            Err(error) => return Ok(Origin::missing(ComponentKind::Volume, error.to_string())),
        };
        let limit = self.settings.docker.hold_limit;
        Ok(Origin::Volume(Box::new(VolumeOrigin { source, hold: settings.hold, limit })))
    }

    /// A volume as a source, or why it cannot be read as the settings say.
    pub(crate) fn volume_source(
        &self,
        volume: &docker::Volume,
        settings: &VolumeSettings,
    ) -> anyhow::Result<Result<VolumeSource, source::Error>> {
        let usage = VolumeUse {
            containers: self.stack.users(&volume.name),
            server_data: self.stack.server_data(&volume.name),
            is_stopped: settings.hold == Some(HoldMethod::Stop),
            trust: self.trust.clone(),
        };
        let excludes = settings.excludes.clone();
        Ok(VolumeSource::new(self.engine()?, volume.clone(), settings.method, excludes, usage))
    }
}

/// Leaves the repository out of a volume.
fn forbid(mut origin: Origin, repository: Option<&Path>) -> Origin {
    if let Origin::Volume(volume) = origin {
        let VolumeOrigin { source, hold, limit } = *volume;
        origin = Origin::Volume(Box::new(VolumeOrigin { source: source.forbidding(repository), hold, limit }));
    }
    origin
}
