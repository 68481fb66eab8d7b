//! What of a snapshot a restore is asked for: all of it, or paths.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use larder::model::{Component, ComponentKind, Parts, Snapshot, show_path};
use larder::monitor::Monitor;
use larder::pipeline::find;
use larder::repo::Repository;

use crate::error::UsageError;
use crate::host::shell::quoted;

/// A snapshot, and paths in it.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// The name of the snapshot, or the path of a folder or dump.
    pub(crate) name: String,
    /// None for all of it.
    pub(crate) paths: Vec<String>,
}

impl Wanted {
    /// Takes arguments apart, each of which is `NAME`, `NAME:PATH`, or the path of a folder or dump.
    pub(crate) fn parse(places: &[String]) -> Result<Self, UsageError> {
        let mut wanted: Option<Self> = None;
        for text in places {
            let (name, path) = match text.split_once(':') {
                Some((name, path)) if !name.contains('/') => (name, Some(path)),
                _ => (text.as_str(), None),
            };
            check(text, path)?;
            match &mut wanted {
                None => {
                    wanted = Some(Self { name: name.to_owned(), paths: path.into_iter().map(str::to_owned).collect() });
                }
                Some(wanted) if path.is_some() && wanted.name == name && !wanted.paths.is_empty() => {
                    wanted.paths.extend(path.map(str::to_owned));
                }
                Some(Self { name: first, paths }) if path.is_none() && !paths.is_empty() => {
                    let advice =
                        format!("every path has the snapshot before it: {}", quoted(&format!("{first}:{text}")));
                    return Err(UsageError::with_advice(format!("{text} is not of the form NAME:PATH"), advice));
                }
                Some(Self { name: first, .. }) => {
                    let advice = "several arguments are paths of one snapshot: NAME:PATH NAME:PATH";
                    return Err(UsageError::with_advice(
                        format!("{first} and {text} cannot be restored at once"),
                        advice,
                    ));
                }
            }
        }
        wanted.ok_or_else(|| UsageError::new("the name of a snapshot is missing"))
    }

    /// The parts that are meant; `None` for the whole snapshot.
    pub(crate) fn parts(
        &self,
        repository: &Repository,
        snapshot: &Snapshot,
        monitor: &Monitor<'_>,
    ) -> anyhow::Result<Option<Arc<Parts>>> {
        if self.paths.is_empty() {
            return Ok(None);
        }
        let parts = find::parts(repository, snapshot, &self.paths, monitor)?;
        Ok(Some(Arc::new(parts)))
    }
}

/// Refuses what would mean more than was meant.
fn check(text: &str, path: Option<&str>) -> Result<(), UsageError> {
    if path.is_some_and(|path| path.trim_matches('/').is_empty()) {
        let advice = "NAME alone restores the whole snapshot";
        return Err(UsageError::with_advice(format!("'{text}' has no path behind its colon"), advice));
    }
    let is_in_folder = |(folder, _): (&str, &str)| !Path::new(text).exists() && Path::new(folder).exists();
    if path.is_none() && text.rsplit_once(':').is_some_and(is_in_folder) {
        let message = format!("{text}: paths are those of snapshots, and not of folders that were not imported");
        return Err(UsageError::with_advice(message, "`larder import` makes a snapshot of the folder"));
    }
    Ok(())
}

/// The components that some parts are of.
pub(crate) fn components_of(parts: &Parts) -> Vec<String> {
    let component = |path: &[u8]| path.split(|byte| *byte == b'/').next().map(show_path);
    parts.paths().filter_map(component).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Refuses parts of what can only be put into the live system as a whole.
pub(crate) fn check_live(parts: &Parts, components: &[&Component]) -> Result<(), UsageError> {
    for component in components {
        let name = component.name.as_str().as_bytes();
        let (what, advice) = match component.kind {
            _ if parts.covers(name) => continue,
            ComponentKind::Directory | ComponentKind::Stream => continue,
            ComponentKind::Database => ("database", "`--tables` restores some of its tables"),
            ComponentKind::Volume => ("volume", "`--components` restores all of it"),
        };
        let path = parts_of(parts, component).into_iter().next();
        let message = format!("{} is a part of the {what} {}", path.unwrap_or_default(), component.name);
        return Err(UsageError::with_advice(message, format!("{advice}; --target DIR gives the files of it")));
    }
    Ok(())
}

/// The paths below a component, as text.
pub(crate) fn parts_of(parts: &Parts, component: &Component) -> Vec<String> {
    let start = format!("{}/", component.name);
    parts.paths().filter(|path| path.starts_with(start.as_bytes())).map(show_path).collect()
}
