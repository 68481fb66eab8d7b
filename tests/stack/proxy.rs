//! A socket between Larder and its engine that can be cut, and held up, in the middle of what is going on.
//!
//! It copies bytes, and knows of what they mean only which call a request is: a call can be refused, and an archive
//! slowed down.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

/// What an engine answers whose runtime did not get hold of every process of a container.
const REFUSAL: &str = "{\"message\":\"OCI runtime pause failed: unable to freeze: unknown\"}";

/// How long each part of an archive that is slowed down waits: 64 KiB then take so long, and 256 MiB more
/// than a minute.
const SLOW_PAUSE: Duration = Duration::from_millis(20);

/// What becomes of the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    /// What the engine says does not arrive.
    Stalled,
    Cut,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    /// Bytes that the engine may still say, and what becomes of the connections then.
    limit: Option<(usize, Mode)>,
    /// Bytes of an archive that arrive at once. The rest comes slowly.
    quick_bytes: usize,
    /// How often a part of an archive was slowed down.
    slowed: u32,
    /// Connections that were refused since the cut.
    refused: u32,
    /// How often something was said to the engine while it was stalled.
    unanswered: u32,
    /// The end of the path of a call, and how often it is still refused.
    refusal: Option<(&'static str, u32)>,
    connections: Vec<UnixStream>,
}

impl State {
    /// Whether this is a request that is to be refused, which then counts.
    fn refuses(&mut self, request: &[u8]) -> bool {
        let Some((call, times @ 1..)) = &mut self.refusal else { return false };
        let path = request.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
        let refuses = path.ends_with(call.as_bytes());
        *times -= u32::from(refuses);
        refuses
    }

    /// Whether what comes next on this connection is slowed down.
    fn slows(&self, connection: &Mutex<Connection>) -> bool {
        lock(connection).archive_bytes.is_some_and(|arrived| arrived >= self.quick_bytes)
    }

    /// Counts what the engine says.
    fn hear(&mut self, len_bytes: usize) {
        let Some((left, mode)) = &mut self.limit else { return };
        *left = left.saturating_sub(len_bytes);
        if *left > 0 {
            return;
        }
        let mode = *mode;
        self.limit = None;
        if mode == Mode::Cut {
            self.cut();
        }
        self.mode = mode;
    }

