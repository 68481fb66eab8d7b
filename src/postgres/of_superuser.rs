//! What only a superuser can own, as an entry of a script makes it: an event trigger, a foreign data wrapper, a subscription.

use super::owned::given;
use super::tokens::{Tokens, without_comments};
use super::wrapped::one_by_one;
use crate::model::split_names;

const KINDS: [(Kind, &[&str]); 3] = [
    (Kind::EventTrigger, &["EVENT", "TRIGGER"]),
    (Kind::ForeignDataWrapper, &["FOREIGN", "DATA", "WRAPPER"]),
    (Kind::Subscription, &["SUBSCRIPTION"]),
];

/// A kind of object that only a superuser can own; from PostgreSQL 16 on a subscription can be anybody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    EventTrigger,
    ForeignDataWrapper,
    Subscription,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::EventTrigger => "event trigger",
            Self::ForeignDataWrapper => "foreign data wrapper",
            Self::Subscription => "subscription",
        })
    }
}

/// Something that an entry makes and gives to an owner.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OfSuperuser {
    pub(crate) kind: Kind,
    /// Its name.
    pub(crate) name: String,
    /// Who owned it.
    pub(crate) owner: String,
    /// The statements of the entry without the one that gives it to the owner.
    pub(crate) without_owner: Vec<u8>,
}

impl OfSuperuser {
    /// What these statements of one entry make; `None` where they make nothing of that, or give it to nobody.
    pub(crate) fn of(text: &[u8]) -> Option<Self> {
        let mut statements = one_by_one(text);
        let (place, kind, (owner, name)) = statements.iter().enumerate().find_map(|(place, statement)| {
            KINDS.iter().find_map(|(kind, words)| Some((place, *kind, given(statement, &[words])?)))
        })?;
        statements.remove(place);
        Some(Self { kind, name: only(&name)?, owner: only(&owner)?, without_owner: statements.concat() })
    }
}

/// The function that is called with the options of a foreign data wrapper as soon as these statements make it, quoted where needed.
pub(crate) fn validator(text: &[u8]) -> Option<String> {
    one_by_one(text).into_iter().find_map(|statement| {
        let statement = String::from_utf8_lossy(statement);
        let mut tokens = Tokens(without_comments(&statement));
        if ["CREATE", "FOREIGN", "DATA", "WRAPPER"].iter().any(|word| tokens.word() != Some(word)) {
            return None;
        }
        tokens.name()?;
        std::iter::from_fn(|| tokens.next_token())
            .take_while(|token| *token != "OPTIONS")
            .find(|token| *token == "VALIDATOR")?;
        tokens.name()
    })
}

/// The one name in a text, where it is quoted if needed.
fn only(text: &str) -> Option<String> {
    split_names(text).filter(|names| names.len() == 1)?.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_gives_it_away_is_left_out() {
        let text = "-- x\nSET a = b;\nCREATE EVENT TRIGGER \"e; e\" ON sql_drop\n   EXECUTE FUNCTION m.f();\n\n\nALTER EVENT TRIGGER \"e; e\" DISABLE;\n";
        let gives = "\n\nALTER EVENT TRIGGER \"e; e\" OWNER TO \"a b\";";
        let found = OfSuperuser::of(format!("{text}{gives}\n\n").as_bytes()).expect("an event trigger");
        assert_eq!((found.kind, found.name.as_str(), found.owner.as_str()), (Kind::EventTrigger, "e; e", "a b"));
        // What is left is as it was.
        assert_eq!(String::from_utf8_lossy(&found.without_owner), format!("{}\n\n", text.trim_end()));
        for (text, kind) in [
            (
                "CREATE FOREIGN DATA WRAPPER w OPTIONS (\n    a 'OWNER TO b'\n);\nALTER FOREIGN DATA WRAPPER w OWNER TO o;",
                Kind::ForeignDataWrapper,
            ),
            (
                "CREATE SUBSCRIPTION w CONNECTION 'x' PUBLICATION p WITH (connect = false);\nALTER SUBSCRIPTION w OWNER TO o;",
                Kind::Subscription,
            ),
        ] {
            let found = OfSuperuser::of(text.as_bytes()).expect("an owner");
            assert_eq!((found.kind, found.name.as_str(), found.owner.as_str()), (kind, "w", "o"));
        }
        for text in [
            "CREATE SUBSCRIPTION w CONNECTION 'x' PUBLICATION p;",
            "ALTER TABLE w OWNER TO o;",
            "ALTER SUBSCRIPTION w ENABLE;",
        ] {
            assert_eq!(OfSuperuser::of(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn validators_are_found() {
        let of = |text: &str| validator(text.as_bytes());
        assert_eq!(
            of("SET a = b;\nCREATE FOREIGN DATA WRAPPER \"VALIDATOR x\" VALIDATOR m.\"v v\" OPTIONS (a 'b');"),
            Some("m.\"v v\"".to_owned())
        );
        assert_eq!(of("CREATE FOREIGN DATA WRAPPER w HANDLER m.h VALIDATOR m.v;"), Some("m.v".to_owned()));
        assert_eq!(of("CREATE FOREIGN DATA WRAPPER w OPTIONS (a 'VALIDATOR m.v');"), None);
    }
}
