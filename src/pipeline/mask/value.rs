//! What becomes of one value. Everything depends on the key and the value alone.

use crate::clock::shift_date;
use crate::id::{derive_secret, expand_key, hex};
use crate::limits::ID_BYTES;

/// How the values of a column are masked. What is null stays so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Null.
    Null,
    /// Something of the same form that tells nothing: a number of as many digits, a UUID, else hexadecimal digits. Different
    /// numbers stay different.
    Hash,
    /// An address at `example.com`.
    Email,
    /// A first and a last name.
    Name,
    /// Other letters and digits in the place of those that are there.
    Text,
    /// An address at the same domain.
    KeepDomain,
    /// A date or time that lies as far from the true one as all others of this key.
    ShiftDate,
}

/// Digits of what stands for a value in an address.
const ADDRESS_DIGITS: usize = 16;
const HASH_DIGITS: usize = 32;
/// What a number may grow to without outgrowing its type: of 16, 32 and 64 bits.
const TYPE_MAX: [u64; 3] = [i16::MAX as u64, i32::MAX as u64, i64::MAX as u64];
const ROUNDS: u8 = 6;
const DAYS_MAX: u64 = 365;
const FIRST_NAMES: [&str; 32] = [
    "Ada", "Alan", "Anna", "Ben", "Bruno", "Carla", "Chen", "Dora", "Emil", "Erika", "Farid", "Greta", "Hugo", "Ines",
    "Ivan", "Jana", "Jonas", "Kamal", "Lena", "Luca", "Maria", "Nadia", "Noah", "Olga", "Omar", "Paula", "Quinn",
    "Rosa", "Sami", "Tara", "Uwe", "Vera",
];
const LAST_NAMES: [&str; 32] = [
    "Abel", "Baker", "Berg", "Costa", "Cruz", "Dahl", "Diaz", "Ekman", "Engel", "Faber", "Ferro", "Grant", "Haas",
    "Horn", "Ito", "Jansen", "Kaya", "Klein", "Lang", "Lopez", "Marx", "Meyer", "Nagy", "Novak", "Okoye", "Peters",
    "Rossi", "Silva", "Stone", "Tanaka", "Vogel", "Weber",
];

/// Masks values with a key.
#[derive(Clone)]
pub(super) struct Masker {
    key: [u8; ID_BYTES],
    days: i64,
}

impl std::fmt::Debug for Masker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Masker")
    }
}

impl Masker {
    pub(super) fn new(key: [u8; ID_BYTES]) -> Self {
        let number = first_number(&derive_secret("larder 2026 mask dates", &key, b""));
        let days = i64::try_from(1 + number % DAYS_MAX).unwrap_or(1);
        Self { key, days: if number >> 63 == 0 { days } else { -days } }
    }

    /// The value that stands for another one; `None` when a date is to be shifted and it is none.
    pub(super) fn mask(&self, rule: Rule, value: &[u8]) -> Option<Vec<u8>> {
        Some(match rule {
            Rule::Null => Vec::new(),
            Rule::Hash => self.hash(value),
            Rule::Email => self.address(value, b"example.com"),
            Rule::KeepDomain => match memchr::memrchr(b'@', value) {
                Some(at) => self.address(value, value.get(at + 1..).unwrap_or_default()),
                None => self.hash(value),
            },
            Rule::Name => self.name(value),
            Rule::Text => self.text(value),
            Rule::ShiftDate => return self.shift(value),
        })
    }

    fn sum(&self, value: &[u8]) -> [u8; ID_BYTES] {
        derive_secret("larder 2026 mask value", &self.key, value)
    }

