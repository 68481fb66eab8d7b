//! How an error is printed.

use crate::app::advice::classify;
use crate::error::with_causes;
use crate::exit::Exit;
use crate::term::console;
use crate::term::output::Output;
use crate::view::documents::error::ErrorDocument;

/// Prints an error with its causes and what to do about it; with `--json` also as a document, which is all that standard output has then.
pub(crate) fn report(error: &anyhow::Error, output: &Output) -> Exit {
    let (exit, advice) = classify(error);
    let text = with_causes(error.as_ref());
    console::error(&text);
    if let Some(advice) = advice {
        console::advice(advice);
    }
    if output.is_json() && !output.has_document() {
        // An error about an error has nowhere to go.
        let _ = output.document(&ErrorDocument { error: &text, advice, status: exit as u8 });
        output.flush();
    }
    exit
}
