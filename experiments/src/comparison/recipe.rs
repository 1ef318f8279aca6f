//! How each arm was trained, in a line: its algorithm, and what it was paid for.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One arm's training as its definition has it.
///
/// Worked example: `{arm: "follow", algorithm: "grpo", rewards: [{name: "correct", weight: 1.0,
/// tasks: []}, {name: "human_cost", weight: 0.5, tasks: ["alphabet_arithmetic"]}]}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Arm name.
    pub arm: String,
    /// The algorithm's name.
    pub algorithm: String,
    /// Its rewards, in the order of the definition; none for an arm that imitates.
    pub rewards: Vec<PaidFor>,
}

/// One reward of an arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PaidFor {
    /// Its name in the definition.
    pub name: String,
    /// Its weight; 0 is measured and not learned from.
    pub weight: f64,
    /// The tasks it pays for; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<String>,
}

impl Recipe {
    /// Reads an arm's recipe from its table in a resolved definition; `None`
    /// where the table names no algorithm.
    pub fn of(arm: &str, table: &Value) -> Option<Self> {
        let algorithm = match table.get("algorithm")? {
            Value::String(name) => name.clone(),
            Value::Object(settings) => settings.keys().next()?.clone(),
            _ => return None,
        };
        let rewards = table.get("reward").and_then(Value::as_object);
        Some(Self {
            arm: arm.to_owned(),
            algorithm,
            rewards: rewards.into_iter().flatten().map(PaidFor::of).collect(),
        })
    }
}

impl PaidFor {
    /// A reward is its weight alone, or a table with `weight` (1 where it has none).
    fn of((name, value): (&String, &Value)) -> Self {
        let weight = value.as_f64().or_else(|| value.get("weight")?.as_f64());
        let tasks = value.get("tasks").and_then(Value::as_array);
        Self {
            name: name.clone(),
            weight: weight.unwrap_or(1.0),
            tasks: tasks
                .into_iter()
                .flatten()
                .filter_map(|task| Some(task.as_str()?.to_owned()))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_recipe_is_read_from_a_resolved_definition() {
        let table = json!({
            "algorithm": {"grpo": {"num_generations": 8}},
            "reward": {
                "correct": 1.0,
                "human_cost": {"weight": 0.5, "tasks": ["alphabet_arithmetic"]},
                "mine": {"is": "python"},
            },
        });
        let recipe = Recipe::of("follow", &table).unwrap();
        assert_eq!(
            (recipe.arm.as_str(), recipe.algorithm.as_str()),
            ("follow", "grpo")
        );
        let paid: Vec<(&str, f64, usize)> = recipe
            .rewards
            .iter()
            .map(|paid| (paid.name.as_str(), paid.weight, paid.tasks.len()))
            .collect();
        assert_eq!(
            paid,
            [
                ("correct", 1.0, 0),
                ("human_cost", 0.5, 1),
                ("mine", 1.0, 0)
            ]
        );
        let sft = Recipe::of("sft", &json!({"algorithm": "sft"})).unwrap();
        assert!(sft.rewards.is_empty());
        assert_eq!(Recipe::of("none", &json!({"reward": {}})), None);
    }
}
