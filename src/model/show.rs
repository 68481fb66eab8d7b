//! Texts and paths of somebody else, as people may see them: nothing in them can play with a terminal.

/// A path as text, with control characters escaped so that no name can play with a terminal.
#[must_use]
pub fn show_path(path: &[u8]) -> String {
    show_text(&String::from_utf8_lossy(path))
}

/// A text of somebody else as one line for people: what would play with a terminal, or with the order in which letters are
/// shown, is escaped.
#[must_use]
pub fn show_text(text: &str) -> String {
    text.chars()
        .flat_map(|char| {
            let escaped = is_deceptive(char).then(|| char.escape_default());
            let plain = if escaped.is_some() { None } else { Some(char) };
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// Whether a character is a command to whoever shows it: controls, separators of lines, what turns the direction of text, and
/// what is not seen at all (`Default_Ignorable_Code_Point` of Unicode, and the marks of annotations).
#[must_use]
pub fn is_deceptive(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_escaped() {
        assert_eq!(show_path(b"a\x1b[2Jb\n\xff"), "a\\u{1b}[2Jb\\n\u{fffd}");
        assert_eq!(show_text("a\u{9b}2J\u{202e}b\u{2028}\u{e4}"), "a\\u{9b}2J\\u{202e}b\\u{2028}\u{e4}");
    }

    /// Two names that differ in nothing but these were shown as the same.
    #[test]
    fn what_is_not_seen_is_shown_escaped() {
        for hidden in
            [0xad, 0x34f, 0x200b, 0x200d, 0x2060, 0x2064, 0x3164, 0xfe0f, 0xfeff, 0xfffb, 0xe0001, 0xe007f, 0xe0100]
        {
            let char = char::from_u32(hidden).expect("a character");
            assert_eq!(show_text(&format!("a{char}b")), format!("a\\u{{{hidden:x}}}b"));
        }
        for seen in ["\u{a0}", "e\u{301}", "\u{e9}", "\u{5d0}", "\u{905}\u{902}", "\u{1f600}", "\u{fffd}"] {
            assert_eq!(show_text(seen), seen);
        }
    }
}
