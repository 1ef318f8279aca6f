//! Problems that somebody has demonstrated, for algorithms that meet no others: demonstrations
//! in groups of rollouts, or in the prompt of a model that judges.
//!
//! A demonstration is of the problem whose prompt it has, token by token.

use std::collections::{BTreeMap, HashMap};

use algorithms::{Demonstration, LabError, Prompt, Rollout};
use anyhow::{Result, ensure};
use rand::seq::SliceRandom;
use rewards::Early;

use super::arm::parts;
use super::{ArmLab, Posed, judging, other};
use crate::generation::{Completion, Finish};
use crate::random::stream;
use crate::tasks::{Item, Split};

/// The problems, and their demonstrations.
pub(super) struct Demonstrated {
    /// The seed of the problems.
    seed: u64,
    /// Their indices in the seed's order.
    problems: Vec<u64>,
    /// The places of each problem's demonstrations among all.
    places: BTreeMap<u64, Vec<usize>>,
}

impl ArmLab<'_> {
    /// From now on meets those of the first `count` problems of a seed that the lab's
    /// demonstrations are of, each pass over them in an order of its own.
    pub fn meet_demonstrated(&mut self, seed: u64, count: u64) -> Result<()> {
        let mut by_prompt: HashMap<&[i64], Vec<usize>> = HashMap::new();
        for (place, demonstration) in self.demonstrations.iter().enumerate() {
            let same = by_prompt.entry(&demonstration.prompt).or_default();
            same.push(place);
        }
        let mut places = BTreeMap::new();
        for problem in 0..count {
            if by_prompt.is_empty() {
                break;
            }
            let item = self.mix.item(seed, Split::Train, problem)?;
            let prompt = self.model.text.encode_item(&item)?;
            if let Some(found) = by_prompt.remove(prompt.as_slice()) {
                places.insert(problem, found);
            }
        }
        ensure!(!places.is_empty(), LabError::NoneDemonstrated);
        self.demonstrated = Some(Demonstrated {
            seed,
            problems: places.keys().copied().collect(),
            places,
        });
        Ok(())
    }

    /// The problem at a place of the order in which they are met.
    pub(super) fn problem_at(&self, place: u64) -> u64 {
        let Some(demonstrated) = &self.demonstrated else {
            return place;
        };
        let total = demonstrated.problems.len() as u64;
        let mut order = demonstrated.problems.clone();
        let epoch = place / total;
        order.shuffle(&mut stream(self.seed, "demonstrated problems", &[epoch]));
        order[(place % total) as usize]
    }

    /// A problem by its index.
    pub(super) fn item(&self, problem: u64) -> Result<Item, LabError> {
        let known = self.demonstrated.as_ref();
        let seed = known.map_or(self.seed, |demonstrated| demonstrated.seed);
        self.mix.item(seed, Split::Train, problem).map_err(other)
    }

    /// The demonstrations of a problem.
    fn demonstrations_of(&self, problem: u64) -> Result<Vec<&Demonstration>, LabError> {
        let known = self.demonstrated.as_ref();
        let places = known.and_then(|demonstrated| demonstrated.places.get(&problem));
        let places = places.ok_or(LabError::NoneDemonstrated)?;
        Ok(places
            .iter()
            .map(|&place| &self.demonstrations[place])
            .collect())
    }

    /// `count` demonstrations of each prompt's problem, from the first again where it has
    /// fewer, as the arm's rewards judge them.
    pub(super) fn judged_demonstrations(
        &self,
        prompts: &[Prompt],
        count: usize,
    ) -> Result<Vec<Rollout>, LabError> {
        let mut items = Vec::with_capacity(prompts.len());
        let mut completions = Vec::with_capacity(prompts.len() * count);
        for prompt in prompts {
            items.push(self.item(prompt.problem)?);
            let of = self.demonstrations_of(prompt.problem)?;
            completions.extend(of.iter().cycle().take(count).map(|one| Completion {
                tokens: one.completion.clone(),
                logprobs: vec![0.0; one.completion.len()],
                finish: Finish::End,
            }));
        }
        let texts = completions
            .iter()
            .map(|completion| self.model.text.decode(&completion.tokens))
            .collect::<Result<Vec<_>>>()
            .map_err(other)?;
        let posed = Posed::new(self.model, &items, count, self.sampling.max_new_tokens);
        let batch = posed.batch(&texts, &completions);
        let scores = self
            .rewards
            .map(|rewards| judging::judge(rewards, &batch, Early::default(), self.ranks))
            .transpose()
            .map_err(other)?;
        let rollout = |(index, completion): (usize, &Completion)| Rollout {
            completion: completion.tokens.clone(),
            logprobs: completion.logprobs.clone(),
            truncated: false,
            demonstrated: true,
            reward: scores.as_ref().and_then(|scores| scores.totals[index]),
            parts: scores
                .as_ref()
                .map_or_else(Vec::new, |scores| parts(scores, index)),
        };
        Ok(completions.iter().enumerate().map(rollout).collect())
    }

    /// The prompt of a problem with its first demonstration in it.
    pub(super) fn shown_prompt(&self, problem: u64, template: &str) -> Result<Vec<i64>> {
        let item = self.item(problem)?;
        let first = self.demonstrations_of(problem)?.remove(0);
        let demonstration = self.model.text.decode(&first.completion)?;
        // Neither text is looked through for the other's place.
        let parts = template.split("{prompt}");
        let parts = parts.map(|part| part.replace("{demonstration}", &demonstration));
        let text = parts.collect::<Vec<_>>().join(&item.prompt);
        self.model.text.encode_conversation(&item.before, &text)
    }

    /// Refuses a template that the model cannot read or that leaves no room for a completion.
    pub fn check_shown(&self, template: &str) -> Result<()> {
        let Some(demonstrated) = &self.demonstrated else {
            return Ok(());
        };
        let context = self.model.decoder.config().context();
        let completion = self.sampling.max_new_tokens;
        for &problem in &demonstrated.problems {
            let prompt = self.shown_prompt(problem, template)?.len();
            ensure!(
                prompt + completion <= context,
                "the prompt of training problem {problem} with its demonstration has {prompt} tokens, and \
                 rollout.max_new_tokens = {completion} beside them are more than the model's context of {context}; \
                 use shorter demonstrations (max_length), a smaller cap, or a longer context"
            );
        }
        Ok(())
    }
}