    fn hash(&self, value: &[u8]) -> Vec<u8> {
        let digits = hex(&self.sum(value));
        let (sign, number) = value.strip_prefix(b"-").map_or((&b""[..], value), |number| (&b"-"[..], number));
        if let Some(number) = whole_number(number) {
            return [sign, self.permute(number).to_string().as_bytes()].concat();
        }
        if !number.is_empty() && number.iter().all(u8::is_ascii_digit) {
            return [sign, &self.text(number)].concat();
        }
        if value.starts_with(b"\\x") {
            return format!("\\x{digits}").into_bytes();
        }
        let is_uuid = value.len() == 36
            && value.iter().enumerate().all(|(place, byte)| match place {
                8 | 13 | 18 | 23 => *byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            });
        if is_uuid {
            let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
            let parts = [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)];
            return parts.join("-").into_bytes();
        }
        digits.into_bytes().into_iter().take(HASH_DIGITS).collect()
    }

    fn address(&self, value: &[u8], domain: &[u8]) -> Vec<u8> {
        let digits = hex(&self.sum(value));
        [digits.get(..ADDRESS_DIGITS).unwrap_or(&digits).as_bytes(), b"@", domain].concat()
    }

    fn name(&self, value: &[u8]) -> Vec<u8> {
        let sum = self.sum(value);
        let pick = |names: &[&str], place: usize| {
            let number = sum.get(place).map_or(0, |byte| usize::from(*byte)) % names.len();
            names.get(number).copied().unwrap_or_default().to_owned()
        };
        format!("{} {}", pick(&FIRST_NAMES, 0), pick(&LAST_NAMES, 1)).into_bytes()
    }

    /// Each character that is no letter or digit stays, and so do length and case.
    fn text(&self, value: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(value);
        let mut random = vec![0; text.chars().count()];
        expand_key(&self.sum(value), &mut random);
        let other = |(char, byte): (char, &u8)| match char {
            _ if char.is_numeric() => char::from(b'0' + byte % 10),
            _ if char.is_uppercase() => char::from(b'A' + byte % 26),
            _ if char.is_alphabetic() => char::from(b'a' + byte % 26),
            char => char,
        };
        text.chars().zip(&random).map(other).collect::<String>().into_bytes()
    }

    fn shift(&self, value: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(value).ok()?;
        if matches!(text, "infinity" | "-infinity") {
            return Some(value.to_vec());
        }
        let end = text.find(' ').unwrap_or(text.len());
        let (date, rest) = text.split_at(end);
        let shifted = shift_date(date, self.days).filter(|_| !rest.ends_with("BC"))?;
        Some(format!("{shifted}{rest}").into_bytes())
    }

    /// Another number of as many digits that fits into the same types: a permutation, so no two become the same.
    fn permute(&self, number: u64) -> u64 {
        let (low, high) = range_of(number);
        let size = high - low + 1;
        let bits = (64 - (size - 1).leading_zeros()).max(2).next_multiple_of(2);
        let mut place = number - low;
        loop {
            place = self.shuffle(place, bits / 2);
            // What falls outside of the range is shuffled again: everything outside leads back into it (cycle walking).
            if place < size {
                return low + place;
            }
        }
    }

    /// A permutation of all numbers of twice so many bits (a Feistel network).
    fn shuffle(&self, number: u64, half_bits: u32) -> u64 {
        let mask = (1 << half_bits) - 1;
        let (mut left, mut right) = (number >> half_bits, number & mask);
        for round in 0..ROUNDS {
            let mut subject = right.to_le_bytes().to_vec();
            subject.push(round);
            let sum = first_number(&derive_secret("larder 2026 mask number", &self.key, &subject));
            (left, right) = (right, left ^ (sum & mask));
        }
        left << half_bits | right
    }
}

fn first_number(sum: &[u8; ID_BYTES]) -> u64 {
    sum.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The number that digits write in the only way.
fn whole_number(digits: &[u8]) -> Option<u64> {
    let is_plain = digits.iter().all(u8::is_ascii_digit) && (digits.len() == 1 || digits.first() != Some(&b'0'));
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|_| is_plain)
}

