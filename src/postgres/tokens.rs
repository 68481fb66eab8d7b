//! Words, names, strings and marks of one statement that a server has written, where its text is at hand whole.

/// Words, quoted names, strings and marks, one after another.
pub(super) struct Tokens<'a>(pub(super) &'a str);

impl<'a> Tokens<'a> {
    pub(super) fn next_token(&mut self) -> Option<&'a str> {
        self.0 = self.0.trim_start();
        let first = self.0.chars().next()?;
        let end = match first {
            '"' | '\'' => self.quoted(first),
            char if is_word(char) => self.0.find(|char| !is_word(char)).unwrap_or(self.0.len()),
            char => char.len_utf8(),
        };
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        Some(token)
    }

    /// Where what begins with a quote ends. A quote that is doubled ends it and begins the next.
    fn quoted(&self, quote: char) -> usize {
        self.0.get(1..).and_then(|rest| rest.find(quote)).map_or(self.0.len(), |place| place + 2)
    }

    pub(super) fn pass(&mut self, count: usize) {
        for _ in 0..count {
            self.next_token();
        }
    }

    /// The next token, where it is a word.
    pub(super) fn word(&mut self) -> Option<&'a str> {
        self.next_token().filter(|token| token.starts_with(is_word))
    }

    pub(super) fn peek_word(&self) -> Option<&'a str> {
        Tokens(self.0).word()
    }

    /// A name with those that are before it and a dot, as it stands there.
    pub(super) fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        self.0 = self.0.trim_start();
        loop {
            let begin = self.0;
            if begin.starts_with('"') {
                while self.0.starts_with('"') {
                    name.push_str(self.next_token()?);
                }
            } else if begin.starts_with(is_word) {
                name.push_str(self.next_token()?);
            } else {
                return None;
            }
            match self.0.strip_prefix('.') {
                Some(rest) => {
                    name.push('.');
                    self.0 = rest;
                }
                None => return Some(name),
            }
        }
    }
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '_' | '$') || !char.is_ascii()
}

/// What follows the comments that a text begins with.
pub(super) fn without_comments(text: &str) -> &str {
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        match rest.strip_prefix("--") {
            Some(comment) => rest = comment.split_once('\n').map_or("", |(_, after)| after),
            None => return rest,
        }
    }
}
