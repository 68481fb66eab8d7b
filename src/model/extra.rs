//! Fields at the end of a record that came with a later version of the program than the record did.
//!
//! Each has a tag. One that is not known is kept, and ignored, unless the lowest bit of its tag is set: then the record means something
//! else without it, and is refused.

use serde::{Deserialize, Deserializer, Serialize};

use super::bounded::at_most;
use super::{ByteString, Error};
use crate::limits::EXTRA_FIELDS_MAX;

/// The bit of a tag that forbids to ignore its field.
const CRITICAL: u16 = 1;

/// The extra fields of a record, in the order of their tags.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ExtraFields(Vec<(u16, ByteString)>);

impl ExtraFields {
    /// Fields with these tags and bytes.
    #[must_use]
    pub fn new(mut fields: Vec<(u16, ByteString)>) -> Self {
        fields.sort();
        Self(fields)
    }

    /// Sets the field of this tag.
    pub(super) fn set(&mut self, tag: u16, bytes: &[u8]) {
        self.0.retain(|(other, _)| *other != tag);
        self.0.push((tag, bytes.into()));
        self.0.sort();
    }

    /// The bytes of the field of this tag.
    #[must_use]
    pub(super) fn get(&self, tag: u16) -> Option<&[u8]> {
        self.0.iter().find(|(other, _)| *other == tag).map(|(_, bytes)| bytes.as_ref())
    }

    /// Refuses fields that are not known and must not be ignored, and those that no writer makes.
    ///
    /// # Errors
    /// [`Error::UnknownField`], [`Error::Damaged`].
    pub(super) fn check(&self, what: &'static str) -> Result<(), Error> {
        if let Some((tag, _)) = self.0.iter().find(|(tag, _)| tag & CRITICAL != 0) {
            return Err(Error::UnknownField { what, tag: *tag });
        }
        if self.0.is_sorted_by(|(one, _), (next, _)| one < next) {
            return Ok(());
        }
        Err(Error::Damaged { what, why: "its extra fields are not in the order of their tags".to_owned() })
    }
}

impl<'de> Deserialize<'de> for ExtraFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        at_most::<EXTRA_FIELDS_MAX, _, _>(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(tags: &[u16]) -> ExtraFields {
        ExtraFields(tags.iter().map(|tag| (*tag, ByteString(vec![1]))).collect())
    }

    #[test]
    fn what_is_not_known_is_ignored_unless_it_must_not_be() {
        assert!(fields(&[]).check("node").is_ok());
        assert!(fields(&[2, 70]).check("node").is_ok());
        let refused = fields(&[2, 71]).check("node").expect_err("it must not be ignored");
        assert!(matches!(refused, Error::UnknownField { what: "node", tag: 71 }));
        assert!(!refused.is_damage());
        for unordered in [&[4, 2][..], &[2, 2]] {
            assert!(fields(unordered).check("node").expect_err("no writer makes that").is_damage());
        }
    }
}
