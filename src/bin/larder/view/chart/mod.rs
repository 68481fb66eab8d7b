//! The chart of `larder savings`: one SVG file that needs no other, on light and on dark ground.
//!
//! Above it has what the nights take added up, for each way to keep them; below, each component by itself.

mod bars;
mod lines;
mod scale;
mod svg;
mod ways;

use larder::pipeline::savings::Savings;

pub(crate) use ways::times;

use crate::units::{count, size};
use bars::Row;
use svg::Svg;
use ways::{MARGIN, WAYS, WIDTH, ends, ways};

const PLOT_TOP: f64 = 118.0;
const PLOT_HEIGHT: f64 = 300.0;
/// Components that have bars of their own.
const COMPONENTS_MAX: usize = 12;

/// The drawing. `origin` says where the figures are from, where that is not a repository of the reader.
pub(crate) fn draw(savings: &Savings, origin: Option<&str>) -> String {
    let (rows, left_out) = component_rows(savings);
    let is_lines = savings.nights.len() > 1;
    let plot_height = if is_lines { PLOT_HEIGHT } else { bars::LARGE.height() };
    let below = PLOT_TOP + plot_height + if is_lines { 104.0 } else { 56.0 };
    let height = below + rows.len() as f64 * bars::SMALL.pitch() + if left_out > 0 { 56.0 } else { 36.0 };
    let title = title(savings);
    let mut svg = Svg::new((WIDTH, height), &title, &description(savings));
    svg.text((MARGIN, 50.0), "title", "start", &title);
    svg.text((MARGIN, 74.0), "quiet", "start", &subtitle(savings));
    if let Some(origin) = origin {
        svg.text((MARGIN, 94.0), "small quiet", "start", origin);
    }
    if is_lines {
        lines::draw(&mut svg, savings, (PLOT_TOP, plot_height));
    } else {
        let row = Row { name: String::new(), bytes: ends(savings), note: String::new() };
        bars::draw(&mut svg, &row, PLOT_TOP, &bars::LARGE);
    }
    svg.text((MARGIN, below - 22.0), "head", "start", "Each component against its own largest bar");
    for (number, row) in rows.iter().enumerate() {
        bars::draw(&mut svg, row, below + number as f64 * bars::SMALL.pitch(), &bars::SMALL);
    }
    if left_out > 0 {
        let more = format!("and {}", count(left_out as u64, "smaller component", "smaller components"));
        svg.text((MARGIN, height - 28.0), "small quiet", "start", &more);
    }
    svg.finish()
}

fn title(savings: &Savings) -> String {
    format!("{} in {}", count(savings.nights.len() as u64, "night", "nights"), size(savings.repository_bytes))
}

fn subtitle(savings: &Savings) -> String {
    let nights = savings.nights.len().max(1) as u64;
    let live = size(savings.total().live_bytes / nights);
    let copies = savings.total().copies_bytes;
    match times(copies, savings.repository_bytes) {
        Some(times) => {
            format!("{live} a night. Full compressed copies would take {}, {times} times as much.", size(copies))
        }
        None => format!("{live} a night."),
    }
}

fn description(savings: &Savings) -> String {
    let ends = ends(savings);
    let ways: Vec<String> =
        WAYS.iter().zip(ends).map(|((_, name), bytes)| format!("{name}: {}", size(bytes))).collect();
    format!("What all nights take together. {}.", ways.join(", "))
}

/// The largest components in their order, and how many others there are.
fn component_rows(savings: &Savings) -> (Vec<Row>, usize) {
    let components = savings.components();
    let mut sizes: Vec<u64> = components.iter().map(|(_, figures)| figures.copies_bytes).collect();
    sizes.sort_unstable_by_key(|size| std::cmp::Reverse(*size));
    let least = sizes.get(COMPONENTS_MAX - 1).copied().unwrap_or(0);
    let all = components.len();
    let large = components.into_iter().filter(|(_, figures)| figures.copies_bytes >= least).take(COMPONENTS_MAX);
    let rows: Vec<Row> = large
        .map(|(name, figures)| {
            let is_less = figures.copies_bytes as f64 >= 1.05 * figures.stored_bytes as f64;
            let factor = times(figures.copies_bytes, figures.stored_bytes).filter(|_| is_less);
            let note = factor.map(|times| format!("{times} times less"));
            Row { name, bytes: ways(&figures), note: note.unwrap_or_default() }
        })
        .collect();
    let left_out = all - rows.len();
    (rows, left_out)
}

#[cfg(test)]
mod tests {
    use larder::clock::LocalTime;
    use larder::model::SnapshotName;
    use larder::pipeline::savings::{Figures, Night};

    use super::*;

    fn sample(nights: usize, components: usize) -> Savings {
        let night = |number: usize| {
            let time = LocalTime { unix_micros: 1_767_232_800_000_000, offset_secs: 0 }
                .plus_secs(86_400 * i64::try_from(number).expect("few nights"));
            let figures = |component: usize| Figures {
                live_bytes: 4_000_000,
                copies_bytes: 1_000_000 + component as u64,
                dedup_bytes: if number == 0 { 4_000_000 } else { 900_000 },
                compressed_bytes: if number == 0 { 1_000_000 } else { 300_000 },
                stored_bytes: if number == 0 { 1_000_000 } else { 30_000 },
                chunks: 100,
            };
            let components = (0..components).map(|number| (format!("a<b>&\"{number}"), figures(number))).collect();
            Night { name: SnapshotName::at(time), time, components }
        };
        let mut savings = Savings { nights: (0..nights).map(night).collect(), ..Savings::default() };
        savings.other_bytes = 50_000;
        savings.repository_bytes = savings.total().stored_bytes + savings.other_bytes;
        savings
    }

    /// Every element is closed in order, and nothing stands in text that would begin another.
    fn assert_well_formed(svg: &str) {
        let mut open: Vec<&str> = Vec::new();
        for part in svg.split('<').skip(1) {
            let (tag, text) = part.split_once('>').expect("a tag ends before the next one begins");
            assert!(!text.contains('>'), "{text}");
            assert!(tag.matches('"').count().is_multiple_of(2), "{tag}");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.ends_with('/') {
                open.push(tag.split_whitespace().next().expect("a name"));
            }
            let is_escaped = |rest: &str| ["&amp;", "&lt;", "&gt;", "&quot;"].iter().any(|name| rest.starts_with(name));
            assert!(text.match_indices('&').all(|(place, _)| is_escaped(&text[place..])), "{text}");
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn every_number_of_nights_and_components_is_a_whole_document() {
        for (nights, components) in [(0, 0), (1, 1), (2, 3), (7, 5), (60, 13), (366, 40)] {
            let svg = draw(&sample(nights, components), Some("made <up>"));
            assert_well_formed(&svg);
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            assert!(svg.contains("made &lt;up&gt;"));
            assert_eq!(svg.contains("a&lt;b&gt;&amp;&quot;0"), components > 0 && components <= COMPONENTS_MAX);
        }
    }

    #[test]
    fn more_components_than_fit_are_counted() {
        assert!(draw(&sample(3, 20), None).contains("and 8 smaller components"));
        assert!(!draw(&sample(3, 12), None).contains("smaller component"));
    }
}
