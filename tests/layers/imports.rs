//! Which file uses which: an arrow goes from a file to each one that defines something which the first one names.
//!
//! A `pub use` is no arrow by itself: whoever takes the name from there has an arrow to where it is defined.

use std::collections::{BTreeMap, BTreeSet};

use crate::names::{Named, Names};
use crate::sources::SourceFile;

/// The root of a crate, and the names of modules and items below it.
type Path = Vec<String>;

/// Longest chain of declarations that give a name on.
const HOPS_MAX: usize = 20;

/// An arrow from one file to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrow {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) line: usize,
    /// What is named.
    pub(crate) name: String,
}

/// All files by their modules, with the names that each brings in.
struct Modules<'f> {
    files: BTreeMap<Path, &'f SourceFile>,
    names: BTreeMap<Path, Names>,
    uses: BTreeMap<Path, BTreeMap<String, Path>>,
}

/// The arrows between files.
pub(crate) fn arrows(files: &[SourceFile]) -> BTreeSet<Arrow> {
    let modules = Modules::new(files);
    let mut arrows = BTreeSet::new();
    for (module, file) in &modules.files {
        for (path, named) in modules.used_by(module) {
            if let Some(to) = modules.defining(&path, 0).filter(|to| to.path != file.path) {
                let (from, to) = (file.path.clone(), to.path.clone());
                arrows.insert(Arrow { from, to, line: named.line, name: named.names.join("::") });
            }
        }
    }
    arrows
}

impl<'f> Modules<'f> {
    fn new(files: &'f [SourceFile]) -> Self {
        let mut modules = Self { files: BTreeMap::new(), names: BTreeMap::new(), uses: BTreeMap::new() };
        for file in files {
            modules.files.insert(file.module(), file);
            modules.names.insert(file.module(), Names::of(&file.syntax));
        }
        for (module, names) in &modules.names {
            let uses = names.uses.iter().filter_map(|used| {
                let path = modules.absolute(module, &used.path)?;
                Some((used.name.clone(), path))
            });
            modules.uses.insert(module.clone(), uses.collect());
        }
        modules
    }

    /// Everything of the crate that a file names, by whole paths.
    fn used_by(&self, module: &Path) -> Vec<(Path, &Named)> {
        let names = &self.names[module];
        let own = names.uses.iter().filter(|used| !used.is_public).map(|used| &used.path);
        let own = own.filter_map(|path| Some((self.absolute(module, path)?, path)));
        let named = names.paths.iter().filter_map(|path| {
            let used = path.names.first().and_then(|first| self.uses[module].get(first));
            let whole = match used {
                Some(used) => [used.as_slice(), &path.names[1..]].concat(),
                None => self.absolute(module, path)?,
            };
            Some((whole, path))
        });
        own.chain(named).collect()
    }

    /// A path from the root of its crate; `None` for one of another crate, or of something in the file itself.
    fn absolute(&self, module: &Path, path: &Named) -> Option<Path> {
        let mut base: Path = [module.as_slice(), &path.inner].concat();
        let mut rest = path.names.as_slice();
        match rest.first().map(String::as_str) {
            Some("crate") => (base, rest) = (vec![module.first()?.clone()], &rest[1..]),
            Some("larder") if module.first().is_some_and(|root| root == "bin") => {
                (base, rest) = (vec!["lib".to_owned()], &rest[1..]);
            }
            Some("self") => rest = &rest[1..],
            Some("super") => {
                while let Some((_, after)) = rest.split_first().filter(|(first, _)| *first == "super") {
                    base.pop();
                    rest = after;
                }
            }
            Some(first) => {
                base.clone_from(module);
                let child = [base.as_slice(), &[first.to_owned()]].concat();
                if !self.files.contains_key(&child) {
                    return None;
                }
            }
            None => return None,
        }
        Some([base.as_slice(), rest].concat())
    }

    /// The file that defines what a path names; `None` for a module, which is nothing until something of it is named.
    fn defining(&self, path: &[String], hops: usize) -> Option<&'f SourceFile> {
        let len = (1..=path.len()).rev().find(|len| self.files.contains_key(&path[..*len]))?;
        let module = &path[..len];
        let item = path.get(len)?;
        match self.uses[module].get(item) {
            Some(_) if hops == HOPS_MAX => None,
            Some(used) => self.defining(&[used.as_slice(), &path[len + 1..]].concat(), hops + 1),
            None => self.files.get(module).copied(),
        }
    }
}
