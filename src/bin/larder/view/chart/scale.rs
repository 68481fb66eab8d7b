//! Axes in bytes: where a size lies, and which round sizes are marked.

const UNITS: [(f64, &str); 6] = [
    (1.0, "B"),
    (1024.0, "KiB"),
    (1_048_576.0, "MiB"),
    (1_073_741_824.0, "GiB"),
    (1_099_511_627_776.0, "TiB"),
    (1_125_899_906_842_624.0, "PiB"),
];
/// Marks that an axis has about.
const MARKS: f64 = 5.0;
/// Where the largest size is more than so many times the smallest, a linear axis shows nothing of the latter.
const LINEAR_MAX: f64 = 12.0;

/// An axis from the smaller sizes to the larger ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    Linear { top: f64 },
    Logarithmic { bottom: f64, top: f64 },
}

impl Scale {
    /// An axis for series that begin and end with these sizes.
    pub(super) fn new(begins: &[u64], ends: &[u64]) -> Self {
        let largest = ends.iter().copied().max().unwrap_or(0).max(1) as f64;
        let smallest = ends.iter().copied().min().unwrap_or(0).max(1) as f64;
        if largest <= LINEAR_MAX * smallest {
            return Self::Linear { top: largest * 1.04 };
        }
        let bottom = begins.iter().copied().min().unwrap_or(0).max(1) as f64;
        Self::Logarithmic { bottom: (bottom * 0.7).min(largest / 2.0), top: largest * 1.3 }
    }

    /// From 0 at the bottom to 1 at the top.
    pub(super) fn share(&self, bytes: f64) -> f64 {
        match *self {
            Self::Linear { top } => bytes / top,
            Self::Logarithmic { bottom, top } => ((bytes.max(1.0) / bottom).ln() / (top / bottom).ln()).max(0.0),
        }
    }

    /// Round sizes and how they are written.
    pub(super) fn marks(&self) -> Vec<(f64, String)> {
        match *self {
            Self::Linear { top } => {
                let (unit, _) = unit_of(top / 2.0);
                let step = round_up(top / unit / MARKS) * unit;
                let numbers = std::iter::successors(Some(0.0), |mark| Some(mark + step));
                numbers.take_while(|mark| *mark <= top).map(|mark| (mark, written(mark))).collect()
            }
            Self::Logarithmic { bottom, top } => {
                let sets: [&[f64]; 3] = [
                    &[1.0, 10.0, 100.0],
                    &[1.0, 3.0, 10.0, 30.0, 100.0, 300.0],
                    &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0],
                ];
                let within = |set: &[f64]| -> Vec<(f64, String)> {
                    let marks = UNITS.iter().flat_map(|(unit, _)| set.iter().map(move |number| number * unit));
                    marks.filter(|mark| (bottom..=top).contains(mark)).map(|mark| (mark, written(mark))).collect()
                };
                sets.into_iter().map(within).find(|marks| marks.len() >= 3).unwrap_or_else(|| within(sets[2]))
            }
        }
    }
}

fn unit_of(bytes: f64) -> (f64, &'static str) {
    UNITS.into_iter().rev().find(|(unit, _)| bytes >= *unit).unwrap_or(UNITS[0])
}

/// The next of 1, 2, 5, 10, 20 …
fn round_up(number: f64) -> f64 {
    let power = 10_f64.powf(number.max(0.001).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|round| *round >= number).unwrap_or(number)
}

fn written(bytes: f64) -> String {
    if bytes < 1.0 {
        return "0".to_owned();
    }
    let (unit, name) = unit_of(bytes * 1.001);
    let number = format!("{:.2}", bytes / unit);
    format!("{} {name}", number.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn written_marks(scale: Scale) -> Vec<String> {
        scale.marks().into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn sizes_that_are_near_have_a_linear_axis_of_round_marks() {
        let scale = Scale::new(&[100 * MIB], &[900 * MIB, 100 * MIB]);
        assert_eq!(written_marks(scale), ["0", "200 MiB", "400 MiB", "600 MiB", "800 MiB"]);
        assert!((scale.share(0.0)).abs() < 1e-9);
    }

    #[test]
    fn sizes_far_apart_have_a_logarithmic_axis() {
        let scale = Scale::new(&[10 * MIB, 30 * MIB], &[20_000 * MIB, 40 * MIB]);
        assert_eq!(written_marks(scale), ["10 MiB", "100 MiB", "1 GiB", "10 GiB"]);
        assert!(scale.share(7.0 * MIB as f64) < 0.01 && scale.share(20_000.0 * MIB as f64) < 1.0);
    }

    #[test]
    fn nothing_at_all_has_an_axis() {
        for scale in [Scale::new(&[], &[]), Scale::new(&[0], &[0, 0, 0, 0]), Scale::new(&[0], &[0, 5])] {
            assert!(!scale.marks().is_empty());
            assert!(scale.share(0.0).is_finite());
        }
    }
}
