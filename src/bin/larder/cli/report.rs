//! How an error is printed.

use crate::app::advice::classify;
use crate::error::with_causes;
use crate::exit::Exit;
use crate::term::console;

/// Prints an error with its causes and what to do about it.
pub(crate) fn report(error: &anyhow::Error) -> Exit {
    let (exit, advice) = classify(error);
    console::error(&with_causes(error.as_ref()));
    if let Some(advice) = advice {
        console::advice(advice);
    }
    exit
}
