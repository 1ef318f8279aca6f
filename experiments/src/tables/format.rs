//! The one rounding rule: how a number is written, in every format.
//!
//! Every exporter and the report take their numbers from here, so a figure
//! reads the same wherever it stands. The rule deliberately rounds for the eye
//! only: verdicts are taken from unrounded bounds, and CSV and JSON carry the
//! unrounded values beside the shown ones.

use crate::comparison::{Estimate, Measure};

/// What a measure that has no value shows. Never 0.
pub const UNDEFINED: &str = "undefined";

/// What stands in for the interval of a value that has none.
pub const NO_INTERVAL: &str = "no interval";

/// What kind of number is written; this decides decimals and sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// A share between 0 and 1: two decimals.
    Share,
    /// A multiplier, a slope or a divergence: two decimals.
    Ratio,
    /// A correlation, or a difference of shares or correlations: two decimals and always a sign.
    Signed,
    /// Tokens or seconds: one decimal below 100, none from there on.
    Amount,
    /// A difference of amounts: as [`Quantity::Amount`], and always a sign.
    SignedAmount,
    /// What may be a hundredth or less, a divergence per token or a distance: four decimals below 10,
    /// one from there on.
    Small,
}

impl Quantity {
    /// How a measure itself is written.
    pub fn of(measure: Measure) -> Self {
        match measure {
            Measure::Elasticity | Measure::AlignmentUnlimited | Measure::Alignment => Self::Signed,
            Measure::Accuracy | Measure::BalancedAccuracy => Self::Share,
            Measure::Tokens => Self::Amount,
        }
    }

    /// How a difference of two values of a measure is written.
    pub fn of_difference(measure: Measure) -> Self {
        match measure {
            Measure::Tokens => Self::SignedAmount,
            _ => Self::Signed,
        }
    }

    /// The same without a sign, for a size.
    #[must_use]
    pub fn unsigned(self) -> Self {
        match self {
            Self::Signed => Self::Share,
            Self::SignedAmount => Self::Amount,
            other => other,
        }
    }

    fn signed(self) -> bool {
        matches!(self, Self::Signed | Self::SignedAmount)
    }

    /// A value and its bounds share their decimals, so the largest decides.
    fn decimals(self, largest: f64) -> usize {
        match self {
            Self::Share | Self::Ratio | Self::Signed => 2,
            Self::Amount | Self::SignedAmount => usize::from(largest < 100.0),
            Self::Small if largest < 10.0 => 4,
            Self::Small => 1,
        }
    }
}

/// A single number, `undefined` where there is none.
///
/// ```
/// use experiments::tables::format::{Quantity, number};
/// assert_eq!(number(Some(0.268), Quantity::Signed), "+0.27");
/// assert_eq!(number(Some(1234.4), Quantity::Amount), "1,234");
/// assert_eq!(number(None, Quantity::Share), "undefined");
/// ```
pub fn number(value: Option<f64>, quantity: Quantity) -> String {
    match value.filter(|v| v.is_finite()) {
        Some(v) => fixed(v, quantity.decimals(v.abs()), quantity.signed()),
        None => UNDEFINED.to_owned(),
    }
}

/// A figure with its interval: `+0.27 [0.24, 0.29]`, `0.58 [no interval]` or `undefined`.
///
/// Bounds carry a sign only where they are negative.
pub fn estimate(estimate: &Estimate, quantity: Quantity) -> String {
    let Some(value) = estimate.value.filter(|v| v.is_finite()) else {
        return UNDEFINED.to_owned();
    };
    let Some((low, high)) = interval(estimate) else {
        return format!("{} [{NO_INTERVAL}]", number(Some(value), quantity));
    };
    let decimals = quantity.decimals(value.abs().max(low.abs()).max(high.abs()));
    format!(
        "{} [{}, {}]",
        fixed(value, decimals, quantity.signed()),
        fixed(low, decimals, false),
        fixed(high, decimals, false)
    )
}

/// The bounds, where both are defined and finite.
pub fn interval(estimate: &Estimate) -> Option<(f64, f64)> {
    match (estimate.low, estimate.high) {
        (Some(low), Some(high)) if low.is_finite() && high.is_finite() => Some((low, high)),
        _ => None,
    }
}

/// A p value: three decimals, `<0.001` below that, `undefined` where there is none.
pub fn p_value(p: Option<f64>) -> String {
    match p.filter(|p| p.is_finite()) {
        Some(p) if p < 0.001 => "<0.001".to_owned(),
        Some(p) => format!("{p:.3}"),
        None => UNDEFINED.to_owned(),
    }
}

/// A figure with its p value, where it has one: `+0.27 [0.24, 0.29], p < 0.001`.
pub fn with_p(figure: &Estimate, quantity: Quantity, p: Option<f64>) -> String {
    let shown = estimate(figure, quantity);
    match (p.filter(|p| p.is_finite()), p_value(p).strip_prefix('<')) {
        (None, _) => shown,
        (Some(_), Some(bound)) => format!("{shown}, p < {bound}"),
        (Some(_), None) => format!("{shown}, p = {}", p_value(p)),
    }
}

