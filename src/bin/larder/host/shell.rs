//! Words for the command lines of shells.

/// A word as a shell reads it.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_./:=,@+".contains(char);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_each_word_as_it_was() {
        let words = ["plain-1", "", "a b", "it's", "$(x) `y` \\", "\u{e4}\n"];
        let line = format!("printf '%s\\0' {}", words.map(quoted).join(" "));
        let output = std::process::Command::new("sh").args(["-c", &line]).output().expect("sh runs");
        let read: Vec<&str> = std::str::from_utf8(&output.stdout).expect("text").split_terminator('\0').collect();
        assert_eq!(read, words);
    }
}
