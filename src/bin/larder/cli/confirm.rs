//! Questions before something is deleted.

use larder::pipeline;

use super::terminal::Terminal;
use crate::error::UsageError;
use crate::term::console::confirm;

/// Asks whether something is to be deleted; an error unless the answer is yes.
pub(super) fn confirm_deletion(terminal: &Terminal<'_>, question: &str) -> anyhow::Result<()> {
    match confirm(question, terminal.console.cancel()).map_err(pipeline::Error::from)? {
        Some(true) => Ok(()),
        Some(false) => Err(UsageError::new("nothing was deleted").into()),
        None => Err(UsageError::with_advice(
            "nobody is there to confirm that snapshots are deleted",
            "`--force` deletes without a question",
        )
        .into()),
    }
}