/// A whole number with thousands separated: `1,234,567`.
pub fn count(n: u64) -> String {
    group_thousands(&n.to_string())
}

/// Memory in MiB, `not recorded` where nobody measured it.
pub fn mebibytes(bytes: Option<f64>) -> String {
    match bytes {
        Some(bytes) => number(Some(bytes / 1_048_576.0), Quantity::Amount),
        None => "not recorded".to_owned(),
    }
}

/// Floating-point operations: `3.1e12`, and plain `0` for none.
pub fn flops(flops: f64) -> String {
    if !flops.is_finite() {
        UNDEFINED.to_owned()
    } else if flops == 0.0 {
        "0".to_owned()
    } else {
        format!("{flops:.1e}")
    }
}

/// Sets each hyphen that is a minus (`-0.02`, `grpo - sft`) as one, for formats
/// that have the sign; hyphens within words and names stay.
pub fn minus(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or(' ');
    let is_minus = |i: usize| {
        let before = if i == 0 { ' ' } else { at(i - 1) };
        let number = at(i + 1).is_ascii_digit() && !before.is_alphanumeric();
        number || (i > 0 && before == ' ' && at(i + 1) == ' ')
    };
    let set = |(i, &c): (usize, &char)| {
        if c == '-' && is_minus(i) {
            '\u{2212}'
        } else {
            c
        }
    };
    chars.iter().enumerate().map(set).collect()
}

fn fixed(value: f64, decimals: usize, signed: bool) -> String {
    let digits = format!("{:.decimals$}", value.abs());
    // What rounds to nothing has no direction, so it carries no sign.
    let zero = digits.bytes().all(|b| b == b'0' || b == b'.');
    let sign = match (zero, value < 0.0, signed) {
        (false, true, _) => "-",
        (false, false, true) => "+",
        _ => "",
    };
    format!("{sign}{}", group_thousands(&digits))
}

fn group_thousands(digits: &str) -> String {
    let (whole, rest) = match digits.find('.') {
        Some(at) => digits.split_at(at),
        None => (digits, ""),
    };
    let mut out = String::with_capacity(digits.len() + whole.len() / 3);
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn e(value: f64, low: f64, high: f64) -> Estimate {
        Estimate {
            value: Some(value),
            low: Some(low),
            high: Some(high),
            n: 10,
            ..Estimate::default()
        }
    }

    #[test]
    fn intervals() {
        assert_eq!(
            estimate(&e(0.268, 0.2412, 0.2949), Quantity::Signed),
            "+0.27 [0.24, 0.29]"
        );
        assert_eq!(
            estimate(&e(-0.021, -0.1, 0.05), Quantity::Signed),
            "-0.02 [-0.10, 0.05]"
        );
        assert_eq!(
            estimate(&e(98.0, 95.5, 101.2), Quantity::Amount),
            "98 [96, 101]"
        );
        let half = Estimate {
            high: None,
            ..e(0.5, 0.4, 0.6)
        };
        assert_eq!(estimate(&half, Quantity::Share), "0.50 [no interval]");
    }

    #[test]
    fn undefined_is_never_zero() {
        for value in [None, Some(f64::NAN), Some(f64::INFINITY)] {
            let missing = Estimate {
                value,
                ..e(0.0, 0.0, 0.0)
            };
            for q in [Quantity::Share, Quantity::Signed, Quantity::Amount] {
                assert_eq!(estimate(&missing, q), UNDEFINED);
                assert_eq!(number(value, q), UNDEFINED);
            }
        }
        assert_eq!(p_value(None), UNDEFINED);
        assert_eq!(flops(f64::NAN), UNDEFINED);
    }

    #[test]
    fn what_rounds_to_zero_has_no_sign() {
        assert_eq!(number(Some(-0.004), Quantity::Signed), "0.00");
        assert_eq!(number(Some(0.004), Quantity::Signed), "0.00");
        assert_eq!(number(Some(-0.006), Quantity::Signed), "-0.01");
    }

    #[test]
    fn only_a_minus_is_set_as_one() {
        assert_eq!(
            minus("-0.02 [-0.10, 0.05]"),
            "\u{2212}0.02 [\u{2212}0.10, 0.05]"
        );
        assert_eq!(minus("grpo - sft"), "grpo \u{2212} sft");
        assert_eq!(minus("run-2 Fisher-z 10-20"), "run-2 Fisher-z 10-20");
    }

    #[test]
    fn thousands() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(number(Some(-12345.6), Quantity::SignedAmount), "-12,346");
        assert_eq!(number(Some(17.34), Quantity::SignedAmount), "+17.3");
    }

    #[test]
    fn p_values() {
        assert_eq!(p_value(Some(0.0001)), "<0.001");
        assert_eq!(p_value(Some(0.001)), "0.001");
        assert_eq!(p_value(Some(0.0496)), "0.050");
        assert_eq!(flops(3.14e12), "3.1e12");
    }
}
