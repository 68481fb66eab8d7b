//! The sources, read and parsed once, and which module each of them is.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

/// Where the program lives, above all layers of the library.
pub(crate) const PROGRAM: &str = "src/bin/larder/";

/// A file of the sources.
pub(crate) struct SourceFile {
    /// Relative to the root of the crate, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) syntax: syn::File,
}

impl SourceFile {
    /// A file of this text.
    ///
    /// # Panics
    /// It is not Rust.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { path: path.to_owned(), text: text.to_owned(), syntax }
    }

    /// The root of its crate and the names of its module: `lib pack layout` for `src/pack/layout.rs`, `bin cli list` for one
    /// of the program.
    pub(crate) fn module(&self) -> Vec<String> {
        let (root, path) = match self.path.strip_prefix(PROGRAM) {
            Some(path) => ("bin", path),
            None => ("lib", self.path.trim_start_matches("src/")),
        };
        let mut names = vec![root.to_owned()];
        names.extend(path.trim_end_matches(".rs").split('/').map(str::to_owned));
        if matches!(names.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            names.pop();
        }
        names
    }

    /// `path:line`.
    pub(crate) fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }
}

/// The text of a file of the crate.
///
/// # Panics
/// It cannot be read.
pub(crate) fn read(path: &str) -> String {
    let absolute = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&absolute).unwrap_or_else(|error| panic!("cannot read {}: {error}", absolute.display()))
}

/// All sources of the library and of the program.
pub(crate) fn all() -> Vec<SourceFile> {
    let mut files = Vec::new();
    collect("src", &mut files);
    assert!(files.iter().any(|file| file.path == "src/lib.rs"), "the sources were found");
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn collect(folder: &str, files: &mut Vec<SourceFile>) {
    let absolute = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    for entry in fs::read_dir(absolute).expect("a folder of sources") {
        let found = entry.expect("an entry of a folder of sources").path();
        let path = format!("{folder}/{}", found.file_name().and_then(OsStr::to_str).expect("a name in UTF-8"));
        if found.is_dir() {
            collect(&path, files);
        } else if found.extension() == Some(OsStr::new("rs")) {
            files.push(SourceFile::new(&path, &read(&path)));
        }
    }
}
