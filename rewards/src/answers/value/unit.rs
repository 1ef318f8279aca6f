//! Units of measurement, few and without algebra of dimensions.
//!
//! A unit is a product of powers of base units, times a scale. The list:
//! lengths (mm, cm, dm, m, km; inch, foot, yard, mile), masses (mg, g, kg;
//! pound), times (ms, s, minute, hour, day, week; month, year), volumes (ml, l),
//! angles (degree, radian), money ($, €, £, cent), and hertz, newton, joule,
//! watt, volt and kelvin. Units of one base are converted (1 h is 60 min, 12 inches
//! a foot), exactly.
//!
//! Deliberately not done: metres of feet, joules of newton metres, degrees of
//! radians, degrees Celsius, cents of dollars, any other unit or prefix. A unit
//! that is not listed is a word, and words must agree.

use super::{Operation, Value};
use crate::answers::number::Number;

/// How many base units there are.
const BASES: usize = 18;

/// The base unit, how many of it (mantissa and power of ten), whether it can be
/// taken for nothing else, and its names.
type Row = (usize, i128, i32, bool, &'static [&'static str]);

const UNITS: [Row; 42] = [
    (0, 1, 0, false, &["m"]),
    (0, 1, 0, true, &["meter", "meters", "metre", "metres"]),
    (0, 1, -1, true, &["dm"]),
    (
        0,
        1,
        -2,
        true,
        &[
            "cm",
            "centimeter",
            "centimeters",
            "centimetre",
            "centimetres",
        ],
    ),
    (
        0,
        1,
        -3,
        true,
        &[
            "mm",
            "millimeter",
            "millimeters",
            "millimetre",
            "millimetres",
        ],
    ),
    (
        0,
        1,
        3,
        true,
        &["km", "kilometer", "kilometers", "kilometre", "kilometres"],
    ),
    (1, 1, 0, true, &["inch", "inches"]),
    (1, 12, 0, true, &["ft", "foot", "feet"]),
    (1, 36, 0, true, &["yard", "yards"]),
    (1, 63_360, 0, true, &["mile", "miles"]),
    (2, 1, 0, false, &["g"]),
    (2, 1, 0, true, &["gram", "grams"]),
    (2, 1, 3, true, &["kg", "kilogram", "kilograms"]),
    (2, 1, -3, false, &["mg"]),
    (2, 1, -3, true, &["milligram", "milligrams"]),
    (3, 1, 0, true, &["lb", "lbs", "pound", "pounds"]),
    (4, 1, 0, false, &["s"]),
    (4, 1, 0, true, &["sec", "secs", "second", "seconds"]),
    (4, 1, -3, false, &["ms"]),
    (4, 60, 0, true, &["min", "mins", "minute", "minutes"]),
    (4, 3600, 0, false, &["h"]),
    (4, 3600, 0, true, &["hr", "hrs", "hour", "hours"]),
    (4, 86_400, 0, true, &["day", "days"]),
    (4, 604_800, 0, true, &["week", "weeks"]),
    (5, 1, 0, true, &["month", "months"]),
    (5, 12, 0, true, &["year", "years"]),
    (6, 1, 0, false, &["l"]),
    (6, 1, 0, true, &["liter", "liters", "litre", "litres"]),
    (6, 1, -3, false, &["ml"]),
    (
        6,
        1,
        -3,
        true,
        &["milliliter", "milliliters", "millilitre", "millilitres"],
    ),
    (7, 1, 0, true, &["degree", "degrees", "deg"]),
    (8, 1, 0, true, &["radian", "radians", "rad"]),
    (9, 1, 0, true, &["dollar", "dollars", "usd"]),
    (10, 1, 0, true, &["euro", "euros", "eur"]),
    (11, 1, 0, true, &["sterling", "gbp"]),
    (12, 1, 0, true, &["cent", "cents"]),
    (13, 1, 0, true, &["hz", "hertz"]),
    (13, 1, 3, true, &["khz"]),
    (14, 1, 0, true, &["newton", "newtons"]),
    (15, 1, 0, true, &["joule", "joules"]),
    (16, 1, 0, true, &["watt", "watts"]),
    (17, 1, 0, true, &["volt", "volts"]),
];

