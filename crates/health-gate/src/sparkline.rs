//! What was watched over time, small enough for a cell of a table.

use common::markdown::escape;

use crate::effects::{Curve, Outcome};
use crate::metric::number;

/// From the lowest to the highest.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The most points that are drawn: neighbours share one beyond that.
const WIDTH: usize = 24;

/// A table of everything that has at least two points; blank if nothing has.
pub(crate) fn table(outcome: &Outcome) -> String {
    let rows = outcome.gates.iter().flat_map(|gate| {
        let curves = gate.curves.iter().filter(|curve| curve.values.len() > 1);
        curves.map(|curve| row(&gate.gate.name, curve)).collect::<Vec<_>>()
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let table = common::markdown::table(&["service", "series", "low", "high", "last", "before", "over time"], &rows);
    if table.is_empty() { table } else { format!("\n{table}") }
}

fn row(service: &str, curve: &Curve) -> Vec<String> {
    let value = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{}{}", number(value), curve.unit));
    let values = || curve.values.iter().copied();
    vec![
        escape(service),
        escape(&curve.name),
        value(values().reduce(f64::min)),
        value(values().reduce(f64::max)),
        value(values().next_back()),
        value(curve.before),
        draw(&curve.values),
    ]
}

/// Bars between the lowest and the highest value.
fn draw(values: &[f64]) -> String {
    let share = values.len().div_ceil(WIDTH).max(1);
    let highest = |chunk: &[f64]| chunk.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let points: Vec<f64> = values.chunks(share).map(highest).collect();
    let low = points.iter().copied().fold(f64::INFINITY, f64::min);
    let height = points.iter().copied().fold(f64::NEG_INFINITY, f64::max) - low;
    let bar = |value: &f64| {
        let part = if height > 0.0 { (value - low) / height } else { 0.0 };
        let steps =
            (1..BARS.len()).filter(|step| part * 7.0 >= f64::from(u8::try_from(*step).unwrap_or(u8::MAX)) - 0.5);
        BARS[steps.count()]
    };
    points.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_go_from_the_lowest_to_the_highest() {
        assert_eq!(draw(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]), "▁▂▃▄▅▆▇█");
        assert_eq!(draw(&[3.0, 3.0]), "▁▁");
        assert_eq!(draw(&[1.0, 9.0, 1.0]), "▁█▁");
        assert_eq!(draw(&(0..100).map(f64::from).collect::<Vec<_>>()).chars().count(), 20);
        assert_eq!(draw(&[]), "");
    }
}
