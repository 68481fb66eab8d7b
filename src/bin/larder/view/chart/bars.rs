//! One bar for each way beside a name, long as its share of the longest.

use super::svg::Svg;
use super::ways::{MARGIN, WAYS, WIDTH, times};
use crate::units::size;

/// How a row is drawn.
pub(super) struct Look {
    bar: f64,
    gap: f64,
    /// Whether each bar is named.
    named: bool,
    left: f64,
    right: f64,
}

/// All components together.
pub(super) const LARGE: Look = Look { bar: 30.0, gap: 14.0, named: true, left: MARGIN + 120.0, right: 170.0 };
/// One component among others.
pub(super) const SMALL: Look = Look { bar: 6.0, gap: 1.5, named: false, left: MARGIN + 170.0, right: 250.0 };

impl Look {
    pub(super) fn height(&self) -> f64 {
        WAYS.len() as f64 * (self.bar + self.gap)
    }

    /// From one row to the next.
    pub(super) fn pitch(&self) -> f64 {
        self.height() + 16.0
    }
}

/// What one component takes.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) bytes: [u64; 4],
    pub(super) note: String,
}

const NAME_CHARS_MAX: usize = 22;

/// Draws a row from `y` down.
pub(super) fn draw(svg: &mut Svg, row: &Row, y: f64, look: &Look) {
    let longest = row.bytes.iter().copied().max().unwrap_or(0).max(1) as f64;
    let room = WIDTH - MARGIN - look.right - look.left;
    let middle = y + (look.height() - look.gap) / 2.0;
    let [.., stored] = row.bytes;
    for (number, ((class, name), bytes)) in WAYS.iter().zip(row.bytes).enumerate() {
        let top = y + number as f64 * (look.bar + look.gap);
        let width = (room * bytes as f64 / longest).max(1.5);
        svg.bar((look.left, top), (width, look.bar), &format!("f-{class}"), &format!("{name}: {}", size(bytes)));
        if look.named {
            let base = top + look.bar / 2.0 + 4.5;
            svg.text((look.left - 14.0, base), &format!("strong f-{class}"), "end", name);
            let factor = times(bytes, stored).filter(|_| *class != "stored").map(|times| format!(", {times} ×"));
            let text = format!("{}{}", size(bytes), factor.unwrap_or_default());
            svg.text((look.left + width + 10.0, base), "quiet", "start", &text);
        }
    }
    if !look.named {
        svg.text((MARGIN, middle + 4.5), "", "start", &shortened(&row.name));
        let right = WIDTH - MARGIN - look.right + 16.0;
        let [copies, ..] = row.bytes;
        let text = format!("{} instead of {}", size(stored), size(copies));
        svg.text((right, middle - 2.5), "small", "start", &text);
        svg.text((right, middle + 12.5), "small quiet", "start", &row.note);
    }
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_CHARS_MAX {
        return name.to_owned();
    }
    name.chars().take(NAME_CHARS_MAX - 1).chain(['…']).collect()
}
