//! JSON documents of the program.

use serde_json::Value;

/// A text in a document.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a text")).to_owned()
}

/// The name in a document.
pub(crate) fn name_of(document: &Value) -> String {
    text(&document["name"])
}

/// The component of this name in a document about a snapshot or a restore.
pub(crate) fn component<'a>(document: &'a Value, name: &str) -> &'a Value {
    let components = document["components"].as_array().expect("the document has components");
    components.iter().find(|component| component["name"] == name).unwrap_or_else(|| panic!("no {name} in {document}"))
}
