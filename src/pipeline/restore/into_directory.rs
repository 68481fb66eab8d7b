//! Restoring a component as a directory: its own in the live system, or as an entry of a folder.

use std::path::Path;

use super::component_target::{ComponentTarget, Run, ToWrite};
use super::options::TreeOptions;
use super::report::ComponentRestore;
use super::tree::{Place, ProtectedPaths, TreeRestore};
use crate::model::Component;
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::rooted::Trust;
use crate::source::Excludes;

/// The directory of a component in the live system.
pub(super) struct LiveDirectory<'a> {
    pub(super) folder: &'a Path,
    pub(super) excludes: &'a Excludes,
    pub(super) trust: &'a Trust,
}

impl ComponentTarget for LiveDirectory<'_> {
    fn describe(&self, _component: &Component) -> String {
        self.folder.display().to_string()
    }

    fn takes_parts(&self) -> bool {
        true
    }

    fn comes_first(&self) -> bool {
        false
    }

    fn wait(&self, _restarted: &dyn Fn(&String) -> bool, _monitor: &Monitor<'_>) {}

    fn write(&self, run: Run<'_>, what: ToWrite<'_>, result: &mut ComponentRestore) -> Result<(), Error> {
        let ToWrite { component, root, parts, lost, saved } = what;
        if !root.is_directory() {
            let why = "is a stream and has no place of its own: use --target";
            return Err(Error::Refused(format!("{} {why}", component.name)));
        }
        let make_equal = run.options.is_made_equal(component, result);
        let options = TreeOptions { make_equal, dry_run: run.options.dry_run, delete_before_write: false };
        let protected = ProtectedPaths::new(self.excludes.clone()).but(saved);
        let place = Place { root: self.folder, trust: self.trust, protected };
        let restore = TreeRestore::live(run.repository, place, options, lost).only(parts);
        restore.run(component, root, result, run.monitor)
    }
}

/// A folder in which a component becomes an entry of its name. What else is there stays.
pub(super) struct Folder<'a> {
    pub(super) folder: &'a Path,
    pub(super) trust: &'a Trust,
}

impl ComponentTarget for Folder<'_> {
    fn describe(&self, component: &Component) -> String {
        self.folder.join(component.name.as_str()).display().to_string()
    }

    fn takes_parts(&self) -> bool {
        true
    }

    fn comes_first(&self) -> bool {
        false
    }

    fn wait(&self, _restarted: &dyn Fn(&String) -> bool, _monitor: &Monitor<'_>) {}

    fn write(&self, run: Run<'_>, what: ToWrite<'_>, result: &mut ComponentRestore) -> Result<(), Error> {
        let ToWrite { component, root, parts, lost, .. } = what;
        let options = TreeOptions { make_equal: false, dry_run: run.options.dry_run, delete_before_write: false };
        let place = Place::new(self.folder, self.trust);
        let restore = TreeRestore::into_folder(run.repository, place, options, lost).only(parts);
        restore.run(component, root, result, run.monitor)
    }
}
