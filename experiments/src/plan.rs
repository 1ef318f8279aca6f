//! How large an experiment must be, from a pilot: for numbers of seeds, items and samples, how
//! wide the interval of each question's difference will be, how likely a record is to decide the
//! question, and what it costs.
//!
//! With S trainings an arm, G clusters of items and k samples an item, the variance of a
//! difference is
//!
//! ```text
//! V(S, G, k) = A / S + B / G + C(k) / (S G),   C(k) = C0 + C1 / k
//! ```
//!
//! A is the variance between trainings, B between items, C0 of items by trainings and C1 of
//! single samples (the variance components of two crossed random factors: Searle, Casella and
//! `McCulloch` 1992, chapter 4). A pilot's components ([`crate::statistics::two_way`]) estimate
//! `V_training` = A / S + C / (S G), `V_items` = B / G + C / (S G) and `V_interaction` =
//! C / (S G), so
//!
//! ```text
//! C = V_interaction S G,   A = (V_training - V_interaction) S,   B = (V_items - V_interaction) G
//! ```
//!
//! None of them is below 0. The samples of even and of odd index of one training differ by
//! sampling alone, so the jackknife variance over items of the difference of the two is C1 / G
//! (1 / `k_even` + 1 / `k_odd`); C1 is the mean over trainings. All of this is exact for figures
//! that are linear in the item means (elasticity, tokens; accuracy where nothing is cut off), and
//! approximate for correlations, which sampling noise bends as well as blurs.
//!
//! Where the other arm has trainings of its own (a teacher), their number is not planned: its
//! variance between trainings stays as in the pilot, and its sampling noise, which all seeds
//! share, is a part of B. More items are more clusters of every stratum alike.

mod cost;
mod outlook;
mod pilot;

pub use cost::Cost;
pub use outlook::{Outlook, Size};
pub use pilot::{Pilot, Variances};

use crate::comparison::Question;
use crate::comparison::question::Expected;
use crate::statistics::Undefined;

/// Chance of an answer that a record should have at least.
pub const POWER: f64 = 0.8;

/// A plan for every question of a definition.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The questions in the order asked.
    pub questions: Vec<Planned>,
    /// Seconds of trainings and answers, or why they are not known.
    pub cost: Result<Cost, Undefined>,
    /// Seeds and samples an item of the pilot.
    pub pilot: (usize, u32),
}

/// One question at every size.
#[derive(Debug, Clone)]
pub struct Planned {
    /// What is asked.
    pub question: Question,
    /// Questions of its family: p is corrected for so many.
    pub family: usize,
    /// What the pilot says of it, or why it says nothing.
    pub variances: Result<Variances, Undefined>,
    /// The sizes in the order given; empty where the pilot says nothing.
    pub rows: Vec<Row>,
}

/// One size of one question.
///
/// Worked example: `{size: {seeds: 5, items: 376, samples: 16}, outlook: {half_width: 0.06,
/// difference: 0.93, equivalence: 0.81}, minutes: Some(9.5), cheapest: true}`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// How large.
    pub size: Size,
    /// What to expect of it; `None` where the measure does not exist with so few samples.
    pub outlook: Option<Outlook>,
    /// What it costs, where that is known.
    pub minutes: Option<f64>,
    /// Whether it is the cheapest that decides the question with [`POWER`].
    pub cheapest: bool,
}

impl Outlook {
    /// The chance of the answer that a question expects: of telling a difference as large as the
    /// smallest effect of interest from 0, or of equivalence where the truth is 0.
    pub fn of(&self, expected: Expected) -> f64 {
        match expected {
            Expected::Below | Expected::Above => self.difference,
            Expected::Equivalent => self.equivalence,
        }
    }
}

/// The plan of these questions at these sizes.
pub fn plan(
    pilot: &Pilot<'_>,
    questions: &[Question],
    sizes: &[Size],
    cost: Result<Cost, Undefined>,
) -> Plan {
    let variances = pilot.variances(questions);
    let of_question = |(question, variances): (&Question, Result<Variances, Undefined>)| {
        let family = questions.iter().filter(|q| q.family == question.family);
        let family = family.count();
        let row = |size: &Size, variances: &Variances| Row {
            size: *size,
            outlook: outlook::outlook(variances, question.measure, *size, family),
            minutes: cost.as_ref().ok().map(|cost| cost.minutes(*size)),
            cheapest: false,
        };
        let rows = variances.as_ref().map_or_else(
            |_| Vec::new(),
            |found| sizes.iter().map(|size| row(size, found)).collect(),
        );
        Planned {
            rows: marked(rows, question.direction),
            question: question.clone(),
            family,
            variances,
        }
    };
    Plan {
        questions: questions.iter().zip(variances).map(of_question).collect(),
        pilot: (pilot.seeds(), pilot.samples),
        cost,
    }
}

/// Marks the cheapest row that decides; none where no row does or costs are not known.
fn marked(mut rows: Vec<Row>, expected: Expected) -> Vec<Row> {
    let decides = |row: &&mut Row| row.outlook.is_some_and(|o| o.of(expected) >= POWER);
    let priced = rows.iter_mut().filter(decides);
    let cheapest = priced
        .filter_map(|row| row.minutes.map(|minutes| (minutes, row)))
        .min_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((_, row)) = cheapest {
        row.cheapest = true;
    }
    rows
}

#[cfg(test)]
mod tests;
