//! Random numbers and words, the same at every run.

use std::fmt::Write;

/// A generator of random numbers (`SplitMix64`).
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// A generator for one thing: the same numbers for the same seeds.
    pub(super) fn new(kind: u64, seed: u64) -> Self {
        let mut random = Self(kind.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed.wrapping_mul(0xd1b5_4a32_d192_ed03));
        random.next();
        random
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) const fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.next() % end }
    }

    /// One of these.
    pub(super) fn one_of<'a, T>(&mut self, these: &'a [T]) -> Option<&'a T> {
        these.get(usize::try_from(self.below(these.len() as u64)).ok()?)
    }

    /// Whether something happens that happens in so many percent of all cases.
    pub(super) fn happens(&mut self, percent: f64) -> bool {
        ((self.next() >> 11) as f64) < percent / 100.0 * (1_u64 << 53) as f64
    }
}

/// Appends text that is put together.
pub(super) fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a string takes everything");
}

const WORDS: usize = 6_000;
const SYLLABLES: [&str; 40] = [
    "a", "an", "ar", "be", "ca", "con", "de", "der", "di", "e", "el", "en", "er", "fa", "ge", "in", "ing", "ion", "is",
    "la", "li", "ma", "me", "mo", "na", "ne", "o", "per", "po", "ra", "re", "ri", "sa", "se", "sta", "ta", "te", "ti",
    "un", "vo",
];
/// The length of a table from which words are drawn with one look.
const DRAWS: usize = 1 << 16;

/// A vocabulary in which some words are as frequent as in a language.
#[derive(Debug)]
pub(super) struct Words {
    words: Vec<String>,
    draws: Vec<u16>,
}

impl Words {
    pub(super) fn new() -> Self {
        let mut random = Random::new(0, 1);
        let word = |rank: usize| {
            // Frequent words are short.
            let syllables = 1 + random.below(2 + (rank.min(400) / 200) as u64);
            let syllable = |_| random.one_of(&SYLLABLES).copied().unwrap_or("a");
            (0..syllables).map(syllable).collect::<String>()
        };
        let words = (0..WORDS).map(word).collect();
        let weights: Vec<f64> = (0..WORDS).map(|rank| 1.0 / (rank as f64 + 3.0)).collect();
        let total: f64 = weights.iter().sum();
        let (mut draws, mut sum) = (Vec::with_capacity(DRAWS), 0.0);
        for (word, weight) in (0_u16..).zip(weights) {
            sum += weight;
            while draws.len() < DRAWS && (draws.len() as f64) < sum / total * DRAWS as f64 {
                draws.push(word);
            }
        }
        Self { words, draws }
    }

    fn word(&self, random: &mut Random) -> &str {
        let word = random.one_of(&self.draws).and_then(|word| self.words.get(usize::from(*word)));
        word.map_or("a", String::as_str)
    }

    /// Appends words with spaces between them.
    pub(super) fn append(&self, text: &mut String, random: &mut Random, words: u64) {
        for number in 0..words {
            if number > 0 {
                text.push(' ');
            }
            text.push_str(self.word(random));
        }
    }

    /// Appends sentences of so many words together.
    pub(super) fn append_sentences(&self, text: &mut String, random: &mut Random, words: u64) {
        let mut left = words;
        while left > 0 {
            let sentence = (5 + random.below(14)).min(left);
            let start = text.len();
            self.append(text, random, sentence);
            // The vocabulary is ASCII.
            if let Some(first) = text.get_mut(start..=start) {
                first.make_ascii_uppercase();
            }
            left -= sentence;
            text.push_str(if left > 0 { ". " } else { "." });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_are_kept() {
        let mut random = Random::new(1, 1);
        let mut hits = |percent| (0..100_000).filter(|_| random.happens(percent)).count();
        assert_eq!([hits(0.0), hits(100.0)], [0, 100_000]);
        assert!((1_700..2_300).contains(&hits(2.0)));
    }

    #[test]
    fn text_compresses_about_as_well_as_language() {
        let (words, mut text) = (Words::new(), String::new());
        words.append_sentences(&mut text, &mut Random::new(1, 1), 20_000);
        let mut encoded = larder::pack::RawBlock::default();
        encoded.push((larder::id::ChunkId::from_bytes([0; 32]), text.as_bytes()), 0);
        let encoded =
            larder::pack::BlockEncoder::new(larder::pack::LEVEL).expect("encoder").encode(encoded).expect("encode");
        let times = text.len() as f64 / encoded.payload.len() as f64;
        assert!((2.0..4.5).contains(&times), "{times}");
    }
}
