//! The text of an SVG: elements, escaping, and the style for light and dark ground.

use std::fmt::Write;

/// Plain classes and no variables, which programs other than browsers do not know.
const STYLE: &str = "
text { font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; font-size: 13px; fill: #1f2328; }
.title { font-size: 26px; font-weight: 650; } .head { font-weight: 600; } .small { font-size: 12px; } .quiet { fill: #656d76; }
.ground { fill: #ffffff; } .grid { stroke: #d8dee4; stroke-width: 1; } .track { fill: #f0f2f5; }
polyline { fill: none; stroke-width: 2.25; stroke-linejoin: round; stroke-linecap: round; }
polyline.stored { stroke-width: 3.5; }
polyline.lead { stroke-width: 1; opacity: .6; } .area { opacity: .14; } .strong { font-weight: 650; }
.copies { stroke: #8c959f; } .dedup { stroke: #bf7a00; } .compressed { stroke: #2f6fd0; } .stored { stroke: #128058; }
.f-copies { fill: #8c959f; } .f-dedup { fill: #d68c0c; } .f-compressed { fill: #2f6fd0; } .f-stored { fill: #128058; }
text.f-copies { fill: #656d76; } text.f-dedup { fill: #9a6200; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; } .quiet { fill: #9198a1; } .ground { fill: #0d1117; } .grid { stroke: #2a313c; } .track { fill: #161b22; }
.copies { stroke: #8b949e; } .dedup { stroke: #e3a63b; } .compressed { stroke: #6ca6ff; } .stored { stroke: #3fd29a; }
.f-copies, text.f-copies { fill: #8b949e; } .f-dedup, text.f-dedup { fill: #e3a63b; } .f-compressed { fill: #6ca6ff; }
.f-stored { fill: #3fd29a; } .area { opacity: .18; }
}
";

/// A document that is being written.
pub(super) struct Svg {
    text: String,
}

impl Svg {
    /// A document of this width and height. Title and description are for those who do not see it.
    pub(super) fn new((width, height): (f64, f64), title: &str, description: &str) -> Self {
        let mut svg = Self { text: String::new() };
        svg.push(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
             height=\"{height:.0}\" role=\"img\" aria-labelledby=\"title description\">\n\
             <title id=\"title\">{}</title>\n<desc id=\"description\">{}</desc>\n<style>{STYLE}</style>\n\
             <rect class=\"ground\" width=\"{width:.0}\" height=\"{height:.0}\" rx=\"10\"/>\n",
            escape(title),
            escape(description)
        ));
        svg
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), class: &str, anchor: &str, text: &str) {
        let text = escape(text);
        self.push(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" text-anchor=\"{anchor}\">{text}</text>\n"
        ));
    }

    pub(super) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &str) {
        self.push(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" class=\"{class}\"/>\n"
        ));
    }

    pub(super) fn polyline(&mut self, points: &[(f64, f64)], class: &str) {
        let points = joined(points);
        self.push(format_args!("<polyline points=\"{points}\" class=\"{class}\"/>\n"));
    }

    pub(super) fn polygon(&mut self, points: &[(f64, f64)], class: &str) {
        let points = joined(points);
        self.push(format_args!("<polygon points=\"{points}\" class=\"{class}\"/>\n"));
    }

    /// A dot that says something when it is pointed at.
    pub(super) fn dot(&mut self, (x, y): (f64, f64), radius: f64, class: &str, says: &str) {
        let says = escape(says);
        self.push(format_args!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" class=\"{class}\"><title>{says}</title></circle>\n"
        ));
    }

    /// A bar from `x` to the right.
    pub(super) fn bar(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), class: &str, says: &str) {
        let (radius, says) = ((height / 2.0).min(2.5), escape(says));
        self.push(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{radius}\" \
             class=\"{class}\"><title>{says}</title></rect>\n"
        ));
    }

    pub(super) fn finish(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }

    fn push(&mut self, arguments: std::fmt::Arguments<'_>) {
        self.text.write_fmt(arguments).expect("a string takes everything");
    }
}

fn joined(points: &[(f64, f64)]) -> String {
    points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ")
}

/// Text as it stands between tags and in attributes. Control characters, which XML does not have, are left out.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars().filter(|char| !char.is_control()) {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            char => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("<a href=\"&\">\u{1b}\u{0}é"), "&lt;a href=&quot;&amp;&quot;&gt;é");
    }
}
