//! Damaged objects and lost files, as every document has them that names some.

use larder::pipeline::verify::{Affected, Damage};
use serde::Serialize;

/// An object that is damaged.
#[derive(Debug, Serialize)]
pub(crate) struct DamageDocument<'a> {
    object: &'a str,
    what: &'a str,
}

/// A file of a snapshot that is lost.
#[derive(Debug, Serialize)]
pub(crate) struct LostDocument<'a> {
    snapshot: &'a str,
    path: &'a str,
    what: &'a str,
}

/// The damaged objects.
pub(super) fn damage(damage: &[Damage]) -> Vec<DamageDocument<'_>> {
    damage.iter().map(|Damage { object, what }| DamageDocument { object, what }).collect()
}

/// The lost files that are listed.
pub(super) fn lost(affected: &Affected) -> Vec<LostDocument<'_>> {
    let lost = affected.listed.iter();
    lost.map(|(snapshot, Damage { object, what })| LostDocument { snapshot, path: object, what }).collect()
}
