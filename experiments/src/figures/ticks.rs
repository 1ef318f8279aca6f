//! Where axes have their ticks, and what the ticks are called.
//!
//! Deliberately few: a panel is 300 pixels wide.

use crate::tables::format;

/// A tick: its place on the axis and its label.
pub(super) type Tick = (f64, String);

/// Round numbers on a linear axis, at most `most` of them.
pub(super) fn linear(low: f64, high: f64, most: usize) -> Vec<Tick> {
    let span = high - low;
    if !span.is_finite() || span <= 0.0 || most == 0 {
        return Vec::new();
    }
    let mut exponent = (span / most as f64).log10().floor() as i32;
    loop {
        for (factor, places) in [(1.0, 0), (2.0, 0), (2.5, 1), (5.0, 0)] {
            let step = factor * 10f64.powi(exponent);
            let first = (low / step - 1e-9).ceil() as i64;
            let last = (high / step + 1e-9).floor() as i64;
            if (last - first) < most as i64 {
                let decimals = (places - exponent).clamp(0, 9) as usize;
                return (first..=last)
                    .map(|i| {
                        let value = i as f64 * step;
                        (value, label(value, decimals))
                    })
                    .collect();
            }
        }
        exponent += 1;
    }
}

/// Round amounts on an axis of ln(offset + amount), from `low` to `high` on that axis.
///
/// Amounts crowd towards the high end, so one too near to the last is left out.
pub(super) fn logarithmic(low: f64, high: f64, offset: f64, most: usize) -> Vec<Tick> {
    let gap = (high - low) * 0.6 / most as f64;
    let mut last = f64::NEG_INFINITY;
    let mut ticks = amounts(low, high, offset, most);
    ticks.retain(|(at, _)| {
        let room = at - last >= gap;
        if room {
            last = *at;
        }
        room
    });
    ticks
}

fn amounts(low: f64, high: f64, offset: f64, most: usize) -> Vec<Tick> {
    let (from, to) = (low.exp() - offset, high.exp() - offset);
    if !from.is_finite() || !to.is_finite() || to <= from {
        return Vec::new();
    }
    // Within a factor of four, evenly spaced amounts read better than 1-2-5.
    if high - low < 4f64.ln() {
        return linear(from, to, most)
            .into_iter()
            .filter(|(amount, _)| amount + offset > 0.0)
            .map(|(amount, label)| ((amount + offset).ln(), label))
            .collect();
    }
    for factors in [&[1.0, 2.0, 5.0][..], &[1.0, 3.0], &[1.0]] {
        let decades = (0..9).map(|d| 10f64.powi(d));
        let amounts = decades.flat_map(|d| factors.iter().map(move |f| f * d));
        let zero = (offset > 0.0).then_some(0.0);
        let found: Vec<f64> = zero
            .into_iter()
            .chain(amounts)
            .filter(|a| (from..=to).contains(a))
            .collect();
        if found.len() <= most || factors.len() == 1 {
            return found
                .into_iter()
                .map(|amount| ((amount + offset).ln(), label(amount, 0)))
                .collect();
        }
    }
    Vec::new()
}

/// The label that belongs to a place; the axis asks by place only.
pub(super) fn label_at(ticks: &[Tick], place: f64) -> String {
    ticks
        .iter()
        .find(|(at, _)| (at - place).abs() < 1e-12)
        .map_or(String::new(), |(_, label)| format::minus(label))
}

fn label(value: f64, decimals: usize) -> String {
    if value.abs() >= 1e7 || (value != 0.0 && value.abs() < 1e-5) {
        return format!("{value:.0e}");
    }
    if decimals == 0 {
        let sign = if value <= -0.5 { "-" } else { "" };
        return format!("{sign}{}", format::count(value.abs().round() as u64));
    }
    let text = format!("{value:.decimals$}");
    // -0.0 is a place on the axis like any other 0.
    match text.strip_prefix('-') {
        Some(digits) if digits.bytes().all(|b| b == b'0' || b == b'.') => digits.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|(_, l)| l.as_str()).collect()
    }

    #[test]
    fn linear_ticks_are_round_and_few() {
        assert_eq!(
            labels(&linear(0.0, 1.0, 6)),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(
            labels(&linear(0.0, 240.0, 5)),
            ["0", "50", "100", "150", "200"]
        );
        assert_eq!(labels(&linear(-0.3, 0.3, 4)), ["-0.2", "0.0", "0.2"]);
        for (low, high) in [(0.0, 1e-4), (3.0, 3.001), (-7.0, 123_456.0)] {
            let ticks = linear(low, high, 5);
            assert!((2..=5).contains(&ticks.len()), "{ticks:?}");
            assert!(
                ticks
                    .iter()
                    .all(|(t, _)| *t >= low - 1e-9 && *t <= high + 1e-9)
            );
        }
        assert!(linear(1.0, 1.0, 5).is_empty());
        assert!(linear(f64::NAN, 1.0, 5).is_empty());
    }

    #[test]
    fn logarithmic_ticks_stand_at_their_amounts() {
        let ticks = logarithmic(0.0, 101f64.ln(), 1.0, 8);
        assert_eq!(
            labels(&ticks),
            ["0", "1", "2", "5", "10", "20", "50", "100"]
        );
        assert!((ticks[1].0 - 2f64.ln()).abs() < 1e-12);
        let ticks = logarithmic(1000f64.ln(), 3000f64.ln(), 0.0, 5);
        assert_eq!(
            labels(&ticks),
            ["1,000", "1,500", "2,000", "2,500", "3,000"]
        );
        assert!(logarithmic(0.0, 10_001f64.ln(), 1.0, 6).len() <= 6);
    }
}