    fn cut(&mut self) {
        self.mode = Mode::Cut;
        for connection in self.connections.drain(..) {
            // One that has ended is as good as cut.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Whether a request goes on to the engine. One that is refused is answered here.
    fn takes_request(&self, request: &[u8], connection: &Mutex<Connection>, mut client: &UnixStream) -> bool {
        let mut state = self.state();
        lock(connection).note(request);
        state.unanswered += u32::from(state.mode == Mode::Stalled);
        let refuses = state.refuses(request);
        if refuses {
            // Who does not listen any more needs no answer.
            let _ = write!(
                client,
                "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{REFUSAL}",
                REFUSAL.len()
            );
        }
        !refuses
    }

    /// Waits until so many bytes of what the engine says may go on.
    fn takes_answer(&self, len_bytes: usize, connection: &Mutex<Connection>) {
        let mut state = self.state();
        if state.slows(connection) {
            state.slowed += 1;
            let waited = self.changed.wait_timeout_while(state, SLOW_PAUSE, |state| state.slows(connection));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let waited = self.changed.wait_while(state, |state| state.mode == Mode::Stalled);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(arrived) = &mut lock(connection).archive_bytes {
            *arrived += len_bytes;
        }
        state.hear(len_bytes);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The socket. It is gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    folder: TempDir,
    shared: Arc<Shared>,
}

impl Proxy {
    /// A socket that leads to the engine at `host`.
    pub(crate) fn start(host: &str) -> Self {
        let engine = PathBuf::from(host.strip_prefix("unix://").expect("the engine of the tests has a socket"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listener = UnixListener::bind(folder.path().join("socket")).expect("the folder is ours");
        let state = State {
            mode: Mode::Open,
            limit: None,
            quick_bytes: usize::MAX,
            slowed: 0,
            refused: 0,
            unanswered: 0,
            refusal: None,
            connections: Vec::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let passing = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                connect(&passing, client, &engine);
            }
        });
        Self { folder, shared }
    }

    /// Its address.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("socket").display())
    }

    /// Cuts everything when the engine has said so many bytes more.
    pub(crate) fn cut_after(&self, bytes: usize) {
        self.shared.state().limit = Some((bytes, Mode::Cut));
    }

    /// Holds everything up when the engine has said so many bytes more.
    pub(crate) fn stall_after(&self, bytes: usize) {
        self.shared.state().limit = Some((bytes, Mode::Stalled));
    }

    /// Slows down every archive that the engine sends after so many bytes, and nothing else, until `open`.
    pub(crate) fn slow_archives_after(&self, bytes: usize) {
        self.shared.state().quick_bytes = bytes;
    }

    /// How often a part of an archive was slowed down so far.
    pub(crate) fn slowed(&self) -> u32 {
        self.shared.state().slowed
    }

    /// Cuts every connection, and takes no new one.
    pub(crate) fn cut(&self) {
        self.shared.state().cut();
    }

    /// Whether everything is held up.
    pub(crate) fn is_stalled(&self) -> bool {
        self.shared.state().mode == Mode::Stalled
    }

    /// Refuses a call so often, as an engine does whose runtime could not do it.
    pub(crate) fn refuse(&self, call: &'static str, times: u32) {
        self.shared.state().refusal = Some((call, times));
    }

    /// How often a call is still going to be refused.
    pub(crate) fn refusals_left(&self) -> u32 {
        self.shared.state().refusal.map_or(0, |(_, times)| times)
    }

    /// Goes on, and takes connections again.
    pub(crate) fn open(&self) {
        let mut state = self.shared.state();
        (state.mode, state.limit, state.quick_bytes) = (Mode::Open, None, usize::MAX);
        self.shared.changed.notify_all();
    }

    /// How many connections were refused.
    pub(crate) fn refused(&self) -> u32 {
        self.shared.state().refused
    }

    /// How often something was said to the engine while it was stalled.
    pub(crate) fn unanswered(&self) -> u32 {
        self.shared.state().unanswered
    }
}

/// One connection of a client.
#[derive(Debug, Default)]
struct Connection {
    /// What has arrived of the archive that was asked for last.
    archive_bytes: Option<usize>,
}

impl Connection {
    /// A request may ask for an archive. One that does has no body, so what follows it is another request.
    fn note(&mut self, request: &[u8]) {
        let mut words = request.split(|&byte| byte == b' ');
        let (method, path) = (words.next(), words.next().unwrap_or_default());
        let is_archive = method == Some(b"GET") && path.windows(9).any(|part| part == b"/archive?");
        self.archive_bytes = is_archive.then_some(0);
    }
}

fn connect(shared: &Arc<Shared>, client: UnixStream, engine: &Path) {
    let mut state = shared.state();
    if state.mode == Mode::Cut {
        state.refused += 1;
        return;
    }
    let engine = UnixStream::connect(engine).expect("the engine runs");
    let copy = |stream: &UnixStream| stream.try_clone().expect("a socket can be had twice");
    state.connections.extend([copy(&client), copy(&engine)]);
    let (to_client, to_engine, refused) = (copy(&client), copy(&engine), copy(&client));
    let (asking, answering) = (Arc::clone(shared), Arc::clone(shared));
    let asked = Arc::new(Mutex::new(Connection::default()));
    let answered = Arc::clone(&asked);
    std::thread::spawn(move || {
        pass(client, to_engine, |request| asking.takes_request(request, &asked, &refused));
    });
    std::thread::spawn(move || {
        pass(engine, to_client, |answer| {
            answering.takes_answer(answer.len(), &answered);
            true
        });
    });
}

/// Passes on what `takes` agrees to.
fn pass(mut from: UnixStream, mut to: UnixStream, mut takes: impl FnMut(&[u8]) -> bool) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        if !takes(&buffer[..len]) {
            continue;
        }
        if to.write_all(&buffer[..len]).is_err() {
            // Nobody listens any more, which who speaks has to know.
            let _ = from.shutdown(Shutdown::Both);
            break;
        }
    }
    // What has ended on one side ends on the other.
    let _ = to.shutdown(Shutdown::Write);
}
