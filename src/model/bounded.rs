//! Lists of records that are read with a bound: a few bytes may stand for much memory.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A list that is no longer than `MAX`.
pub(super) fn at_most<'de, const MAX: usize, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    struct Bounded<const MAX: usize, T>(PhantomData<T>);

    impl<'de, const MAX: usize, T: Deserialize<'de>> Visitor<'de> for Bounded<MAX, T> {
        type Value = Vec<T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "a list of at most {MAX}")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(entry) = entries.next_element()? {
                if list.len() >= MAX {
                    return Err(A::Error::custom(format_args!("one of its lists has more than {MAX} entries")));
                }
                list.push(entry);
            }
            Ok(list)
        }
    }

    deserializer.deserialize_seq(Bounded::<MAX, T>(PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twelve megabytes of components that are nearly empty took 500 of memory.
    #[test]
    fn a_list_that_is_too_long_is_refused() {
        #[derive(Debug, Deserialize)]
        struct Few {
            #[serde(deserialize_with = "at_most::<3, _, _>")]
            numbers: Vec<u8>,
        }
        let decoded = |text| serde_json::from_str::<Few>(text).map(|few| few.numbers.len());
        assert_eq!(decoded(r#"{"numbers":[1,2,3]}"#).expect("as many as there may be"), 3);
        let error = decoded(r#"{"numbers":[1,2,3,4]}"#).expect_err("one more").to_string();
        assert!(error.starts_with("one of its lists has more than 3 entries"), "{error}");
    }
}
