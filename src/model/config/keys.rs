//! Keys of a `config.json`, read with their name in every error.

use serde_json::{Map, Value};

/// The object of a `config.json`.
pub(in crate::model) struct Keys<'a>(pub(in crate::model) &'a Map<String, Value>);

impl Keys<'_> {
    /// The value of a key; `null` counts as absent.
    pub(in crate::model) fn present(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// A size, at least 1.
    pub(in crate::model) fn size(&self, key: &str) -> Result<Option<i64>, String> {
        // Above this no shape is real, and products of two sizes still fit.
        const LARGEST: i64 = 1 << 30;
        let Some(value) = self.present(key) else {
            return Ok(None);
        };
        value
            .as_i64()
            .filter(|size| (1..=LARGEST).contains(size))
            .map(Some)
            .ok_or_else(|| format!("{key} = {value} is not a size"))
    }

    /// A size that has to be there.
    pub(in crate::model) fn needed(&self, key: &str) -> Result<i64, String> {
        self.size(key)?
            .ok_or_else(|| format!("the key {key} is missing"))
    }

    /// A positive number, where there is one.
    pub(in crate::model) fn positive(&self, key: &str) -> Result<Option<f64>, String> {
        let Some(value) = self.present(key) else {
            return Ok(None);
        };
        value
            .as_f64()
            .filter(|number| number.is_finite() && *number > 0.0)
            .map(Some)
            .ok_or_else(|| format!("{key} = {value} is not a positive number"))
    }

    /// A positive number, or what stands for it where it is absent.
    pub(in crate::model) fn number(&self, key: &str, default: f64) -> Result<f64, String> {
        Ok(self.positive(key)?.unwrap_or(default))
    }

    /// A flag, or what stands for it where it is absent.
    pub(in crate::model) fn flag(&self, key: &str, default: bool) -> Result<bool, String> {
        match self.present(key) {
            None => Ok(default),
            Some(value) => value
                .as_bool()
                .ok_or_else(|| format!("{key} = {value} is neither true nor false")),
        }
    }

    /// A token id, a list of them, or none.
    pub(in crate::model) fn ids(&self, key: &str) -> Result<Vec<i64>, String> {
        let wrong = |value: &Value| format!("{key} = {value} is not a token id");
        match self.present(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => values
                .iter()
                .map(|value| value.as_i64().ok_or_else(|| wrong(value)))
                .collect(),
            Some(value) => Ok(vec![value.as_i64().ok_or_else(|| wrong(value))?]),
        }
    }

    /// Refuses a key whose value would change what the decoder computes.
    pub(in crate::model) fn refuse_unless(
        &self,
        key: &str,
        harmless: impl Fn(&Value) -> bool,
    ) -> Result<(), String> {
        match self.present(key) {
            Some(value) if !harmless(value) => Err(format!("{key} = {value} is not supported")),
            _ => Ok(()),
        }
    }
}
