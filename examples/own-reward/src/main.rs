//! The lab with a reward of one's own: the `qinglan` binary, in which a
//! definition may say `reward.hedging = 0.5`.

use rewards::{Registry, Reward, RewardError, Score, Scored, Scores, schemars};

const ABOUT: &str = "What hedging costs: minus the number of words that hedge.";

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
            let text = item.completion.to_lowercase();
            let hedges = |word: &&str| self.0.iter().any(|hedge| hedge == word);
            Score::new(0.0 - text.split_whitespace().filter(hedges).count() as f64)
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
