//! The vocabulary in the metadata: tokens, their types and scores, and the
//! merges that put them together.

use std::cmp::Ordering;

use anyhow::{Context, Result, anyhow, bail, ensure};
use tokenizers::models::bpe::{Merges, Vocab};

use super::{Gguf, Value};

/// Longest token that is put together from others, in bytes: every cut of it
/// is looked up.
const LONGEST_MERGED: usize = 1024;

/// Most merges for each token, on average, that scores may imply. A
/// vocabulary that was trained has about 2; one that was made to be large
/// would have one for every letter.
const MOST_MERGES: usize = 8;

impl Gguf<'_> {
    /// The tokens; the place of a token is its id.
    pub(super) fn tokens(&self) -> Result<Vec<&str>> {
        let key = "tokenizer.ggml.tokens";
        let tokens = self
            .list(key)?
            .with_context(|| format!("{key} is missing"))?;
        let tokens = tokens
            .texts()
            .with_context(|| format!("{key} is not an array of texts"))?;
        let tokens: Vec<&str> = tokens.collect();
        ensure!(
            u32::try_from(tokens.len()).is_ok(),
            "{key} has more tokens than ids"
        );
        Ok(tokens)
    }

    /// The type of each token: 1, an ordinary one, where the file gives none.
    pub(super) fn token_types(&self, count: usize) -> Result<Vec<u64>> {
        let key = "tokenizer.ggml.token_type";
        let Some(types) = self.list(key)? else {
            return Ok(vec![1; count]);
        };
        let types: Option<Vec<u64>> = types.iter().map(|value| value.unsigned()).collect();
        let types = types.with_context(|| format!("{key} is not an array of integers"))?;
        ensure!(
            types.len() == count,
            "{key} has {} types for {count} tokens",
            types.len()
        );
        Ok(types)
    }

    /// The merges that the file lists, first the one that is made first.
    pub(super) fn listed_merges(&self) -> Result<Option<Merges>> {
        let key = "tokenizer.ggml.merges";
        let Some(merges) = self.list(key)? else {
            return Ok(None);
        };
        let merges = merges
            .texts()
            .with_context(|| format!("{key} is not an array of texts"))?;
        let merges = merges.map(|merge| match merge.split_once(' ') {
            Some((left, right))
                if !left.is_empty() && !right.is_empty() && !right.contains(' ') =>
            {
                Ok((left.to_owned(), right.to_owned()))
            }
            _ => Err(anyhow!(
                "{key}: {merge:?} is not two parts with a space between them"
            )),
        });
        merges.collect::<Result<_>>().map(Some)
    }

    /// The score of each token.
    pub(super) fn scores(&self, count: usize) -> Result<Vec<f32>> {
        let key = "tokenizer.ggml.scores";
        let scores = self.list(key)?.with_context(|| {
            format!("{key} is missing, and so is tokenizer.ggml.merges: nothing orders the merges")
        })?;
        let scores: Option<Vec<f32>> = scores
            .iter()
            .map(|value| match value {
                Value::Single(score) if score.is_finite() => Some(score),
                _ => None,
            })
            .collect();
        let scores = scores.with_context(|| format!("{key} is not an array of finite numbers"))?;
        ensure!(
            scores.len() == count,
            "{key} has {} scores for {count} tokens",
            scores.len()
        );
        Ok(scores)
    }
}

/// Ids by token.
pub(super) fn ids_of(tokens: &[&str]) -> Result<Vocab> {
    let mut ids = Vocab::default();
    for (id, token) in (0..).zip(tokens) {
        if let Some(before) = ids.insert((*token).to_owned(), id) {
            bail!("tokenizer.ggml.tokens: {before} and {id} are both {token:?}");
        }
    }
    Ok(ids)
}

/// The merges that `SentencePiece`'s scores imply: every way to put a token
/// together from two others, the best token first; of one score, the longest
/// left part first, then the longest right part.
pub(super) fn implied_merges(
    tokens: &[&str],
    vocabulary: &Vocab,
    scores: &[f32],
) -> Result<Merges> {
    // Score, lengths in letters, id of the token and where it is cut.
    let mut found: Vec<(f32, usize, usize, &str, &str)> = Vec::new();
    for (token, &score) in tokens.iter().zip(scores) {
        ensure!(
            token.len() <= LONGEST_MERGED,
            "tokenizer.ggml.tokens: a token has {} bytes; {LONGEST_MERGED} are read",
            token.len()
        );
        let letters = token.chars().count();
        let mut ids = Vec::new();
        for (left_letters, (cut, _)) in token.char_indices().enumerate().skip(1) {
            let (left, right) = token.split_at(cut);
            if let Some((left_id, right_id)) = vocabulary.get(left).zip(vocabulary.get(right)) {
                ids.push((
                    (left_id, right_id),
                    (score, left_letters, letters - left_letters, left, right),
                ));
            }
        }
        ids.sort_by_key(|(ids, _)| *ids);
        found.extend(ids.into_iter().map(|(_, merge)| merge));
        ensure!(
            found.len() <= MOST_MERGES * tokens.len(),
            "tokenizer.ggml.tokens can be put together from each other in more than {MOST_MERGES} \
             ways each; no trained vocabulary can"
        );
    }
    // Finite scores are ordered; unlike `total_cmp`, 0 and -0 are one score.
    let score = |a: f32, b: f32| a.partial_cmp(&b).unwrap_or(Ordering::Equal);
    found.sort_by(|a, b| score(b.0, a.0).then(b.1.cmp(&a.1)).then(b.2.cmp(&a.2)));
    Ok(found
        .into_iter()
        .map(|(_, _, _, left, right)| (left.to_owned(), right.to_owned()))
        .collect())
}
