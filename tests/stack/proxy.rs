//! A socket between Larder and its engine that can be cut, and held up, in the middle of what is going on.
//!
//! It copies bytes and does not know what they mean.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use tempfile::TempDir;

/// What becomes of the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    Cut,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    /// Bytes that the engine may still say before everything is cut.
    left: usize,
    /// Connections that were refused since the cut.
    refused: u32,
    connections: Vec<UnixStream>,
}

impl State {
    fn cut(&mut self) {
        self.mode = Mode::Cut;
        for connection in self.connections.drain(..) {
            // One that has ended is as good as cut.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

/// The socket. It is gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    folder: TempDir,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    /// A socket that leads to the engine at `host`.
    pub(crate) fn start(host: &str) -> Self {
        let engine = PathBuf::from(host.strip_prefix("unix://").expect("the engine of the tests has a socket"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listener = UnixListener::bind(folder.path().join("socket")).expect("the folder is ours");
        let state = State { mode: Mode::Open, left: usize::MAX, refused: 0, connections: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                connect(&shared, client, &engine);
            }
        });
        Self { folder, state }
    }

    /// Its address.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("socket").display())
    }

    /// Cuts everything when the engine has said so many bytes more.
    pub(crate) fn cut_after(&self, bytes: usize) {
        self.state().left = bytes;
    }

    /// Cuts every connection, and takes no new one.
    pub(crate) fn cut(&self) {
        self.state().cut();
    }

    /// Takes connections again.
    pub(crate) fn open(&self) {
        let mut state = self.state();
        (state.mode, state.left) = (Mode::Open, usize::MAX);
    }

    /// How many connections were refused.
    pub(crate) fn refused(&self) -> u32 {
        self.state().refused
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread has panicked")
    }
}

fn connect(shared: &Arc<Mutex<State>>, client: UnixStream, engine: &Path) {
    let mut state = shared.lock().expect("no thread has panicked");
    if state.mode == Mode::Cut {
        state.refused += 1;
        return;
    }
    let engine = UnixStream::connect(engine).expect("the engine runs");
    let copy = |stream: &UnixStream| stream.try_clone().expect("a socket can be had twice");
    state.connections.extend([copy(&client), copy(&engine)]);
    let (to_client, to_engine) = (copy(&client), copy(&engine));
    let shared = Arc::clone(shared);
    std::thread::spawn(move || pass(client, to_engine, |_| {}));
    std::thread::spawn(move || {
        pass(engine, to_client, |len| {
            let mut state = shared.lock().expect("no thread has panicked");
            state.left = state.left.saturating_sub(len);
            if state.left == 0 {
                state.cut();
            }
        });
    });
}

fn pass(mut from: UnixStream, mut to: UnixStream, before: impl Fn(usize)) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        before(len);
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    // What has ended on one side ends on the other.
    let _ = to.shutdown(Shutdown::Write);
}
