//! A sum to count out: the item, how it is worded, and the numbers behind it.

use crate::tasks::Item;

/// What a problem asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Is the presented result right? The answer is `true` or `false`.
    Verification,
    /// What is the result? The answer is the result.
    Production,
}

/// How a problem is put into words, shown for 4 + 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wording {
    /// `4 + 9 = 13`, the wording people were timed on. It occurs in training
    /// only for pairs of operands that are not evaluated.
    Canonical,
    /// `13 = 4 + 9`, of any pair.
    ResultFirst,
    /// `4 + 9 is 13`, of any pair.
    Is,
    /// `4 + 9 = what`, of any pair: production.
    Question,
}

impl Wording {
    /// The wordings in which pairs that are evaluated may be verified in
    /// training.
    pub const OTHERS: [Self; 2] = [Self::ResultFirst, Self::Is];

    /// What a problem in this wording asks for.
    pub fn kind(self) -> Kind {
        match self {
            Self::Canonical | Self::ResultFirst | Self::Is => Kind::Verification,
            Self::Question => Kind::Production,
        }
    }
}

/// The numbers behind a problem. A letter is its place in the alphabet from 0,
/// so `A+3=E` is `Terms { left: 0, right: 3, presented: Some(4) }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Terms {
    /// The first operand.
    pub left: u32,
    /// The second operand.
    pub right: u32,
    /// The result to be judged; `None` in production.
    pub presented: Option<u32>,
}

impl Terms {
    /// The right result.
    pub fn sum(self) -> u32 {
        self.left + self.right
    }

    /// Whether the presented result is right; `None` in production.
    pub fn truth(self) -> Option<bool> {
        self.presented.map(|presented| presented == self.sum())
    }
}

/// One sum to learn from or to tune on.
///
/// The verification of D for A + 3 in canonical wording would be
///
/// ```text
/// Sum {
///     item: Item { item_id: "A+3=D", prompt: "A+3=D", answer: "true", .. },
///     kind: Verification,
///     wording: Canonical,
///     terms: Terms { left: 0, right: 3, presented: Some(3) },
/// }
/// ```
///
/// (it is evaluated, so no split holds it; `D = A+3` is there).
#[derive(Clone, Debug, PartialEq)]
pub struct Sum {
    /// The item. Its name is the prompt without its white space: no two sums of a
    /// task share it, and its hash decides the split.
    pub item: Item,
    /// What the problem asks for.
    pub kind: Kind,
    /// How it is put.
    pub wording: Wording,
    /// The numbers behind the text.
    pub terms: Terms,
}
