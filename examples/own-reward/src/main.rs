//! The lab with a reward of one's own: the `qinglan` binary, in which a
//! definition may say `reward.hedging = 0.5`.

use rewards::{Registry, Reward, RewardError, Score, Scored, Scores, schemars};

const ABOUT: &str = "What hedging costs: minus the share of words that hedge. Range: [-1, 0].";

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Parameters {
    /// The words that hedge, in small letters.
    words: Vec<String>,
}

struct Hedging(Vec<String>);

impl Reward for Hedging {
    fn name(&self) -> &'static str {
        "hedging"
    }
    fn score(&self, batch: &[Scored<'_>]) -> Result<Scores, RewardError> {
        let score = |item: &Scored<'_>| {
            let words: Vec<String> = item
                .completion
                .split_whitespace()
                .map(str::to_lowercase)
                .collect();
            let hedges = words.iter().filter(|word| self.0.contains(word)).count() as f64;
            Score::new(-hedges / words.len().max(1) as f64).with_part("words", hedges)
        };
        Ok(batch.iter().map(score).collect())
    }
    fn independent(&self) -> bool {
        true
    }
}

fn main() -> Result<std::process::ExitCode, RewardError> {
    let mut registry = Registry::builtin();
    registry.register("hedging", ABOUT, |p: Parameters| Ok(Hedging(p.words)))?;
    Ok(qinglan::cli::main_with(registry))
}
