//! How damaged objects and lost files are shown, by every command that finds them.

use larder::pipeline::verify::{Affected, Damage};

use super::terminal::Terminal;

/// Most lost files that are named one by one.
const AFFECTED_SHOWN: usize = 50;

/// Names the damaged objects.
pub(super) fn print_damage(terminal: &Terminal<'_>, damage: &[Damage]) {
    for Damage { object, what } in damage {
        terminal.output.line(&format!("DAMAGED {object}: {what}"));
    }
}

/// Names the files that are lost, or as many as anyone reads.
pub(super) fn print_lost(terminal: &Terminal<'_>, affected: &Affected) {
    for (snapshot, damage) in affected.listed.iter().take(AFFECTED_SHOWN) {
        terminal.output.line(&format!("LOST {snapshot}:{}: {}", damage.object, damage.what));
    }
    let hidden = affected.listed.len().saturating_sub(AFFECTED_SHOWN) as u64 + affected.more;
    if hidden > 0 {
        terminal.output.line(&format!("LOST {hidden} more"));
    }
}
