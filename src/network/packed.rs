//! Rows laid end to end, without padding; a prompt that neighbouring rows
//! share is laid down and computed once.
//!
//! Rows do not see each other: each attends to its own prompt and itself.

use algorithms::Example;
use tch::{Device, Tensor};
use torch_ext::attention::Sequences;

/// Prompts shorter than this are laid down for each row: sharing saves little,
/// and rows of one prompt are attended to by one thread.
const SHARED_FROM: usize = 4;

/// A batch as the network reads it.
///
/// Worked example, two completions `[7, 8]` and `[9]` of the prompt
/// `[3, 4, 5, 6]`: `ids` are `3 4 5 6 7`, for the last token of a completion is
/// only predicted; `targets` are `7 8 9`, predicted after the tokens `sources`
/// `3 4 3`.
#[derive(Debug)]
pub struct Packed {
    /// Token ids, `[S]`.
    pub(super) ids_S: Tensor,
    /// Which tokens belong together.
    pub(super) sequences: Sequences,
    /// The token after which each target comes, `[N]`.
    pub(super) sources_N: Tensor,
    /// Token ids to score, `[N]`: all completions' tokens, row by row.
    pub(super) targets_N: Tensor,
    /// A number for each token that its sequence up to it decides, S of them: how
    /// rows are packed, and with which others, does not change it.
    pub(super) histories: Vec<u64>,
    pub(super) device: Device,
}

