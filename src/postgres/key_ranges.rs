//! Ranges of the first column of a key, by which several sessions read one large table at once. The rows are the same whatever the
//! ranges are.

use super::sql::literal;
use crate::model::KeyOrder;

/// What the rows of one range are aimed at, in bytes: what is prefetched of it fits into memory.
pub(super) const RANGE_BYTES: u64 = 4 << 20;
const RANGES_MAX: u64 = 100_000;

/// The bounds of ranges that are about as long as is aimed at: those of the histogram in the statistics, between which equally many
/// rows lie, and between whole numbers in equal steps.
pub(super) fn bounds(mut known: Vec<String>, first: Option<KeyOrder>, bytes: u64) -> Vec<String> {
    known.dedup();
    let ranges = (bytes / RANGE_BYTES).min(RANGES_MAX);
    let buckets = known.len().saturating_sub(1) as u64;
    if buckets < 2 || ranges < 2 {
        return Vec::new();
    }
    let whole: Option<Vec<i64>> = known.iter().map(|bound| bound.parse().ok()).collect();
    if let (Some(KeyOrder::Integer), Some(whole)) = (first, whole) {
        let steps = i64::try_from(ranges.div_ceil(buckets)).unwrap_or(1);
        let between = |(from, to): (&i64, &i64)| {
            let (from, step) = (*from, (i128::from(*to) - i128::from(*from)) / i128::from(steps));
            let step = i64::try_from(step).ok().filter(|step| *step > 0);
            (0..steps).map_while(move |number| if number == 0 { Some(from) } else { Some(from + number * step?) })
        };
        let mut bounds: Vec<i64> = whole.iter().zip(whole.iter().skip(1)).flat_map(between).collect();
        thin_out(&mut bounds, ranges);
        return bounds.iter().map(i64::to_string).collect();
    }
    thin_out(&mut known, ranges);
    known
}

/// Leaves about so many of the bounds.
fn thin_out<T>(bounds: &mut Vec<T>, ranges: u64) {
    let every = (bounds.len() as u64 / ranges).max(1);
    let mut number = 0;
    bounds.retain(|_| {
        number += 1;
        (number - 1) % every == 0
    });
}

/// The conditions that partition a table at these bounds.
pub(super) fn conditions(column: &str, bounds: &[String]) -> Vec<String> {
    let from = bounds.iter().map(|bound| Some(format!("{column} >= {}", literal(bound))));
    let to = bounds.iter().map(|bound| Some(format!("{column} < {}", literal(bound))));
    let pairs = std::iter::once(None).chain(from).zip(to.chain(std::iter::once(None)));
    let clause = |(from, to): (Option<String>, Option<String>)| {
        let both: Vec<String> = from.into_iter().chain(to).collect();
        if both.is_empty() { String::new() } else { format!(" WHERE {}", both.join(" AND ")) }
    };
    pairs.map(clause).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_divide_a_table_without_gap_or_overlap() {
        assert_eq!(conditions("id", &[]), [""]);
        let expected = [" WHERE id < E'5'", " WHERE id >= E'5' AND id < E'it''s \\\\'", " WHERE id >= E'it''s \\\\'"];
        assert_eq!(conditions("id", &["5".to_owned(), "it's \\".to_owned()]), expected);
    }

    #[test]
    fn bounds_are_in_order_and_about_as_many_as_are_aimed_at() {
        let known: Vec<String> = (0..=100).map(|number| (number * 1000).to_string()).collect();
        for bytes in [RANGE_BYTES * 3, RANGE_BYTES * 50, RANGE_BYTES * 1000] {
            let found: Vec<i64> = bounds(known.clone(), Some(KeyOrder::Integer), bytes)
                .iter()
                .map(|b| b.parse().expect("whole"))
                .collect();
            assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "{found:?}");
            let ranges = bytes / RANGE_BYTES;
            assert!(
                found.len() as u64 >= ranges / 2 && found.len() as u64 <= ranges * 2 + 2,
                "{ranges}: {}",
                found.len()
            );
        }
        let narrow: Vec<String> = (0..=100).map(|number| number.to_string()).collect();
        assert!(bounds(narrow, Some(KeyOrder::Integer), RANGE_BYTES * 1000).len() <= 101);
        assert!(bounds(vec!["1".to_owned()], Some(KeyOrder::Integer), u64::MAX).is_empty());
    }
}
