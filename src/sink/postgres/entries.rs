//! The entries of a script that `pg_dump` wrote: which of them may be run at the same time.

use crate::source::postgres::Quoting;

const COMMENT_LINE: &[u8] = b"--\n";
const TITLE: &[u8] = b"-- Name: ";
const TYPE: &str = "; Type: ";
/// What is set between entries, for those that follow.
const SETTING: &[u8] = b"SET default_";
/// Indexes are made of what a table has, whatever becomes of other tables meanwhile.
const SIDE_BY_SIDE: [&str; 2] = ["CONSTRAINT", "INDEX"];
const FOREIGN_KEY: &str = "FK CONSTRAINT";
const OF_ANOTHER: &str = "COMMENT";

/// Statements that belong together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) text: Vec<u8>,
    /// Whether it may be run at the same time as others of which this is true.
    pub(super) side_by_side: bool,
    /// Whether it makes a foreign key.
    pub(super) is_foreign_key: bool,
}

/// What comes before the first entry, and all entries in their order.
pub(super) fn entries(script: &[u8]) -> (Vec<u8>, Vec<Entry>) {
    let mut quoting = Quoting::default();
    let mut head = Vec::new();
    let mut entries: Vec<Entry> = Vec::new();
    let mut settings: Vec<&[u8]> = Vec::new();
    let mut is_titled = false;
    for line in script.split_inclusive(|byte| *byte == b'\n') {
        let outside = quoting.is_outside();
        quoting.advance(line);
        if outside && is_titled && line.starts_with(TITLE) {
            let kind = kind_of(line);
            let is_part =
                kind == OF_ANOTHER && entries.last().is_some_and(|entry| entry.side_by_side || entry.is_foreign_key);
            if !is_part {
                let side_by_side = SIDE_BY_SIDE.contains(&kind.as_str());
                let is_foreign_key = kind == FOREIGN_KEY;
                entries.push(Entry { text: settings.concat(), side_by_side, is_foreign_key });
            }
        } else if outside && line.starts_with(SETTING) {
            let name = line.split(|byte| *byte == b'=').next().unwrap_or_default();
            settings.retain(|known: &&[u8]| !known.starts_with(name));
            settings.push(line);
        }
        is_titled = outside && line == COMMENT_LINE;
        entries.last_mut().map_or(&mut head, |entry| &mut entry.text).extend_from_slice(line);
    }
    (head, entries)
}

/// The type in `-- Name: …; Type: INDEX; Schema: …`. A name may itself look like one, so the last counts.
fn kind_of(title: &[u8]) -> String {
    let text = String::from_utf8_lossy(title);
    let kind = text.rsplit(TYPE).next().unwrap_or_default();
    kind.split(';').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "SET x = 1;\n\nSET default_tablespace = '';\n\n--\n-- Name: a b; Type: CONSTRAINT; Schema: public; Owner: o\n--\n\n\
        ALTER TABLE a;\n\n\nSET default_tablespace = slow;\n\n--\n-- Name: i; Type: INDEX; Schema: public; Owner: o\n--\n\nCREATE INDEX;\n\n\n\
        --\n-- Name: INDEX i; Type: COMMENT; Schema: public; Owner: o\n--\n\nCOMMENT ON INDEX i IS '\n--\n-- Name: x; Type: INDEX; y\n';\n\n\
        --\n-- Name: t; Type: TRIGGER; Schema: public; Owner: o\n--\n\nCREATE TRIGGER;\n";

    #[test]
    fn nothing_is_lost_and_indexes_are_side_by_side() {
        let (head, entries) = entries(SCRIPT.as_bytes());
        let text = |entry: &Entry| String::from_utf8(entry.text.clone()).expect("UTF-8");
        let kinds: Vec<bool> = entries.iter().map(|entry| entry.side_by_side).collect();
        assert_eq!(kinds, [true, true, false]);
        assert!(text(&entries[1]).starts_with("SET default_tablespace = slow;\n-- Name: i;"));
        assert!(text(&entries[1]).contains("COMMENT ON INDEX i"), "a comment belongs to its index");
        let whole = [String::from_utf8(head).expect("UTF-8"), entries.iter().map(text).collect()].concat();
        for line in SCRIPT.lines() {
            assert!(whole.contains(line), "{line}");
        }
    }
}
