//! What a script sets for all that follows, also in other scripts of the same dump, and for sessions that have not run it.

/// What is set between entries, for those that follow.
const DEFAULT: &[u8] = b"SET default_";
/// From then on the server understands backslashes in every string, as the database that was saved had it.
pub(super) const ALL_STRINGS_ESCAPE: &[u8] = b"SET standard_conforming_strings = off;\n";

/// What a script has set so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct ScriptSettings {
    /// Statements that set what new objects are made with, the last one of each name.
    defaults: Vec<Vec<u8>>,
    strings_escape: bool,
}

impl ScriptSettings {
    /// Takes note of a line that begins outside of everything.
    pub(super) fn note(&mut self, line: &[u8]) {
        if line.starts_with(DEFAULT) {
            let name = line.split(|byte| *byte == b'=').next().unwrap_or_default().to_vec();
            self.defaults.retain(|known| !known.starts_with(&name));
            self.defaults.push(line.to_vec());
        }
    }

    /// Backslashes are understood in every string from here on.
    pub(super) const fn have_strings_escape(&mut self) {
        self.strings_escape = true;
    }

    /// What sets with what new objects are made.
    pub(super) fn defaults(&self) -> Vec<u8> {
        self.defaults.concat()
    }

    /// What has backslashes understood in every string, where they are. What comes with it in one piece is read as before.
    pub(crate) const fn strings(&self) -> &'static [u8] {
        if self.strings_escape { ALL_STRINGS_ESCAPE } else { b"" }
    }
}
