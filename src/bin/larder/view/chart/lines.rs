//! What the nights take added up: a line for each way, named at its end.

use larder::pipeline::savings::{Night, Savings};

use super::scale::Scale;
use super::svg::Svg;
use super::ways::{MARGIN, WAYS, WIDTH, ends, times, ways};
use crate::units::size;

const LEFT: f64 = MARGIN + 62.0;
const RIGHT: f64 = WIDTH - MARGIN - 150.0;
/// Room of the name at the end of a line.
const LABEL_HEIGHT: f64 = 38.0;
/// More nights have no dots.
const DOTTED_NIGHTS_MAX: usize = 40;
/// Nights that are named below the axis.
const DATES_MAX: usize = 8;

/// Draws two nights or more between `top` and `top + height`.
pub(super) fn draw(svg: &mut Svg, savings: &Savings, (top, height): (f64, f64)) {
    let series = series(savings);
    let (begins, ends) = (series.first().copied().unwrap_or_default(), ends(savings));
    let scale = Scale::new(&begins, &ends);
    let bottom = top + height;
    let y = |bytes: u64| bottom - scale.share(bytes as f64) * height;
    let last = (series.len().max(2) - 1) as f64;
    let x = |night: usize| LEFT + (RIGHT - LEFT) * night as f64 / last;

    for (mark, written) in scale.marks() {
        let place = bottom - scale.share(mark) * height;
        svg.line((LEFT, place), (RIGHT, place), "grid");
        svg.text((LEFT - 10.0, place + 4.0), "small quiet", "end", &written);
    }
    let kind = if matches!(scale, Scale::Linear { .. }) { "" } else { ", logarithmic scale" };
    svg.text((LEFT, bottom + 44.0), "small quiet", "start", &format!("All nights so far together{kind}"));
    dates(svg, savings, bottom + 22.0, x);

    for (way, (class, name)) in WAYS.iter().enumerate() {
        let bytes = |night: &[u64; 4]| night.get(way).copied().unwrap_or(0);
        let points: Vec<(f64, f64)> =
            series.iter().enumerate().map(|(night, sums)| (x(night), y(bytes(sums)))).collect();
        if *class == "stored" && matches!(scale, Scale::Linear { .. }) {
            let area = [&points[..], &[(x(series.len() - 1), bottom), (LEFT, bottom)]].concat();
            svg.polygon(&area, "area f-stored");
        }
        svg.polyline(&points, class);
        if points.len() <= DOTTED_NIGHTS_MAX {
            let radius = if *class == "stored" { 4.0 } else { 3.0 };
            for ((point, sums), night) in points.iter().zip(&series).zip(&savings.nights) {
                let says = format!("{name} up to {}: {}", night.time.to_text(), size(bytes(sums)));
                svg.dot(*point, radius, &format!("f-{class}"), &says);
            }
        }
    }
    labels(svg, ends, y, (top, bottom));
}

/// What all nights up to each one take. What belongs to no night is spread by the chunks that each has added.
fn series(savings: &Savings) -> Vec<[u64; 4]> {
    let all_chunks = savings.total().chunks.max(1);
    let (mut sums, mut chunks) = ([0_u64; 4], 0);
    let add = |night: &Night| {
        let total = night.total();
        chunks += total.chunks;
        sums.iter_mut().zip(ways(&total)).for_each(|(sum, bytes)| *sum += bytes);
        let [copies, dedup, compressed, stored] = sums;
        let share = u128::from(savings.other_bytes) * u128::from(chunks) / u128::from(all_chunks);
        [copies, dedup, compressed, stored + u64::try_from(share).unwrap_or(savings.other_bytes)]
    };
    savings.nights.iter().map(add).collect()
}

fn dates(svg: &mut Svg, savings: &Savings, y: f64, x: impl Fn(usize) -> f64) {
    let texts: Vec<String> = savings.nights.iter().map(|night| night.time.to_text()).collect();
    let day = |text: &str| text.get(..10).unwrap_or(text).to_owned();
    let same_day = texts.first().map(|text| day(text)) == texts.last().map(|text| day(text));
    let step = texts.len().div_ceil(DATES_MAX).max(1);
    let last = texts.len() - 1;
    for (night, text) in texts.iter().enumerate() {
        // The last one is named in any case, and makes room for itself.
        if night != last && (!night.is_multiple_of(step) || last - night < step.div_ceil(2)) {
            continue;
        }
        let range = if same_day { 11..16 } else { 5..10 };
        svg.text((x(night), y), "small quiet", "middle", text.get(range).unwrap_or(text));
    }
}

/// Names the lines at their ends, none over another.
fn labels(svg: &mut Svg, ends: [u64; 4], y: impl Fn(u64) -> f64, (top, bottom): (f64, f64)) {
    let [.., stored] = ends;
    let mut labels: Vec<(f64, usize)> = ends.iter().enumerate().map(|(way, bytes)| (y(*bytes), way)).collect();
    labels.sort_by(|(a, way_a), (b, way_b)| a.total_cmp(b).then(way_a.cmp(way_b)));
    let places = spread(&labels.iter().map(|(y, _)| *y).collect::<Vec<_>>(), (top, bottom));
    for ((end, way), place) in labels.into_iter().zip(places) {
        let Some((class, name)) = WAYS.get(way) else { continue };
        let bytes = ends.get(way).copied().unwrap_or(0);
        svg.polyline(&[(RIGHT + 6.0, end), (RIGHT + 16.0, place), (RIGHT + 21.0, place)], &format!("lead {class}"));
        svg.text((RIGHT + 26.0, place - 2.0), &format!("strong f-{class}"), "start", name);
        let factor = times(bytes, stored).filter(|_| *class != "stored").map(|times| format!(", {times} ×"));
        let text = format!("{}{}", size(bytes), factor.unwrap_or_default());
        svg.text((RIGHT + 26.0, place + 14.0), "small quiet", "start", &text);
    }
}

/// Places in the same order that are as near to those wanted as the room between them allows.
fn spread(wanted: &[f64], (top, bottom): (f64, f64)) -> Vec<f64> {
    let mut places: Vec<f64> = Vec::with_capacity(wanted.len());
    for place in wanted {
        let free = places.last().map_or(top, |above| above + LABEL_HEIGHT);
        places.push(place.max(free));
    }
    let mut limit = bottom + 4.0;
    for place in places.iter_mut().rev() {
        *place = place.min(limit);
        limit = *place - LABEL_HEIGHT;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_their_distance() {
        for wanted in [[100.0, 100.0, 100.0, 100.0], [390.0, 395.0, 399.0, 400.0], [110.0, 200.0, 300.0, 400.0]] {
            let places = spread(&wanted, (100.0, 400.0));
            assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= LABEL_HEIGHT - 1e-9), "{places:?}");
            assert!(places.iter().all(|place| (100.0..=404.0).contains(place)), "{places:?}");
        }
        assert_eq!(spread(&[110.0, 200.0], (100.0, 400.0)), [110.0, 200.0]);
    }
}
