//! Containers that killed commands have left held: they are let go on, or started when their volumes are whole again.

use larder::docker::{Engine, Journal, Purpose};
use larder::pipeline::backup::journal_folder;
use larder::pipeline::restore::ComponentRestore;
use larder::repo::Repository;

use crate::console::{advice, line, warning};

/// Starts the containers again that a killed restore of the same volumes has left stopped.
pub(super) fn start_after_killed_restores(repository: &Repository, results: &[ComponentRestore]) {
    for (journal, leftover) in Journal::leftovers(&journal_folder(repository)) {
        let Purpose::Restore { components, .. } = &leftover.purpose else { continue };
        if !components.iter().all(|name| results.iter().any(|result| result.name == *name)) {
            continue;
        }
        let resumed = Engine::connect(Some(&leftover.host)).and_then(|engine| leftover.resume(&engine));
        match resumed {
            Ok(()) => journal.clear(),
            Err(error) => warning(&format!("containers of a killed restore cannot be started: {error}")),
        }
    }
}

/// Lets containers go on that a killed command has left held.
pub(super) fn make_good(repository: &Repository) {
    for (journal, leftover) in Journal::leftovers(&journal_folder(repository)) {
        let names = leftover.containers.join(", ");
        let engine = Engine::connect(Some(&leftover.host));
        if let Purpose::Restore { snapshot, components, safety } = &leftover.purpose {
            if engine.is_ok_and(|engine| leftover.is_over(&engine).unwrap_or(false)) {
                journal.clear();
                continue;
            }
            let what = components.join(", ");
            warning(&format!("a restore of {what} was killed, and {names} are stopped since"));
            let before = safety.as_ref().map(|name| format!(", or {name} for what was there before"));
            advice(&format!(
                "`larder restore {snapshot} --components {}` writes it again and starts them{}",
                components.join(","),
                before.unwrap_or_default()
            ));
            continue;
        }
        match engine.and_then(|engine| leftover.resume(&engine)) {
            Ok(()) => {
                line(&format!("note: a killed backup held {names}; they go on now"));
                journal.clear();
            }
            Err(error) => warning(&format!("a killed backup held {names}, and they cannot be let go on: {error}")),
        }
    }
}