/// The history of a token after that of the token before it: the finaliser of
/// splitmix64 (Steele, Lea & Flood 2014) over their sum.
fn follow(history: u64, id: i64) -> u64 {
    let sum = history.wrapping_add(id as u64);
    let mixed = sum.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The histories of the tokens that follow one of the given history.
fn histories(before: u64, ids: &[i64]) -> impl Iterator<Item = u64> {
    ids.iter().scan(before, |history, &id| {
        *history = follow(*history, id);
        Some(*history)
    })
}

/// What a row costs: the tokens that are read for it, where the row before it
/// has the prompt `before`.
pub(crate) fn tokens_of(row: &Example, before: Option<&Example>) -> usize {
    let own = row.completion.len().saturating_sub(1);
    if before.is_some_and(|before| shares(before, row)) {
        own
    } else {
        row.prompt.len() + own
    }
}

fn shares(before: &Example, row: &Example) -> bool {
    row.prompt.len() >= SHARED_FROM && before.prompt == row.prompt
}

impl Packed {
    /// Lays the rows end to end. Each has a prompt and a completion of one
    /// token at least.
    pub fn new(rows: &[&Example], device: Device) -> Self {
        let mut ids: Vec<i64> = Vec::new();
        let mut sources = Vec::new();
        let mut targets = Vec::new();
        let mut sequences = Sequences::default();
        let mut all_histories = Vec::new();
        let mut trunk_end = 0;
        for group in rows.chunk_by(|before, row| shares(before, row)) {
            for (place, row) in group.iter().enumerate() {
                let read = &row.completion[..row.completion.len() - 1];
                if place == 0 {
                    ids.extend_from_slice(&row.prompt);
                    all_histories.extend(histories(0, &row.prompt));
                    trunk_end = ids.len() as i64 - 1;
                }
                let first = ids.len() as i64;
                ids.extend_from_slice(read);
                let prompt = all_histories[trunk_end as usize];
                all_histories.extend(histories(prompt, read));
                let length = read.len() as i64;
                if group.len() == 1 {
                    sequences.trunk(row.prompt.len() as i64 + length);
                } else {
                    if place == 0 {
                        sequences.trunk(row.prompt.len() as i64);
                    }
                    if length > 0 {
                        sequences.branch(length);
                    }
                }
                sources.push(trunk_end);
                sources.extend(first..first + length);
                targets.extend_from_slice(&row.completion);
            }
        }
        let on_device = |values: &[i64]| Tensor::from_slice(values).to_device(device);
        Self {
            ids_S: on_device(&ids),
            sources_N: on_device(&sources),
            targets_N: on_device(&targets),
            sequences,
            histories: all_histories,
            device,
        }
    }

    /// One sequence whose every token but the first is a target.
    pub fn sequence(ids: &[i64], device: Device) -> Self {
        let mut sequences = Sequences::default();
        sequences.trunk(ids.len() as i64);
        let length = ids.len() as i64;
        let ids_S = Tensor::from_slice(ids).to_device(device);
        Self {
            sources_N: Tensor::arange(length - 1, (tch::Kind::Int64, device)),
            targets_N: ids_S.narrow(0, 1, length - 1),
            ids_S,
            sequences,
            histories: histories(0, ids).collect(),
            device,
        }
    }

    /// Tokens that are read.
    pub fn tokens(&self) -> i64 {
        self.sequences.tokens()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(prompt: &[i64], completion: &[i64]) -> Example {
        Example {
            prompt: prompt.to_vec(),
            completion: completion.to_vec(),
            weights: vec![1.0; completion.len()],
            ..Example::default()
        }
    }

    fn numbers(tensor: &Tensor) -> Vec<i64> {
        Vec::try_from(tensor).unwrap()
    }

    #[test]
    fn a_prompt_of_neighbouring_rows_is_laid_down_once() {
        let rows = [
            row(&[3, 4, 5, 6], &[7, 8]),
            row(&[3, 4, 5, 6], &[9]),
            row(&[3, 4, 5, 6], &[1, 2, 3]),
            row(&[5, 5, 5, 5], &[4, 4]),
        ];
        let packed = Packed::new(&rows.each_ref(), Device::Cpu);
        assert_eq!(numbers(&packed.ids_S), [3, 4, 5, 6, 7, 1, 2, 5, 5, 5, 5, 4]);
        assert_eq!(numbers(&packed.targets_N), [7, 8, 9, 1, 2, 3, 4, 4]);
        assert_eq!(numbers(&packed.sources_N), [3, 4, 3, 3, 5, 6, 10, 11]);
        assert_eq!(packed.sequences.longest(), 6);
        let costs: Vec<usize> = (0..4)
            .map(|i| tokens_of(&rows[i], i.checked_sub(1).map(|before| &rows[before])))
            .collect();
        assert_eq!(costs, [5, 0, 2, 5]);
    }

    #[test]
    fn a_history_is_that_of_the_sequence_however_it_is_packed() {
        let rows = [
            row(&[3, 4, 5, 6], &[7, 8, 9]),
            row(&[3, 4, 5, 6], &[9, 8, 7]),
            row(&[3, 4, 5], &[6, 7, 8]),
        ];
        let together = Packed::new(&rows.each_ref(), Device::Cpu);
        assert_eq!(together.histories.len() as i64, together.tokens());
        let [first, second, third] = rows
            .each_ref()
            .map(|row| Packed::new(&[row], Device::Cpu).histories);
        let expected = [&first[..], &second[4..], &third].concat();
        assert_eq!(together.histories, expected);
        // The third row's sequence is the first's so far as it goes.
        assert_eq!(third, first[..5]);
        assert_ne!(first[4], second[4]);
        assert_ne!(first[5], second[5]);
        let whole = Packed::sequence(&[3, 4, 5, 6, 7, 8], Device::Cpu);
        assert_eq!(whole.histories, first);
    }

    #[test]
    fn a_short_prompt_is_laid_down_for_each_row() {
        let rows = [row(&[3], &[7, 8]), row(&[3], &[9, 9])];
        let packed = Packed::new(&rows.each_ref(), Device::Cpu);
        assert_eq!(numbers(&packed.ids_S), [3, 7, 3, 9]);
        assert_eq!(numbers(&packed.sources_N), [0, 1, 2, 3]);
    }
}
