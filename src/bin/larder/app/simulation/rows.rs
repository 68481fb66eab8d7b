//! The rows of the database: which there are, in the order of the heap, and what each of them says.
//!
//! A row is its number and how often it was updated; its text follows from these two. Eight bytes are kept of each.

use std::ops::Range;

use super::text::{Random, Words, push};

/// Kinds of random numbers.
const CHOICES: u64 = 1;
const ARTICLES: u64 = 2;
const REVISIONS: u64 = 3;
const SOURCES: u64 = 40;
/// Numbers of an embedding, whose digits do not compress.
const DIMENSIONS: u64 = 24;

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: u32,
    pub(super) updates: u32,
}

/// What one day has changed.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) updated: Vec<Row>,
    pub(super) inserted: Range<u32>,
}

/// All rows.
#[derive(Debug)]
pub(super) struct Rows {
    heap: Vec<Row>,
    next_id: u32,
    random: Random,
    words: Words,
}

impl Rows {
    pub(super) fn new(rows: u32) -> Self {
        let heap = (1..=rows).map(|id| Row { id, updates: 0 }).collect();
        Self { heap, next_id: rows + 1, random: Random::new(CHOICES, 1), words: Words::new() }
    }

    pub(super) const fn len(&self) -> u64 {
        self.heap.len() as u64
    }

    /// The rows in the order in which PostgreSQL dumps them.
    pub(super) fn heap(&self) -> &[Row] {
        &self.heap
    }

    pub(super) const fn words(&self) -> &Words {
        &self.words
    }

    /// Updates so many percent of the rows, and inserts rows. As in a heap, both are at its end afterwards.
    pub(super) fn change(&mut self, update_percent: f64, inserts: u32) -> Change {
        let mut updated = Vec::new();
        let random = &mut self.random;
        self.heap.retain(|row| {
            let is_updated = random.happens(update_percent);
            if is_updated {
                updated.push(Row { updates: row.updates + 1, ..*row });
            }
            !is_updated
        });
        let inserted = self.next_id..self.next_id.saturating_add(inserts);
        self.next_id = inserted.end;
        self.heap.extend(&updated);
        self.heap.extend(inserted.clone().map(|id| Row { id, updates: 0 }));
        Change { updated, inserted }
    }

    /// Appends the title of a row, which an update changes.
    pub(super) fn append_title(&self, text: &mut String, row: Row) {
        self.words.append(text, &mut Random::new(ARTICLES + 2, u64::from(row.id)), 7);
        if row.updates > 0 {
            let seed = u64::from(row.id) << 32 | u64::from(row.updates);
            text.push(' ');
            self.words.append(text, &mut Random::new(REVISIONS, seed), 2);
        }
    }

    /// Appends a row as COPY has it. There is nothing in it that would have to be escaped.
    pub(super) fn append_copy(&self, text: &mut String, row: Row) {
        let mut random = Random::new(ARTICLES, u64::from(row.id));
        let (day, second, source) = (1 + random.below(28), random.below(86_400), 1 + random.below(SOURCES));
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        push(text, format_args!("{}\t{source}\t2025-11-{day:02} {hour:02}:{minute:02}:{second:02}+00\t", row.id));
        self.append_title(text, row);
        text.push('\t');
        let words = 60 + random.below(440);
        self.words.append_sentences(text, &mut random, words);
        text.push_str("\t[");
        for number in 0..DIMENSIONS {
            let value = (random.below(2_000_000) as f64 - 1_000_000.0) / 10_000_000.0;
            push(text, format_args!("{}{value:.7}", if number > 0 { "," } else { "" }));
        }
        push(text, format_args!("]\t{}\n", row.updates));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_updated_row_moves_to_the_end_and_changes_its_title_alone() {
        let mut rows = Rows::new(1_000);
        let change = rows.change(10.0, 15);
        assert!((60..140).contains(&change.updated.len()), "{}", change.updated.len());
        assert_eq!(rows.len(), 1_015);
        let row = change.updated[0];
        let place = rows.heap().iter().position(|other| *other == row).expect("it is still there");
        assert_eq!(place, 1_000 - change.updated.len());
        let [mut before, mut after] = [String::new(), String::new()];
        rows.append_copy(&mut before, Row { updates: 0, ..row });
        rows.append_copy(&mut after, row);
        let [before, after]: [Vec<&str>; 2] = [before.split('\t').collect(), after.split('\t').collect()];
        let changed: Vec<usize> = (0..before.len()).filter(|field| before[*field] != after[*field]).collect();
        assert_eq!(changed, [3, 6], "title and count");
    }

    #[test]
    fn the_same_settings_make_the_same_rows() {
        let [mut one, mut other] = [Rows::new(500), Rows::new(500)];
        for _ in 0..3 {
            assert_eq!(one.change(5.0, 3).updated, other.change(5.0, 3).updated);
        }
        assert_eq!(one.heap(), other.heap());
    }
}
