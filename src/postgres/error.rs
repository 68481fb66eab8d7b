//! What can go wrong with a server and its programs.

use crate::process;

/// A server, or a program that talks to it, could not do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program failed.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// A program ended well and what it wrote is not complete.
    #[error("the output of {program} is not complete: {why}")]
    Incomplete {
        /// The program.
        program: String,
        /// What is missing.
        why: &'static str,
    },
    /// A URL has a parameter that is not known, which is not quoted: it may be part of the password.
    #[error(
        "a parameter of the URL is none of {0}: take it out of the URL, or name the database in [database] of larder.toml"
    )]
    Parameter(String),
    /// What a dump makes is longer than what a restore takes.
    #[error(
        "no restore would take what is longer than {} MiB: {title}: shorten it, or drop it",
        crate::limits::ENTRY_BYTES_MAX >> 20
    )]
    TooLong {
        /// What the dump says of it: its name, kind, schema and owner.
        title: String,
    },
    /// A program that is needed is not installed, or too old.
    #[error("no {program} of version {major} or newer is installed here (Debian: postgresql-client-{major})")]
    NoProgram {
        /// The program.
        program: &'static str,
        /// The version that the server needs.
        major: u32,
    },
    /// There is no `psql`, which everything is said through.
    #[error("psql is not installed here (Debian: postgresql-client)")]
    NoPsql,
    /// A text that should name a table or a column does not.
    #[error("'{}' is not the name of a table or column", .name.escape_debug())]
    Name {
        /// The text.
        name: String,
    },
    /// A name in a database is text of no known encoding, so that what has it cannot be told.
    #[error(
        "{kind} has the name {name}, which is not UTF-8, and the database's encoding {encoding} does not say what it is: rename it"
    )]
    UnknownName {
        /// What has it.
        kind: &'static str,
        /// Its bytes, escaped.
        name: String,
        /// The encoding of the database.
        encoding: String,
    },
    /// A name in a dump is text of another encoding than UTF-8, or of none, so that what has it cannot be told.
    #[error(
        "a name in '{statement}' cannot be told, as the dump is in the encoding {encoding}: dump the database anew with `pg_dump --encoding=UTF8`"
    )]
    UntoldName {
        /// The beginning of the statement, escaped.
        statement: String,
        /// The encoding of the dump.
        encoding: String,
    },
    /// What a server says cannot be understood.
    #[error("the answer of the server cannot be used: {why}")]
    Answer {
        /// What is wrong with it.
        why: String,
    },
    /// A server did not answer in time.
    #[error("the server has not answered for {secs} s")]
    Silent {
        /// How long it was waited for, in seconds.
        secs: u64,
    },
    /// A server was told to do something, and it is not waited for any more.
    #[error(
        "it was not done after {secs} s and is not waited for any more; the server may go on with it, and do it yet"
    )]
    AtWork {
        /// How long it was waited for, in seconds.
        secs: u64,
    },
    /// Somebody is renaming a schema in a transaction that does not end: what is read by name could be of somebody else.
    #[error(
        "a schema is being renamed or dropped in a transaction that has not ended after {secs} s: end it (pg_locks and pg_stat_activity show whose it is)"
    )]
    Renaming {
        /// How long it was waited for, in seconds.
        secs: u64,
    },
    /// A program waits for a lock that somebody is to get before who waits for this backup.
    #[error("pg_dump waits for {blocker}, who waits for this backup")]
    Blocked {
        /// The session of the other, by its role and number.
        blocker: String,
    },
    /// A server does not do what it is told.
    #[error("the server refuses {}: {why}", .what.as_deref().unwrap_or("a statement"))]
    Refused {
        /// What the dump says that it is, else the beginning of the statement, where that may be told.
        what: Option<String>,
        /// What the server said.
        why: String,
    },
    /// The settings of a connection cannot be used.
    #[error("the database settings cannot be used: {0}")]
    Settings(String),
}

impl Error {
    /// The error of a broken stream from or to a program.
    pub(crate) fn stream(program: &str, source: std::io::Error) -> Self {
        process::Error::Stream { program: program.to_owned(), source }.into()
    }

    /// Whether this says that the caller wants to stop, or that a program could not be had, rather than that a server refused.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Process(process::Error::Failed { .. }) | Self::Refused { .. })
    }
}
