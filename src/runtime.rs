//! The one runtime of everything that is asynchronous underneath. The engine blocks: it waits for a call on a thread of its own.
//!
//! It lives as long as the process, so nothing drops it where something asynchronous runs, which would panic.

use std::io;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Handle, Runtime};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();
/// Threads that drive it. What takes processor time runs elsewhere.
const THREADS: usize = 1;

/// The runtime, which is started when it is first asked for. To wait on it from one of its own threads panics.
///
/// # Errors
/// Those of the operating system, which may have no thread left.
pub fn handle() -> io::Result<Handle> {
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime.handle().clone());
    }
    let started = Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
    // Another thread may have been faster.
    Ok(RUNTIME.get_or_init(|| started).handle().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_the_same_one() {
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(|| handle().expect("a thread is left").id())).collect();
        let ids: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
        assert!(ids.iter().all(|id| *id == ids[0]));
        assert_eq!(handle().expect("a thread is left").block_on(async { 1 }), 1);
    }
}