/// The numbers of as many digits that fit into the same types.
fn range_of(number: u64) -> (u64, u64) {
    let mut low = 1;
    while low <= number / 10 {
        low *= 10;
    }
    let mut high = low.saturating_mul(10).wrapping_sub(1).max(low);
    if low == 1 {
        low = 0;
    }
    for max in TYPE_MAX {
        if number <= max {
            high = high.min(max);
        } else {
            low = low.max(max + 1);
        }
    }
    (low, high)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn masker() -> Masker {
        Masker::new([3; ID_BYTES])
    }

    fn masked(rule: Rule, value: &str) -> String {
        String::from_utf8(masker().mask(rule, value.as_bytes()).expect("it can be masked")).expect("UTF-8")
    }

    #[test]
    fn numbers_stay_different_and_keep_their_digits_and_types() {
        for range in [0..10_000_u64, 32_000..33_500, 2_147_483_000..2_147_484_000] {
            let count = range.end - range.start;
            let others: HashSet<u64> = range
                .map(|number| {
                    let other: u64 = masked(Rule::Hash, &number.to_string()).parse().expect("a number");
                    assert_eq!(other.to_string().len(), number.to_string().len());
                    assert!(TYPE_MAX.iter().all(|max| (number <= *max) == (other <= *max)), "{number} {other}");
                    other
                })
                .collect();
            assert_eq!(others.len() as u64, count);
        }
        for number in
            ["0", "-17", "9223372036854775807", "18446744073709551615", "007", "123456789012345678901234567890"]
        {
            let other = masked(Rule::Hash, number);
            assert_eq!((other.len(), other.starts_with('-')), (number.len(), number.starts_with('-')), "{other}");
        }
    }

    #[test]
    fn values_keep_their_form() {
        let uuid = masked(Rule::Hash, "6f1c2ab4-0000-4000-8000-0123456789ab");
        assert_eq!(uuid.match_indices('-').map(|(place, _)| place).collect::<Vec<_>>(), [8, 13, 18, 23]);
        assert_eq!(masked(Rule::Hash, "secret").len(), HASH_DIGITS);
        assert!(masked(Rule::KeepDomain, "ada@bank.org").ends_with("@bank.org"));
        assert!(masked(Rule::Email, "ada@bank.org").ends_with("@example.com"));
        let text = masked(Rule::Text, "Tel. 030/1234, Größe 42!");
        let form = |text: &str| {
            text.chars()
                .map(|char| {
                    if char.is_numeric() {
                        '9'
                    } else if char.is_uppercase() {
                        'A'
                    } else if char.is_alphabetic() {
                        'a'
                    } else {
                        char
                    }
                })
                .collect::<String>()
        };
        assert_eq!(form(&text), form("Tel. 030/1234, Größe 42!"));
        assert_ne!(text, "Tel. 030/1234, Größe 42!");
    }

    #[test]
    fn dates_keep_their_distance_and_others_are_refused() {
        let [a, b] = ["2024-02-28 12:00:00.5+00", "2024-03-01"].map(|value| masked(Rule::ShiftDate, value));
        assert!(a.ends_with(" 12:00:00.5+00") && a != "2024-02-28 12:00:00.5+00", "{a}");
        let day = |text: &str| text.get(..10).map(str::to_owned);
        assert_eq!(shift_date(&day(&a).expect("a date"), 2), day(&b));
        assert_eq!(masked(Rule::ShiftDate, "infinity"), "infinity");
        for value in ["", "tomorrow", "0044-03-15 BC"] {
            assert_eq!(masker().mask(Rule::ShiftDate, value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn the_key_decides() {
        for rule in [Rule::Hash, Rule::Email, Rule::Text] {
            let other = Masker::new([4; ID_BYTES]).mask(rule, b"value");
            assert_eq!(masker().mask(rule, b"value"), masker().mask(rule, b"value"));
            assert_ne!(masker().mask(rule, b"value"), other);
        }
    }
}
