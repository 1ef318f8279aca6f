//! Whether four numbers can make 24 at all: any two are put together by any of
//! the four signs, in any order, until one is left.

use super::GOAL;
use super::expression::Fraction;

/// Whether some expression of the numbers comes to 24.
pub(super) fn is_solvable(numbers: [u32; 4]) -> bool {
    reaches(&numbers.map(Fraction::whole))
}

fn reaches(numbers: &[Fraction]) -> bool {
    if let [last] = numbers {
        return last.is(GOAL);
    }
    (0..numbers.len()).any(|i| {
        (0..numbers.len()).any(|j| {
            // A sum and a product of two are the same either way round.
            let signs: &[char] = if i < j {
                &['+', '-', '*', '/']
            } else {
                &['-', '/']
            };
            i != j
                && signs.iter().any(|&sign| {
                    numbers[i].apply(sign, numbers[j]).is_some_and(|made| {
                        let others = (0..numbers.len()).filter(|k| *k != i && *k != j);
                        let mut left: Vec<Fraction> = others.map(|k| numbers[k]).collect();
                        left.push(made);
                        reaches(&left)
                    })
                })
        })
    })
}
