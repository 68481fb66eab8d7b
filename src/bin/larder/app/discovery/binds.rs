//! Directories of the host that containers of the project write to, and that no component has.

use std::collections::BTreeMap;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::system::System;
use crate::host::real_path::real;

/// Where nothing lies that outlasts a start of the host.
const PASSING: [&str; 5] = ["/dev", "/proc", "/run", "/sys", "/var/run"];
/// Where a server has its data, unless its container says otherwise.
const DEFAULT_PGDATA: &str = "/var/lib/postgresql/data";

impl System<'_> {
    /// What containers of the project have mounted of the host to write, and no component has, each with the containers. The data
    /// of a server that is dumped is in the dump.
    pub(crate) fn uncovered_binds(&self) -> BTreeMap<PathBuf, Vec<String>> {
        let mut found: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
        let directories: Vec<PathBuf> =
            self.settings.directories.iter().map(|directory| real(&directory.path)).collect();
        let repository = real(&self.settings.backup_dir);
        let servers: Vec<String> = self.stack.servers().into_iter().map(|server| server.container.id).collect();
        for container in self.stack.containers() {
            let data = container.variable(&["PGDATA"]).unwrap_or(DEFAULT_PGDATA);
            let is_server = servers.contains(&container.id) && !self.databases.is_empty();
            for bind in container.binds.iter().filter(|bind| bind.writable) {
                let source = real(&bind.source);
                let is_covered = directories.iter().chain([&repository]).any(|place| source.starts_with(place))
                    || PASSING.iter().any(|place| source.starts_with(place))
                    || (is_server && Path::new(data).starts_with(&bind.destination))
                    || source.metadata().is_ok_and(|metadata| metadata.file_type().is_socket());
                if !is_covered {
                    let containers = found.entry(source).or_default();
                    if !containers.contains(&container.name) {
                        containers.push(container.name.clone());
                    }
                }
            }
        }
        found
    }
}
