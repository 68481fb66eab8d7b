//! What long work is given: whom it tells how far it is, and the token that cancels it.

use crate::cancel::{Cancel, Cancelled};
use crate::events::{Event, Events, Phase, Unheard};

/// Takes the events of long work, and says when it is to end. It may be used from several threads.
#[derive(Clone, Copy)]
pub struct Monitor<'a> {
    events: &'a dyn Events,
    cancel: &'a Cancel,
    wants_totals: bool,
}

impl<'a> Monitor<'a> {
    /// Work that tells `events`, until `cancel`. `wants_totals` says whether somebody wants to know how much work there is, even
    /// if counting it takes a moment.
    #[must_use]
    pub const fn new(events: &'a dyn Events, cancel: &'a Cancel, wants_totals: bool) -> Self {
        Self { events, cancel, wants_totals }
    }

    /// Work whose events nobody is told of.
    #[must_use]
    pub const fn unheard(cancel: &'a Cancel) -> Self {
        Self::new(&Unheard, cancel, false)
    }

    /// The same with another token, such as a child that has a deadline.
    #[must_use]
    pub const fn with_cancel<'b>(&self, cancel: &'b Cancel) -> Monitor<'b>
    where
        'a: 'b,
    {
        Monitor { events: self.events, cancel, wants_totals: self.wants_totals }
    }

    /// Whom it tells.
    #[must_use]
    pub const fn events(&self) -> &'a dyn Events {
        self.events
    }

    /// The token that cancels the work.
    #[must_use]
    pub const fn cancel(&self) -> &'a Cancel {
        self.cancel
    }

    /// Whether somebody wants to know how much work there is, even if counting it takes a moment.
    #[must_use]
    pub const fn wants_totals(&self) -> bool {
        self.wants_totals
    }

    /// A phase begins. `total_bytes` is the work that is expected, where it is known.
    pub fn begin(&self, phase: Phase<'_>, total_bytes: Option<u64>) {
        self.events.event(Event::Phase { phase, total_bytes });
    }

    /// So many bytes more of the current phase are done.
    pub fn advance(&self, bytes: u64) {
        self.events.event(Event::Advanced { bytes });
    }

    /// Tells of something that is not as it should be, as one line.
    pub fn warn(&self, text: &str) {
        self.events.warn(text);
    }

    /// Something is under way, or is so no more, that has to be undone before the process ends.
    pub fn hold(&self, is_held: bool) {
        self.events.event(Event::Holding(is_held));
    }

    /// Whether the work should end as soon as it safely can.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Returns an error when the work should end.
    ///
    /// # Errors
    /// [`Cancelled`], when it should.
    pub fn check(&self) -> Result<(), Cancelled> {
        self.cancel.check()
    }
}

impl std::fmt::Debug for Monitor<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Monitor").field("cancel", self.cancel).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Instant;

    use super::*;

    struct Seen(Mutex<Vec<String>>);

    impl Events for Seen {
        fn event(&self, event: Event<'_>) {
            self.0.lock().expect("nobody panics").push(format!("{event:?}"));
        }
    }

    #[test]
    fn work_with_a_deadline_tells_the_same_and_ends_earlier() {
        let (seen, cancel) = (Seen(Mutex::default()), Cancel::new());
        let monitor = Monitor::new(&seen, &cancel, true);
        let until = monitor.cancel().child_until(Instant::now());
        let limited = monitor.with_cancel(&until);
        limited.begin(Phase::BackingUp { component: "models" }, Some(7));
        limited.advance(3);
        limited.warn("odd");
        limited.hold(true);
        while !limited.is_cancelled() {
            std::thread::yield_now();
        }
        assert!(limited.check().is_err() && monitor.check().is_ok() && limited.wants_totals());
        let expected = [
            "Phase { phase: BackingUp { component: \"models\" }, total_bytes: Some(7) }",
            "Advanced { bytes: 3 }",
            "Warning { text: \"odd\", advice: None }",
            "Holding(true)",
        ];
        assert_eq!(*seen.0.lock().expect("nobody panics"), expected);
    }
}
