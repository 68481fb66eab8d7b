//! Who uses a storage together with others, and who has it for himself.
//!
//! Everybody who uses a repository has a shared lease of its storage. Only who is alone deletes what others may be reading or relying on:
//! that takes an [`ExclusiveLease`], which nobody can make but a lease that has found nobody else.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use super::Error;

/// How long a command waits for another one before it gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it is waited between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// How a storage keeps its users apart.
pub trait Exclusion: Send + Sync + Debug {
    /// Takes the storage alone, if nobody else has it now. Says whether that is so; where it is not, the shared lease may be lost.
    ///
    /// # Errors
    /// [`Error::Lock`].
    fn try_alone(&self) -> Result<bool, Error>;

    /// Shares the storage with others, if nobody has it alone now. Says whether that is so.
    ///
    /// # Errors
    /// [`Error::Lock`].
    fn try_shared(&self) -> Result<bool, Error>;

    /// Whether what is held still keeps others out.
    ///
    /// # Errors
    /// [`Error::LockLost`] where somebody has removed it, [`Error::Lock`].
    fn check(&self) -> Result<(), Error>;
}

/// The storage, shared with others; dropped, it is given up.
#[derive(Debug)]
pub struct Lease {
    exclusion: Box<dyn Exclusion>,
}

/// Says that nobody else has the storage.
#[derive(Debug)]
pub struct ExclusiveLease(());

impl Lease {
    /// Shares the storage that this keeps, waiting for somebody who has it alone. `waits` is called once when that has to be.
    ///
    /// # Errors
    /// [`Error::Locked`] after thirty seconds, with this place; [`Error::Lock`].
    pub fn shared(exclusion: Box<dyn Exclusion>, place: &str, waits: &dyn Fn()) -> Result<Self, Error> {
        let lease = Self { exclusion };
        if lease.wait(|exclusion| exclusion.try_shared(), waits)? {
            Ok(lease)
        } else {
            Err(Error::Locked { place: place.to_owned() })
        }
    }

    /// Makes sure that nobody could have the storage alone since it is shared. Whoever makes something that others must not delete from under
    /// asks when that stands.
    ///
    /// # Errors
    /// [`Error::LockLost`] when somebody could, [`Error::Lock`].
    pub fn check(&self) -> Result<(), Error> {
        self.exclusion.check()
    }

    /// Runs `work` when nobody else has the storage at this moment, and goes on sharing it. `None` when somebody has.
    ///
    /// # Errors
    /// Those of `work`; [`Error::Lock`].
    pub fn if_alone<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&ExclusiveLease) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        let is_alone = self.exclusion.try_alone()?;
        self.run(is_alone, work)
    }

    /// Waits until nobody else has the storage, runs `work`, and goes on sharing it. `None` when others do not end for thirty
    /// seconds.
    ///
    /// Meanwhile this has no lease at all: whoever else waits so may come first. So `work` has to look again.
    ///
    /// # Errors
    /// Those of `work`; [`Error::Lock`].
    pub fn when_alone<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&ExclusiveLease) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        let is_alone = self.wait(|exclusion| exclusion.try_alone(), &|| {})?;
        self.run(is_alone, work)
    }

    fn run<T, E: From<Error>>(
        &self,
        is_alone: bool,
        work: impl FnOnce(&ExclusiveLease) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        let result = if is_alone {
            self.check().map_err(E::from).and_then(|()| work(&ExclusiveLease(())).map(Some))
        } else {
            Ok(None)
        };
        // Others wait as long as somebody works alone.
        while !self.exclusion.try_shared()? {
            std::thread::sleep(PAUSE);
        }
        result
    }

    fn wait(&self, take: impl Fn(&dyn Exclusion) -> Result<bool, Error>, waits: &dyn Fn()) -> Result<bool, Error> {
        let deadline = Instant::now() + PATIENCE;
        if take(self.exclusion.as_ref())? {
            return Ok(true);
        }
        waits();
        loop {
            if take(self.exclusion.as_ref())? {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            std::thread::sleep(PAUSE);
        }
    }
}
