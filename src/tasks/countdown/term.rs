//! A number on the board and the expression behind it.

/// How closely an expression holds together.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Binding {
    Sum,
    Product,
    Number,
}

/// A number on the board: what it is said to be, and the expression behind it.
#[derive(Clone, Debug)]
pub(super) struct Term {
    pub value: u32,
    pub text: String,
    binding: Binding,
}

impl Term {
    pub(super) fn given(number: u32) -> Self {
        Self {
            value: number,
            text: number.to_string(),
            binding: Binding::Number,
        }
    }

    /// What is said to come of the two, in brackets where they are needed.
    pub(super) fn of(left: &Self, sign: char, right: &Self, value: u32) -> Self {
        let sum = |term: &Self| term.binding == Binding::Sum;
        let is_product = matches!(sign, '*' | '/');
        let left_bracket = is_product && sum(left);
        let right_bracket = match sign {
            '+' => false,
            '-' | '*' => sum(right),
            _ => right.binding != Binding::Number,
        };
        let inside = |term: &Self, bracket| {
            if bracket {
                format!("( {} )", term.text)
            } else {
                term.text.clone()
            }
        };
        Self {
            value,
            text: format!(
                "{} {sign} {}",
                inside(left, left_bracket),
                inside(right, right_bracket)
            ),
            binding: if is_product {
                Binding::Product
            } else {
                Binding::Sum
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_stand_where_they_are_needed() {
        let joined = |(a, inner, b): (u32, char, u32), outer, c, compound_first| {
            let compound = Term::of(&Term::given(a), inner, &Term::given(b), 0);
            let other = Term::given(c);
            let term = if compound_first {
                Term::of(&compound, outer, &other, 0)
            } else {
                Term::of(&other, outer, &compound, 0)
            };
            term.text
        };
        for (inner, outer, c, compound_first, text) in [
            ((3, '+', 5), '*', 7, true, "( 3 + 5 ) * 7"),
            ((3, '+', 5), '*', 7, false, "7 * ( 3 + 5 )"),
            ((3, '*', 5), '+', 7, true, "3 * 5 + 7"),
            ((3, '*', 5), '-', 20, false, "20 - 3 * 5"),
            ((3, '+', 5), '-', 20, false, "20 - ( 3 + 5 )"),
            ((5, '-', 3), '-', 20, false, "20 - ( 5 - 3 )"),
            ((5, '-', 3), '-', 1, true, "5 - 3 - 1"),
            ((5, '-', 3), '+', 7, false, "7 + 5 - 3"),
            ((6, '/', 3), '*', 2, false, "2 * 6 / 3"),
            ((2, '*', 3), '/', 12, false, "12 / ( 2 * 3 )"),
            ((6, '/', 3), '/', 12, false, "12 / ( 6 / 3 )"),
            ((12, '/', 3), '/', 2, true, "12 / 3 / 2"),
        ] {
            assert_eq!(joined(inner, outer, c, compound_first), text);
        }
    }
}
