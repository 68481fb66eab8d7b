//! Cancellation: a token that long work looks at, and that whoever started the work cancels.
//!
//! A token is never reset. A child is cancelled with its parent, and a parent never with its child. Clones are the same token.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often a blocked wait looks at its token.
pub const POLL: Duration = Duration::from_millis(200);

/// A cancellation token. It may be cancelled from any thread.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    flag: Arc<AtomicBool>,
    deadline: Option<Instant>,
    parent: Option<Arc<Cancel>>,
}

impl Cancel {
    /// A token that nobody has cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels it, and its children.
    pub fn cancel(&self) {
        self.flag.store(true, Ordering::Release);
    }

    /// Whether it was cancelled, or is past its deadline, or its parent is cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.flag.load(Ordering::Acquire)
            || self.is_past_deadline()
            || self.parent.as_deref().is_some_and(Self::is_cancelled)
    }

    /// Whether it is past the deadline that it was given itself.
    #[must_use]
    pub fn is_past_deadline(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Returns an error when it is cancelled.
    ///
    /// # Errors
    /// [`Cancelled`], when it is.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }

    /// A token that is cancelled with this one, or by itself.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { parent: Some(Arc::new(self.clone())), ..Self::new() }
    }

    /// A child that is cancelled at a point in time, too.
    #[must_use]
    pub fn child_until(&self, deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..self.child() }
    }
}

/// The work was cancelled, and ended.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("interrupted")]
pub struct Cancelled;

impl Cancelled {
    /// The same as an I/O error, for what can return no other.
    #[must_use]
    pub fn as_io() -> io::Error {
        io::Error::other(Self)
    }

    /// Whether an I/O error is one of [`Cancelled::as_io`].
    #[must_use]
    pub fn is_cause_of(error: &io::Error) -> bool {
        error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Self>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_cancelled_for_all_who_have_it() {
        let cancel = Cancel::new();
        let clone = cancel.clone();
        assert!(!clone.is_cancelled() && clone.check().is_ok());
        std::thread::spawn(move || cancel.cancel()).join().expect("it ends");
        assert!(clone.is_cancelled() && clone.check().is_err() && !clone.is_past_deadline());
    }

    #[test]
    fn a_child_is_cancelled_with_its_parent_and_not_the_other_way() {
        let parent = Cancel::new();
        let (first, second) = (parent.child(), parent.child());
        let grandchild = first.child();
        first.cancel();
        assert_eq!([&parent, &first, &second, &grandchild].map(Cancel::is_cancelled), [false, true, false, true]);
        parent.cancel();
        assert!(second.is_cancelled());
    }

    #[test]
    fn a_deadline_is_told_from_a_cancel() {
        let parent = Cancel::new();
        let past = parent.child_until(Instant::now().checked_sub(Duration::from_secs(1)).expect("there was one"));
        assert!(past.is_cancelled() && past.is_past_deadline() && !parent.is_cancelled());
        assert!(past.child().is_cancelled());
        let later = parent.child_until(Instant::now() + Duration::from_mins(10));
        assert!(!later.is_cancelled());
        parent.cancel();
        assert!(later.is_cancelled() && !later.is_past_deadline());
    }

    #[test]
    fn a_cancel_is_found_again_in_an_io_error() {
        let error = Cancelled::as_io();
        assert_eq!(error.to_string(), "interrupted");
        assert!(Cancelled::is_cause_of(&error));
        assert!(!Cancelled::is_cause_of(&io::Error::other("interrupted")));
        assert!(!Cancelled::is_cause_of(&io::ErrorKind::Interrupted.into()));
    }
}
