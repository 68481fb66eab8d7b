//! `metadata.json` of an exported folder: the documented fields, with the types that other programs read them as.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::model::{Component, ComponentKind, Snapshot};
use crate::pipeline::Mask;

const VERSION: &str = "2.0";
const MEBIBYTE: f64 = 1_048_576.0;

/// What one component became in the folder.
#[derive(Debug)]
pub(super) enum Rendered {
    /// A compressed or plain file.
    File { filename: String, bytes: u64, sha256: String, compressed: bool },
    /// The archive of a volume.
    Volume { volume: String, filename: String, bytes: u64, sha256: String, compressed: bool },
    /// A directory.
    Directory { files: u64, bytes: u64 },
}

/// The text of `metadata.json` for a snapshot that was rendered at `path`.
pub(super) fn render(
    snapshot: &Snapshot,
    path: &str,
    components: &[(&Component, Rendered)],
    mask: Option<&Mask>,
    pinned: bool,
) -> String {
    let mut rendered = Map::new();
    let mut total = 0.0;
    for (component, entry) in components {
        let (value, size_mb) = component_value(component, path, entry);
        total += size_mb;
        rendered.insert(component.name.to_string(), value);
    }
    let errors: Vec<String> = snapshot.errors().collect();
    let failed = snapshot.components.iter().filter(|component| component.root.is_none());
    let failed: BTreeMap<&str, ComponentKind> =
        failed.map(|component| (component.name.as_str(), component.kind)).collect();
    let mut document = json!({
        "timestamp": snapshot.time.iso_naive(),
        "version": VERSION,
        "backup_name": snapshot.name,
        "backup_path": path,
        "components": rendered,
        "total_size_mb": total,
        "validation_errors": errors,
        // What an import makes the same snapshot of again.
        "larder": {
            "system": snapshot.system,
            "kind": snapshot.kind,
            "dropped": snapshot.dropped,
            "failed": failed,
            "tags": snapshot.tags,
            "pinned": pinned,
            "time": snapshot.time,
        },
    });
    if let (Some(mask), Some(fields)) = (mask, document.as_object_mut()) {
        // A folder whose rows are not those of the system says so, and which are not.
        let columns: BTreeMap<&str, Vec<&str>> = mask.columns().collect();
        fields.insert("masked".to_owned(), json!(columns));
    }
    let mut text = ascii(&serde_json::to_string_pretty(&document).expect("a JSON value is plain data"));
    text.push('\n');
    text
}

fn component_value(component: &Component, path: &str, entry: &Rendered) -> (Value, f64) {
    let name = component.name.as_str();
    match entry {
        Rendered::File { filename, bytes, sha256, compressed } => {
            let size_mb = *bytes as f64 / MEBIBYTE;
            let mut value = json!({
                "filename": filename,
                "filepath": format!("{path}/{filename}"),
                "size_mb": size_mb,
                "checksum": sha256,
                "compressed": compressed,
            });
            if let (Some(database), Some(fields)) = (&component.database, value.as_object_mut()) {
                fields.insert("database_size".to_owned(), json!(pretty_size(database.size_bytes)));
                fields.insert("database".to_owned(), json!(database.name));
            }
            (value, size_mb)
        }
        Rendered::Volume { volume, filename, bytes, sha256, compressed } => {
            let size_mb = *bytes as f64 / MEBIBYTE;
            let value = json!({
                "volume": volume,
                "filename": filename,
                "filepath": format!("{path}/{filename}"),
                "size_mb": size_mb,
                "checksum": sha256,
                "compressed": compressed,
                "errors": component.errors.messages,
            });
            (value, size_mb)
        }
        Rendered::Directory { files, bytes } => {
            let size_mb = *bytes as f64 / MEBIBYTE;
            let value = json!({
                "component": name,
                "source_dir": component.source,
                "backup_dir": format!("{path}/{name}"),
                "files": files,
                "size_mb": size_mb,
                "errors": component.errors.messages,
            });
            (value, size_mb)
        }
    }
}

/// A size as PostgreSQL's `pg_size_pretty` writes it.
fn pretty_size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "kB", "MB", "GB", "TB"];
    let mut size = bytes;
    let mut unit = 0;
    while size >= 10_240 && unit + 1 < UNITS.len() {
        size = (size + 512) / 1024;
        unit += 1;
    }
    format!("{size} {}", UNITS.get(unit).copied().unwrap_or("TB"))
}

/// Everything beyond ASCII as `\u` escapes: the folder's other readers may not expect UTF-8.
fn ascii(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut units = [0; 2];
    for char in text.chars() {
        if char.is_ascii() {
            escaped.push(char);
        } else {
            for unit in char.encode_utf16(&mut units) {
                // Writing into a string cannot fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_texts_as_the_documented_readers_expect_them() {
        assert_eq!(pretty_size(8_192), "8192 bytes");
        assert_eq!(pretty_size(47_185_920), "45 MB");
        assert_eq!(ascii("\"caf\u{e9} \u{1f4c4}\""), "\"caf\\u00e9 \\ud83d\\udcc4\"");
    }
}
