//! The layers, lowest first, and the arrows that go up.

use std::collections::BTreeSet;

use crate::imports::Arrow;
use crate::sources::{PROGRAM, SourceFile};

/// The modules of the library. A module uses only its own layer and those below it.
pub(crate) const LIBRARY: &[&[&str]] = &[
    &["cancel", "clock", "events", "id", "limits", "little_endian", "monitor", "rooted", "runtime", "temporary"],
    &["storage"],
    &["chunk", "parity"],
    &["pack"],
    &["index"],
    &["repo"],
    &["model"],
    &["docker"],
    &["process"],
    &["postgres"],
    &["source"],
    &["sink"],
    &["pipeline"],
];

/// The modules of the program, above the library. A module uses only those in the layers below its own, and not its neighbours: neither
/// `cli` nor `service` knows the other.
pub(crate) const PROGRAM_LAYERS: &[&[&str]] = &[
    &["error", "exit", "units"],
    &["host", "term"],
    &["config"],
    &["host_schedule"],
    &["app"],
    &["view"],
    &["cli", "service"],
];

/// The arrows that go up, and the files that are in no layer.
pub(crate) fn upward(files: &[SourceFile], arrows: &BTreeSet<Arrow>) -> Vec<String> {
    let unknown = files.iter().filter(|file| layer_of(&file.path).is_none());
    let unknown = unknown.map(|file| format!("{}: it is in no layer of tests/layers/order.rs", file.path));
    let up = arrows.iter().filter(|arrow| is_up(&arrow.from, &arrow.to));
    let up = up.map(|Arrow { from, to, line, name }| format!("{from}:{line}: {name} of {to} lies above it"));
    unknown.chain(up).collect()
}

fn is_up(from: &str, to: &str) -> bool {
    let (Some((from_layer, from)), Some((to_layer, to))) = (layer_of(from), layer_of(to)) else { return false };
    let is_beside = from_layer == to_layer && from_layer > LIBRARY.len() && from != to;
    to_layer > from_layer || is_beside
}

/// The layer of a file, and its module.
fn layer_of(path: &str) -> Option<(usize, &str)> {
    let module = |path: &'_ str| path.split('/').next().map(|name| name.trim_end_matches(".rs").to_owned());
    if let Some(rest) = path.strip_prefix(PROGRAM) {
        let name = module(rest)?;
        let layer = PROGRAM_LAYERS.iter().position(|layer| layer.contains(&name.as_str()));
        let found = layer.map(|layer| (LIBRARY.len() + 1 + layer, named(rest)));
        // Above everything.
        return if name == "main" { Some((usize::MAX, "main")) } else { found };
    }
    let rest = path.strip_prefix("src/")?;
    let name = module(rest)?;
    if name == "lib" {
        return Some((LIBRARY.len(), "lib"));
    }
    let layer = LIBRARY.iter().position(|layer| layer.contains(&name.as_str()))?;
    Some((layer, named(rest)))
}

fn named(path: &str) -> &str {
    path.split(['/', '.']).next().unwrap_or_default()
}

/// Modules that `src/lib.rs` declares otherwise than the list of layers has them.
pub(crate) fn undeclared(root: &SourceFile) -> Option<String> {
    let listed: Vec<&str> = LIBRARY.concat();
    let declared = root.syntax.items.iter().filter_map(|item| match item {
        syn::Item::Mod(module) => Some(module.ident.to_string()),
        _ => None,
    });
    let declared: Vec<String> = declared.collect();
    (declared != listed).then(|| format!("{}: declares {declared:?}, and the layers are {listed:?}", root.path))
}