/// A unit: powers of base units, and a scale.
///
/// # Example
///
/// ```text
/// km/h   metre^1 second^-1, scale 1000/3600, sure
/// m      metre^1, scale 1, not sure: it may be a variable
/// ```
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Unit {
    powers: [i8; BASES],
    scale: Number,
    /// Whether it cannot be taken for anything else. Only such a unit may be
    /// missing from the other answer.
    pub(super) sure: bool,
}

impl Unit {
    const NONE: Self = Self {
        powers: [0; BASES],
        scale: Number::decimal(1, 0),
        sure: true,
    };

    fn named(name: &str, upright: bool) -> Option<Self> {
        let (base, mantissa, power, sure, _) =
            UNITS.iter().find(|(.., names)| names.contains(&name))?;
        let mut unit = Self {
            powers: [0; BASES],
            scale: Number::decimal(*mantissa, *power),
            sure: *sure || upright,
        };
        *unit.powers.get_mut(*base)? = 1;
        Some(unit)
    }

    /// The product with `other`, or the quotient.
    fn with(mut self, other: &Self, divided: bool) -> Option<Self> {
        for (mine, theirs) in self.powers.iter_mut().zip(other.powers) {
            let theirs = if divided { -theirs } else { theirs };
            *mine = mine.checked_add(theirs)?;
        }
        self.scale = if divided {
            self.scale.over(other.scale)?
        } else {
            self.scale.times(other.scale)?
        };
        self.sure &= other.sure;
        Some(self)
    }

    fn to_the(&self, power: i128) -> Option<Self> {
        // No unit in use has a larger one.
        if !matches!(power, -4..=4) {
            return None;
        }
        let mut unit = Self::NONE;
        for _ in 0..power.unsigned_abs() {
            unit = unit.with(self, power < 0)?;
        }
        unit.sure = self.sure;
        Some(unit)
    }

    /// The unit that a value spells.
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Name { text, upright } => Self::named(text, *upright),
            Value::Operation(Operation::Product, factors) => Self::of_words(factors),
            Value::Operation(Operation::Quotient, parts) => match &parts[..] {
                [over, under] => Self::of(over)?.with(&Self::of(under)?, true),
                _ => None,
            },
            Value::Operation(Operation::Power, parts) => match &parts[..] {
                [base, Value::Number(power)] => Self::of(base)?.to_the(power.whole()?),
                _ => None,
            },
            _ => None,
        }
    }

    /// The unit that words spell: `square metres per second`.
    fn of_words(words: &[Value]) -> Option<Self> {
        let mut unit = Self::NONE;
        let mut divided = false;
        let mut power = 1;
        let mut before: Option<Self> = None;
        for word in words {
            let text = match word {
                Value::Name { text, .. } => text.as_str(),
                _ => "",
            };
            let named = match text {
                "per" if !divided && power == 1 && unit != Self::NONE => {
                    divided = true;
                    before = None;
                    continue;
                }
                "square" | "cubic" => {
                    power = if text == "square" { 2 } else { 3 };
                    continue;
                }
                // One of it is in the product already.
                "squared" => before.clone()?,
                "cubed" => before.clone()?.to_the(2)?,
                _ => {
                    let named = Self::of(word)?;
                    before = Some(named.clone());
                    named.to_the(std::mem::replace(&mut power, 1))?
                }
            };
            unit = unit.with(&named, divided)?;
        }
        // Something must follow `per` and `square`.
        let whole = power == 1 && before.is_some();
        whole.then_some(unit)
    }

    /// How many of this unit `count` of `other` are, if they can be compared.
    pub(super) fn count(&self, count: Number, other: &Self) -> Option<Number> {
        if self.powers != other.powers {
            return None;
        }
        if self.scale == other.scale {
            return Some(count);
        }
        count.times(other.scale.over(self.scale)?)
    }
}

/// The number and the unit that a value spells.
pub(super) fn quantity(value: &Value) -> Option<(Number, Unit)> {
    match value {
        Value::Operation(Operation::Product, factors) => match factors.split_first()? {
            (Value::Number(count), words) => Some((*count, Unit::of_words(words)?)),
            _ => None,
        },
        Value::Operation(Operation::Quotient, parts) => match &parts[..] {
            [over, under] => {
                let (count, unit) = quantity(over)?;
                Some((count, unit.with(&Unit::of(under)?, true)?))
            }
            _ => None,
        },
        _ => None,
    }
}
