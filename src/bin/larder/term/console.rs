//! Standard error and the keyboard: progress, warnings, questions. Standard output belongs to results.

use std::io::{BufRead, IsTerminal, Write, stderr, stdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use larder::cancel::{Cancel, Cancelled, POLL};
use larder::model::show_text;
use larder::process::poll_readable;
use rustix::termios::tcgetwinsize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::colour::{Place, painted};
use crate::exit::Exit;

const TICK: Duration = Duration::from_millis(120);
/// From so many columns on, progress has bytes and rate.
const WIDE_COLUMNS: u16 = 80;

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
///
/// # Errors
/// [`Cancelled`], when a signal has cancelled the token meanwhile.
pub(crate) fn confirm(question: &str, cancel: &Cancel) -> Result<Option<bool>, Cancelled> {
    if !stdin().is_terminal() || !stderr().is_terminal() {
        return Ok(None);
    }
    let _ = write!(stderr(), "{} (yes/no): ", show_text(question));
    // A terminal is readable when a whole line was typed; where it cannot be asked, the line is waited for.
    while !poll_readable(&stdin(), POLL).unwrap_or(true) {
        if let Err(cancelled) = cancel.check() {
            line("");
            return Err(cancelled);
        }
    }
    let mut answer = String::new();
    let is_read = stdin().lock().read_line(&mut answer).is_ok();
    Ok(is_read.then(|| matches!(answer.trim().to_ascii_lowercase().as_str(), "yes" | "y")))
}

/// Progress on a terminal as a bar with rate and time left, elsewhere as a line for each phase.
pub(crate) struct ConsoleProgress {
    verbosity: Verbosity,
    bar: ProgressBar,
    cancel: Cancel,
    held: Arc<AtomicBool>,
    /// Whether the bar stands on the terminal now.
    is_drawn: AtomicBool,
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
            is_drawn: AtomicBool::new(false),
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
        self.is_drawn.store(true, Ordering::Relaxed);
        let template = match total_bytes {
            Some(total) => {
                self.bar.set_length(total);
                if tcgetwinsize(stderr()).is_ok_and(|size| size.ws_col < WIDE_COLUMNS) {
                    "{msg:20!} {wide_bar} {percent:>3} %  {eta:>4} left"
                } else {
                    "{msg:26!} {wide_bar} {percent:>3} %  {bytes:>10} {bytes_per_sec:>12}  {eta:>4} left"
                }
            }
            None => "{msg:26!} {spinner} {bytes:>10} {bytes_per_sec:>12}",
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
        // One that has not begun would be drawn afterwards.
        if self.is_drawn.load(Ordering::Relaxed) {
            self.bar.suspend(print);
        } else {
            print();
        }
    }

    /// Removes the bar, so that what follows stands alone.
    pub(crate) fn end(&self) {
        self.is_drawn.store(false, Ordering::Relaxed);
        self.bar.finish_and_clear();
    }
}

/// Whether the process was started to outlive its terminal, as by `nohup`: the first bit of the signals that it ignores.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).is_some_and(|bits| bits & 1 == 1)
}
