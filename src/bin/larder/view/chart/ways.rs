//! The ways to keep the same backups that a chart compares, and where its drawings stand.

use larder::pipeline::savings::{Figures, Savings};

/// The ways, in the order in which they are drawn; each is a class of the style too.
pub(super) const WAYS: [(&str, &str); 4] =
    [("copies", "Full copies"), ("dedup", "Dedup alone"), ("compressed", "Dedup + zstd"), ("stored", "Larder")];

pub(super) const WIDTH: f64 = 960.0;
pub(super) const MARGIN: f64 = 40.0;
/// How many times as much one is as the other, as people read it; `None` when there is nothing to compare with.
pub(crate) fn times(bytes: u64, stored: u64) -> Option<String> {
    let times = (stored > 0).then(|| bytes as f64 / stored as f64)?;
    Some(if times < 99.95 { format!("{times:.1}") } else { format!("{times:.0}") })
}

/// What all nights take in each way.
pub(super) fn ends(savings: &Savings) -> [u64; 4] {
    let [copies, dedup, compressed, _] = ways(&savings.total());
    [copies, dedup, compressed, savings.repository_bytes]
}

pub(super) const fn ways(figures: &Figures) -> [u64; 4] {
    [figures.copies_bytes, figures.dedup_bytes, figures.compressed_bytes, figures.stored_bytes]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors() {
        assert_eq!(
            [times(10, 4), times(1000, 1), times(1, 0)],
            [Some("2.5".to_owned()), Some("1000".to_owned()), None]
        );
    }
}
