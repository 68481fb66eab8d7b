//! What long work tells whoever started it, while it goes on: one way out of the library for progress, warnings and notes.
//!
//! Progress bars, logs, run records and notifications are subscribers of the same events. Results are not events: they are
//! what a function returns.

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A part of the work has failed, and the rest goes on.
    Failure {
        /// What failed.
        text: &'a str,
        /// What to do about it, where that is known.
        advice: Option<&'a str>,
    },
    /// Something is not as it should be, and the work goes on.
    Warning {
        /// What it is.
        text: &'a str,
        /// What to do about it, where that is known.
        advice: Option<&'a str>,
    },
    /// A snapshot of this name is being made.
    SnapshotBegun {
        /// Its name.
        name: &'a str,
    },
    /// What a restore is about to replace was saved as a snapshot of this name.
    SafetySnapshotSaved {
        /// Its name.
        name: &'a str,
    },
    /// Something that its reader should know, and that nothing needs to be done about.
    Note {
        /// What it is.
        text: &'a str,
    },
    /// Something for whoever sets this up, which need not be said at every run.
    Hint {
        /// What it is.
        text: &'a str,
    },
}

/// Whoever is told of events. They come from several threads.
pub trait Events: Sync {
    /// Takes an event. It must not block for longer than it takes to show or queue it.
    fn event(&self, event: Event<'_>);
}

impl dyn Events + '_ {
    /// Tells of something that is not as it should be.
    pub fn warn(&self, text: &str) {
        self.event(Event::Warning { text, advice: None });
    }

    /// Tells of something that is not as it should be, and what to do about it.
    pub fn warn_with(&self, text: &str, advice: &str) {
        self.event(Event::Warning { text, advice: Some(advice) });
    }

    /// Tells of something that is to be known.
    pub fn note(&self, text: &str) {
        self.event(Event::Note { text });
    }

    /// Tells of something for whoever sets this up.
    pub fn hint(&self, text: &str) {
        self.event(Event::Hint { text });
    }
}

/// Takes events and forgets them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unheard;

impl Events for Unheard {
    fn event(&self, _event: Event<'_>) {}
}
