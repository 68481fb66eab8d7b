//! Standard error and the keyboard: progress, warnings, questions. Standard output belongs to results.

use std::io::{BufRead, IsTerminal, Write, stderr, stdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use larder::cancel::Cancel;
use larder::model::show_text;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::colour::{Place, painted};
use crate::exit::Exit;

const TICK: Duration = Duration::from_millis(120);

/// How much to say beside results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    Quiet,
    Normal,
    Verbose,
}

/// Prints an error.
pub(crate) fn error(text: &str) {
    line(&format!("error: {text}"));
}

/// Prints what to do about an error.
pub(crate) fn advice(text: &str) {
    line(&format!("  hint: {text}"));
}

/// Prints a warning.
pub(crate) fn warning(text: &str) {
    line(&format!("warning: {text}"));
}

/// Prints a line. Texts of others in it cannot begin another one, or command the terminal.
pub(crate) fn line(text: &str) {
    let text = painted(&show_text(text), Place::Error);
    // There is nobody to tell when standard error is gone.
    let _ = writeln!(stderr(), "{text}");
}

/// Asks a question that only `yes` or `y` answers; `None` where nobody can be asked.
pub(crate) fn confirm(question: &str) -> Option<bool> {
    if !stdin().is_terminal() || !stderr().is_terminal() {
        return None;
    }
    let _ = write!(stderr(), "{} (yes/no): ", show_text(question));
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer).ok()?;
    Some(matches!(answer.trim().to_ascii_lowercase().as_str(), "yes" | "y"))
}

/// Progress on a terminal as a bar with rate and time left, elsewhere as a line for each phase.
pub(crate) struct ConsoleProgress {
    verbosity: Verbosity,
    bar: ProgressBar,
    cancel: Cancel,
    held: Arc<AtomicBool>,
}

impl ConsoleProgress {
    /// Whether only what went wrong is to be said.
    pub(crate) fn is_quiet(&self) -> bool {
        self.verbosity == Verbosity::Quiet
    }

    /// Progress that says as much as `verbosity` wants.
    pub(crate) fn new(verbosity: Verbosity) -> Self {
        let shown = stderr().is_terminal() && verbosity != Verbosity::Quiet;
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self {
            verbosity,
            bar: ProgressBar::with_draw_target(None, target),
            cancel: Cancel::new(),
            held: Arc::default(),
        }
    }

    /// Takes over SIGINT, SIGTERM and SIGHUP: the first cancels the work, the second ends the process at once unless
    /// something has to be undone before.
    pub(crate) fn stop_cleanly(&self) -> anyhow::Result<()> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        if !is_hangup_ignored() {
            signals.add_signal(SIGHUP)?;
        }
        let (cancel, held) = (self.cancel.clone(), Arc::clone(&self.held));
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for _ in signals.forever() {
                if cancel.is_cancelled() && !held.load(Ordering::Relaxed) {
                    std::process::exit(Exit::Interrupted as i32);
                }
                cancel.cancel();
            }
        })?;
        Ok(())
    }

    /// The token that the first signal cancels.
    pub(crate) fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// Whether totals of phases are shown.
    pub(crate) fn wants_totals(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// A phase begins.
    pub(crate) fn begin(&self, phase: &str, total_bytes: Option<u64>) {
        if self.bar.is_hidden() {
            if self.verbosity != Verbosity::Quiet {
                line(&format!("{phase} …"));
            }
            return;
        }
        self.bar.reset();
        let template = match total_bytes {
            Some(total) => {
                self.bar.set_length(total);
                "{msg:32} {bar:24} {bytes:>11} of {total_bytes:<11} {bytes_per_sec:>12}  {eta:>4} left"
            }
            None => "{msg:32} {spinner} {bytes:>11} {bytes_per_sec:>12}",
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bar.set_style(style.progress_chars("=> "));
        self.bar.set_message(show_text(phase));
        self.bar.enable_steady_tick(TICK);
    }

    /// So many bytes more of the phase are done.
    pub(crate) fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Whether something has to be undone before the process ends.
    pub(crate) fn hold(&self, is_held: bool) {
        self.held.store(is_held, Ordering::Relaxed);
    }

    /// Prints something beside the bar.
    pub(crate) fn suspend(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// Removes the bar, so that what follows stands alone.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Whether the process was started to outlive its terminal, as by `nohup`: the first bit of the signals that it ignores.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).is_some_and(|bits| bits & 1 == 1)
}
