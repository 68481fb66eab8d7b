//! Aligned tables of text, which fit the terminal that they are for.

/// Least characters of a last column that is broken into lines; narrower, it begins a line of its own.
const WRAPPED_MIN: usize = 20;
/// How far a last column stands in that begins a line of its own.
const INDENT: usize = 4;
/// What stands between two columns.
const GAP: &str = "  ";

/// How a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows of cells that are aligned when they are all known.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Align>,
    rows: Vec<Vec<String>>,
    /// Headings of columns that are left out where they do not fit, the first one first.
    expendable: Vec<&'static str>,
}

impl Table {
    /// A table with these columns and a row of headings.
    pub(crate) fn new(columns: &[(&str, Align)]) -> Self {
        let headings = columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
        let columns = columns.iter().map(|(_, align)| *align).collect();
        Self { columns, rows: vec![headings], expendable: Vec::new() }
    }

    /// The same table, of which these columns are left out where they do not fit, the first one first.
    pub(crate) fn leaving_out(mut self, headings: &[&'static str]) -> Self {
        self.expendable = headings.to_vec();
        self
    }

    /// Appends a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The lines of each row, the headings being the first. They have at most so many characters, as far as that goes: columns are left
    /// out, and the last one is broken at blanks.
    pub(crate) fn rows(&self, width: Option<usize>) -> Vec<Vec<String>> {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let mut expendable = self.expendable.iter();
        while width.is_some_and(|width| self.least_width(&shown) > width) {
            let Some(heading) = expendable.next() else { break };
            shown.retain(|column| self.rows[0].get(*column).is_none_or(|own| own != heading));
        }
        let widths: Vec<usize> = shown.iter().map(|column| self.width_of(*column)).collect();
        self.rows.iter().map(|row| self.lines_of(row, &shown, &widths, width)).collect()
    }

    fn lines_of(&self, row: &[String], shown: &[usize], widths: &[usize], width: Option<usize>) -> Vec<String> {
        let cell = |column: usize| row.get(column).map_or("", String::as_str);
        let Some((last, before)) = shown.split_last() else { return Vec::new() };
        let set = |(column, width): (&usize, &usize)| match self.columns[*column] {
            Align::Left => format!("{:<width$}", cell(*column)),
            Align::Right => format!("{:>width$}", cell(*column)),
        };
        let mut line = before.iter().zip(widths).map(set).collect::<Vec<_>>().join(GAP);
        if !before.is_empty() {
            line.push_str(GAP);
        }
        let start = line.chars().count();
        let text = match self.columns[*last] {
            Align::Left => cell(*last).to_owned(),
            Align::Right => format!("{:>1$}", cell(*last), widths.last().copied().unwrap_or_default()),
        };
        let Some(width) = width.filter(|width| start + text.chars().count() > *width) else {
            return vec![format!("{line}{text}").trim_end().to_owned()];
        };
        if start + WRAPPED_MIN <= width {
            let mut lines = wrapped(&text, width - start).into_iter();
            let first = format!("{line}{}", lines.next().unwrap_or_default());
            let more = lines.map(|more| format!("{:start$}{more}", ""));
            return std::iter::once(first).chain(more).collect();
        }
        let more = wrapped(&text, width.saturating_sub(INDENT).max(1)).into_iter();
        let more = more.map(|more| format!("{:INDENT$}{more}", ""));
        std::iter::once(line.trim_end().to_owned()).chain(more).collect()
    }

    /// What these columns take at least: the last one can be broken where it is text.
    fn least_width(&self, shown: &[usize]) -> usize {
        let Some((last, before)) = shown.split_last() else { return 0 };
        let before: usize = before.iter().map(|column| self.width_of(*column) + GAP.len()).sum();
        let last = match self.columns[*last] {
            Align::Left => self.width_of(*last).min(WRAPPED_MIN),
            Align::Right => self.width_of(*last),
        };
        before + last
    }

    fn width_of(&self, column: usize) -> usize {
        self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    }
}

/// A text in lines of at most so many characters, broken at blanks, else within a word.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        loop {
            let line = lines.last_mut().expect("there is one line at least");
            let taken = line.chars().count();
            let gap = usize::from(taken > 0);
            if taken + gap + word.len() <= width {
                if gap > 0 {
                    line.push(' ');
                }
                line.extend(word.iter());
                break;
            }
            if taken > 0 {
                lines.push(String::new());
            } else {
                line.extend(word.drain(..width.min(word.len())));
                if word.is_empty() {
                    break;
                }
                lines.push(String::new());
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let columns = [("name", Align::Left), ("size", Align::Right), ("from", Align::Left)];
        let mut table = Table::new(&columns).leaving_out(&["size"]);
        table.row(vec!["models".to_owned(), "1.5 GiB".to_owned(), "/srv/app/models of this system".to_owned()]);
        table.row(vec!["config".to_owned(), "2 B".to_owned(), "/srv/app/config".to_owned()]);
        table
    }

    fn lines(width: Option<usize>) -> Vec<String> {
        table().rows(width).concat()
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(
            lines(None),
            [
                "name       size  from",
                "models  1.5 GiB  /srv/app/models of this system",
                "config      2 B  /srv/app/config"
            ]
        );
    }

    #[test]
    fn a_narrow_table_breaks_its_last_column_and_leaves_others_out() {
        assert_eq!(lines(Some(40))[1..3], ["models  1.5 GiB  /srv/app/models of this", "                 system"]);
        assert_eq!(lines(Some(30))[0..3], ["name    from", "models  /srv/app/models of", "        this system"]);
        assert_eq!(lines(Some(20))[1..3], ["models", "    /srv/app/models"]);
        for width in 1..80 {
            let longest = lines(Some(width)).iter().map(|line| line.chars().count()).max();
            assert!(longest <= Some(width.max(6)), "{width}: {:?}", lines(Some(width)));
        }
    }
}
