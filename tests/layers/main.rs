//! Holds the sources to their rules: layers, no circles of files, homes of dependencies, lengths, first lines, wildcards.
//!
//! They are parsed. Every rule has a test of its own that proves that it can fail.

mod circles;
mod homes;
mod imports;
mod names;
mod order;
mod shape;
mod snippets;
mod sources;

use sources::SourceFile;

fn check<Problems: IntoIterator<Item = String>>(rule: impl Fn(&SourceFile) -> Problems) {
    assert_none(sources::all().iter().flat_map(rule).collect());
}

fn assert_none(mut problems: Vec<String>) {
    problems.sort();
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn imports_go_down_only() {
    let files = sources::all();
    assert_none(order::upward(&files, &imports::arrows(&files)));
}

#[test]
fn no_file_is_in_a_circle() {
    assert_none(circles::circles(&imports::arrows(&sources::all())));
}

#[test]
fn the_crate_declares_its_layers_in_order() {
    assert_eq!(order::undeclared(&SourceFile::new("src/lib.rs", &sources::read("src/lib.rs"))), None);
}

#[test]
fn each_dependency_stays_at_home() {
    check(homes::strangers);
    assert_none(homes::unknown_dependencies(&sources::read("Cargo.toml")));
}

#[test]
fn no_wildcard_hides_what_is_used() {
    check(shape::wildcards);
}

#[test]
fn every_file_says_what_it_is_for() {
    check(shape::missing_introduction);
}

#[test]
fn no_file_is_too_long() {
    check(shape::long_file);
}

#[test]
fn no_function_is_too_long() {
    check(shape::long_functions);
}
