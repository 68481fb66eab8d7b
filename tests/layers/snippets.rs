//! The rules on snippets that break them, and on some that do not.

use crate::circles::circles;
use crate::homes::{HOMES, strangers, unknown_dependencies};
use crate::imports::arrows;
use crate::order::{LIBRARY, undeclared, upward};
use crate::shape::{FILE_LINES_MAX, FUNCTION_LINES_MAX, long_file, long_functions, missing_introduction, wildcards};
use crate::sources::SourceFile;

fn files(texts: &[(&str, &str)]) -> Vec<SourceFile> {
    texts.iter().map(|(path, text)| SourceFile::new(path, text)).collect()
}

fn found_upward(texts: &[(&str, &str)]) -> Vec<String> {
    let files = files(texts);
    upward(&files, &arrows(&files))
}

#[test]
fn an_upward_import_is_found() {
    let index = ("src/index/mod.rs", "pub struct Index;");
    let id = ("src/id.rs", "pub struct Id;");
    assert_eq!(
        found_upward(&[id, index, ("src/pack/x.rs", "use crate::id::Id;\nuse crate::index::Index;\n")]).len(),
        1
    );
    let named = ("src/pack/x.rs", "fn f() {\n    crate::index::Index\n}");
    assert!(found_upward(&[index, named])[0].starts_with("src/pack/x.rs:2: "));
    assert_eq!(found_upward(&[index, ("src/pack/x.rs", "fn f() { assert!(g(crate::index::Index)) }")]).len(), 1);
    assert_eq!(found_upward(&[id, ("src/index/mod.rs", "use crate::id::Id;")]), Vec::<String>::new());
    assert_eq!(found_upward(&[("src/attic.rs", "")]).len(), 1);
    let harmless = "//! crate::index::Index\nconst A: &str = \"crate::index::Index\"; // crate::index::Index\n\
                    #[cfg(test)]\nmod tests { use crate::index::Index; }";
    assert_eq!(found_upward(&[index, ("src/pack/x.rs", harmless)]), Vec::<String>::new());
}

#[test]
fn the_program_has_layers_too() {
    let list = ("src/bin/larder/app/list.rs", "pub fn list() { larder::id::Id; }");
    let id = ("src/id.rs", "pub struct Id;");
    let cli = ("src/bin/larder/cli/list.rs", "pub fn run() { crate::app::list::list() }");
    assert_eq!(found_upward(&[id, list, cli]), Vec::<String>::new());
    let printing = ("src/bin/larder/app/list.rs", "pub fn list() { crate::cli::list::run() }");
    assert_eq!(found_upward(&[printing, ("src/bin/larder/cli/list.rs", "pub fn run() {}")]).len(), 1);
    let service = ("src/bin/larder/service/mod.rs", "use crate::cli::list::run;");
    assert_eq!(found_upward(&[service, ("src/bin/larder/cli/list.rs", "pub fn run() {}")]).len(), 1, "neighbours");
    assert_eq!(found_upward(&[("src/bin/larder/main.rs", "fn main() { crate::app::f() }")]), Vec::<String>::new());
}

#[test]
fn a_circle_is_found_through_the_names_that_a_module_gives_on() {
    let circle = |texts: &[(&str, &str)]| circles(&arrows(&files(texts))).len();
    let module = ("src/pack/mod.rs", "mod a;\nmod b;\npub use a::A;\npub use b::B;\n");
    let (a, b) = (("src/pack/a.rs", "use super::B;\npub struct A(B);"), ("src/pack/b.rs", "pub struct B;"));
    assert_eq!(circle(&[module, a, b]), 0);
    assert_eq!(circle(&[module, a, ("src/pack/b.rs", "pub struct B;\nfn f(_: crate::pack::A) {}")]), 1);
    // A module and what lies in it are no exception.
    let parent = ("src/pack/mod.rs", "mod a;\npub struct P;\nfn f() { a::g() }\n");
    assert_eq!(circle(&[parent, ("src/pack/a.rs", "pub fn g(_: super::P) {}")]), 1);
    assert_eq!(
        circle(&[parent, ("src/pack/a.rs", "pub fn g() {}\n#[cfg(test)]\nmod tests { use super::super::P; }")]),
        0
    );
}

#[test]
fn an_undeclared_layer_is_found() {
    let declared = format!("pub mod {};\n", LIBRARY.concat().join(";\n\npub mod "));
    assert_eq!(undeclared(&SourceFile::new("src/lib.rs", &declared)), None);
    assert!(undeclared(&SourceFile::new("src/lib.rs", &format!("{declared}pub mod attic;\n"))).is_some());
}

#[test]
fn a_dependency_outside_of_its_home_is_found() {
    let found = |path: &str, text: &str| strangers(&SourceFile::new(path, text)).len();
    assert_eq!(found("src/model/tree.rs", "use bincode::config;\n"), 1);
    assert_eq!(found("src/model/codec.rs", "use bincode::config;\n"), 0);
    assert_eq!(found("src/repo/mod.rs", "fn f() -> anyhow::Result<()> { toml::from_str(self::toml::TEXT) }\n"), 2);
    assert_eq!(found("src/bin/larder/cli/list.rs", "use anyhow::Result;\n"), 0);
    assert_eq!(unknown_dependencies("[dependencies]\nbincode = \"2\"\n").len(), HOMES.len() - 1);
}

#[test]
fn a_wildcard_is_found() {
    let found = |text: &str| wildcards(&SourceFile::new("src/pack/x.rs", text)).len();
    assert_eq!(found("use crate::*;\npub use super::layout::*;\nuse std::io::prelude::*;\n"), 2);
    assert_eq!(found("mod tests {\n    use super::*;\n}\nmod contract {\n    use super::*;\n}\n"), 0);
    assert_eq!(found("mod other {\n    use super::*;\n}\n"), 1);
}

#[test]
fn a_file_without_an_introduction_is_found() {
    assert!(missing_introduction(&SourceFile::new("src/x.rs", "use std::fs;\n")).is_some());
    assert_eq!(missing_introduction(&SourceFile::new("src/x.rs", "//! What it owns.\n")), None);
}

#[test]
fn a_long_file_is_found() {
    let found = |lines: usize| long_file(&SourceFile::new("src/x.rs", &"\n".repeat(lines))).is_some();
    assert!(found(FILE_LINES_MAX + 1) && !found(FILE_LINES_MAX));
}

#[test]
fn a_long_function_is_found() {
    let found = |before: &str, lines: usize| {
        let body = "        work(\"}\");\n".repeat(lines - 2);
        let text = format!("impl X {{\n    fn short() {{}}\n\n    {before} {{\n{body}    }}\n}}\n");
        long_functions(&SourceFile::new("src/x.rs", &text))
    };
    assert!(found("fn f()", FUNCTION_LINES_MAX).is_empty());
    for (before, lines) in
        [("fn f()", 0), ("pub(super) const fn f()", 0), ("pub async fn f(\n        a: u8,\n    ) -> u8", 2)]
    {
        let problems = found(before, FUNCTION_LINES_MAX + 1 - lines);
        assert!(problems.len() == 1 && problems[0].starts_with("src/x.rs:4: "), "{before}: {problems:?}");
    }
}
