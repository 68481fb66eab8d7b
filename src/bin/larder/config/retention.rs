//! What is kept by `prune`: flags over `[retention]` of `larder.toml` over `BACKUP_…` of the environment over defaults, each setting by
//! itself.

use std::time::Duration;

use larder::model::Retention;
use serde::Deserialize;

use crate::error::UsageError;

/// Gigabytes that a repository may take, unless something else is said.
const MAX_SIZE_GB: f64 = 50.0;
const GB: f64 = 1_000_000_000.0;

/// The table `[retention]`, and the flags that say the same.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetentionTable {
    pub(crate) last: Option<u32>,
    pub(crate) hourly: Option<u32>,
    pub(crate) daily: Option<u32>,
    pub(crate) weekly: Option<u32>,
    pub(crate) monthly: Option<u32>,
    pub(crate) yearly: Option<u32>,
    pub(crate) within: Option<String>,
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    pub(crate) max_size_gb: Option<f64>,
}

impl RetentionTable {
    /// What the environment says.
    fn of_environment() -> Result<Self, UsageError> {
        Ok(Self {
            daily: variable("BACKUP_RETENTION_DAILY")?,
            weekly: variable("BACKUP_RETENTION_WEEKLY")?,
            monthly: variable("BACKUP_RETENTION_MONTHLY")?,
            max_size_gb: variable("BACKUP_MAX_SIZE_GB")?,
            ..Self::default()
        })
    }

    /// These settings, and those of the other table where these say nothing.
    fn or(self, other: &Self) -> Self {
        Self {
            last: self.last.or(other.last),
            hourly: self.hourly.or(other.hourly),
            daily: self.daily.or(other.daily),
            weekly: self.weekly.or(other.weekly),
            monthly: self.monthly.or(other.monthly),
            yearly: self.yearly.or(other.yearly),
            within: self.within.or_else(|| other.within.clone()),
            tags: if self.tags.is_empty() { other.tags.clone() } else { self.tags },
            max_size_gb: self.max_size_gb.or(other.max_size_gb),
        }
    }

    /// The retention of these flags, and the most bytes that the repository may take.
    pub(crate) fn resolve(self, file: &Self) -> Result<(Retention, Option<u64>), UsageError> {
        self.or(file).or(&Self::of_environment()?).settle()
    }

    /// Refuses what means nothing, whatever else is said.
    pub(crate) fn check(&self) -> Result<(), UsageError> {
        self.clone().settle().map(drop)
    }

    /// The retention of this table, with the defaults where it says nothing.
    fn settle(self) -> Result<(Retention, Option<u64>), UsageError> {
        let table = self;
        let default = Retention::default();
        let within = table.within.as_deref().map(parse_span).transpose();
        let retention = Retention {
            last: table.last.unwrap_or(default.last),
            hourly: table.hourly.unwrap_or(default.hourly),
            daily: table.daily.unwrap_or(default.daily),
            weekly: table.weekly.unwrap_or(default.weekly),
            monthly: table.monthly.unwrap_or(default.monthly),
            yearly: table.yearly.unwrap_or(default.yearly),
            within: within.map_err(|why| UsageError::new(format!("[retention]: within: {why}")))?,
            tags: table.tags,
        };
        if retention == Retention::NONE {
            let message = "the retention keeps nothing: none of its numbers is above zero";
            return Err(UsageError::with_advice(message, "`larder forget NAME` deletes single snapshots"));
        }
        let gb = table.max_size_gb.unwrap_or(MAX_SIZE_GB);
        if !(0.0..=1e9).contains(&gb) {
            return Err(UsageError::new(format!("a repository cannot be {gb} GB large")));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 10^18")]
        let bytes_max = (gb > 0.0).then_some((gb * GB) as u64);
        Ok((retention, bytes_max))
    }
}

/// A number of the environment; an empty one is not set.
fn variable<T: std::str::FromStr>(name: &str) -> Result<Option<T>, UsageError> {
    let Some(text) = std::env::var(name).ok().filter(|text| !text.is_empty()) else { return Ok(None) };
    let parsed = text.trim().parse();
    parsed.map(Some).map_err(|_| UsageError::new(format!("{name}: '{text}' is not a number of zero or more")))
}

/// A span of time: a number and `h`, `d`, `w` or `y`.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    let hours = match text.chars().last() {
        Some('h') => 1,
        Some('d') => 24,
        Some('w') => 7 * 24,
        Some('y') => 365 * 24,
        _ => return Err(format!("'{text}' has no unit: h, d, w or y")),
    };
    let number: u32 = text
        .get(..text.len() - 1)
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| format!("'{text}' is not a whole number with h, d, w or y behind it"))?;
    Ok(Duration::from_secs(u64::from(number) * hours * 3_600))
}

/// A length in bytes: a number, and `K`, `M`, `G` or `T` for multiples of 1,024.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let trimmed = text.trim_end_matches("iB").trim_end_matches('B');
    let (number, shift) = match trimmed.chars().last() {
        Some('K' | 'k') => (trimmed.get(..trimmed.len() - 1), 10),
        Some('M') => (trimmed.get(..trimmed.len() - 1), 20),
        Some('G') => (trimmed.get(..trimmed.len() - 1), 30),
        Some('T') => (trimmed.get(..trimmed.len() - 1), 40),
        _ => (Some(trimmed), 0),
    };
    let number: Option<u64> = number.and_then(|number| number.parse().ok());
    let bytes = number.and_then(|number| number.checked_mul(1 << shift));
    bytes.ok_or_else(|| format!("'{text}' is not a whole number, or one with K, M, G or T behind it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes() {
        assert_eq!(parse_span("36h"), Ok(Duration::from_hours(36)));
        assert_eq!(parse_span("2w"), Ok(Duration::from_hours(14 * 24)));
        for wrong in ["", "h", "5", "-1d", "1.5d", "5 d", "5m"] {
            assert!(parse_span(wrong).is_err(), "{wrong}");
        }
        assert_eq!([parse_size("17"), parse_size("2K"), parse_size("3GiB")], [Ok(17), Ok(2048), Ok(3 << 30)]);
        for wrong in ["", "G", "-1", "1.5G", "99999999999T"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_setting_comes_from_the_first_place_that_has_it() {
        let file = RetentionTable { daily: Some(3), weekly: Some(5), max_size_gb: Some(0.5), ..Default::default() };
        let flags = RetentionTable { daily: Some(9), tags: vec!["x".to_owned()], ..Default::default() };
        let (retention, bytes_max) = flags.resolve(&file).expect("a policy");
        assert_eq!((retention.daily, retention.weekly, retention.monthly), (9, 5, 3));
        assert_eq!((retention.tags.len(), bytes_max), (1, Some(500_000_000)));
        let zero = RetentionTable {
            daily: Some(0),
            weekly: Some(0),
            monthly: Some(0),
            max_size_gb: Some(0.0),
            ..Default::default()
        };
        assert!(zero.clone().resolve(&RetentionTable::default()).is_err());
        let last = RetentionTable { last: Some(1), ..zero };
        assert_eq!(last.resolve(&RetentionTable::default()).expect("a policy").1, None);
    }
}
