//! Inverse efficiency index of a task: mean tokens / accuracy, the tokens that a right answer costs.

use super::cost::ItemMeans;
use crate::statistics::{Undefined, mean};

/// Mean tokens of the items over their accuracy.
///
/// Worked example: 60 tokens at 75 % is 80 tokens a right answer. Undefined
/// where nothing is graded or nothing is right.
pub fn iei<'a>(items: impl IntoIterator<Item = &'a ItemMeans>) -> Result<f64, Undefined> {
    let (mut tokens, mut right, mut graded) = (Vec::new(), 0, 0);
    for item in items {
        tokens.extend(item.tokens);
        right += item.right;
        graded += item.graded;
    }
    let tokens = mean(&tokens).ok_or_else(|| Undefined::Because("no sample".into()))?;
    match (right, graded) {
        (_, 0) => Err(Undefined::Because("no graded sample".into())),
        (0, _) => Err(Undefined::Because("no right answer".into())),
        _ => Ok(tokens * graded as f64 / right as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worked_example() {
        let item = |right| ItemMeans {
            tokens: Some(60.0),
            right,
            graded: 4,
            ..ItemMeans::default()
        };
        assert_eq!(iei(&[item(3)]), Ok(80.0));
        let why = iei(&[item(0)]).expect_err("undefined").to_string();
        assert_eq!(why, "no right answer");
        assert!(iei([]).is_err());
    }
}
