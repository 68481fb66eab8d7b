//! How damaged objects and lost files are shown, by every command that finds them.

use larder::pipeline::verify::{Affected, Damage};
use serde_json::{Value, json};

use super::Context;

/// Most lost files that are named one by one.
const AFFECTED_SHOWN: usize = 50;

/// Names the damaged objects.
pub(super) fn print_damage(context: &Context<'_>, damage: &[Damage]) {
    for Damage { object, what } in damage {
        context.output.line(&format!("DAMAGED {object}: {what}"));
    }
}

/// Names the files that are lost, or as many as anyone reads.
pub(super) fn print_lost(context: &Context<'_>, affected: &Affected) {
    for (snapshot, damage) in affected.listed.iter().take(AFFECTED_SHOWN) {
        context.output.line(&format!("LOST {snapshot}:{}: {}", damage.object, damage.what));
    }
    let hidden = affected.listed.len().saturating_sub(AFFECTED_SHOWN) as u64 + affected.more;
    if hidden > 0 {
        context.output.line(&format!("LOST {hidden} more"));
    }
}

pub(super) fn damage_json(damage: &[Damage]) -> Vec<Value> {
    damage.iter().map(|Damage { object, what }| json!({ "object": object, "what": what })).collect()
}

pub(super) fn lost_json(affected: &Affected) -> Vec<Value> {
    let lost = affected.listed.iter();
    lost.map(|(snapshot, damage)| json!({ "snapshot": snapshot, "path": damage.object, "what": damage.what })).collect()
}
