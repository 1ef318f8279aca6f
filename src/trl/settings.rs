//! A file of TRL's settings: keys and values in the file's order.

use std::fmt;
use std::path::Path;

use anyhow::{Result, anyhow};
use indexmap::IndexMap;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// What a file says. A key that stands there twice is refused.
#[derive(Debug)]
pub(super) struct Settings(pub(super) IndexMap<String, Value>);

impl Settings {
    /// Reads a file: JSON where its name ends so, YAML otherwise.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let at = |error: &dyn fmt::Display| anyhow!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| at(&error))?;
        if path.extension().is_some_and(|end| end == "json") {
            serde_json::from_str(&text).map_err(|error| at(&error))
        } else {
            serde_yaml_ng::from_str(&text).map_err(|error| at(&error))
        }
    }

    /// The value of a key; `None` where it is absent or null, TRL's word for its default.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>> {
        let read = |value| number(value).ok_or_else(|| wrong(key, value, "a number"));
        self.get(key).map(read).transpose()
    }

    pub(super) fn count(&self, key: &str) -> Result<Option<u64>> {
        let read = |value| count(value).ok_or_else(|| wrong(key, value, "a whole number"));
        self.get(key).map(read).transpose()
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>> {
        let read = |value| flag(value).ok_or_else(|| wrong(key, value, "true or false"));
        self.get(key).map(read).transpose()
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&str>> {
        let read = |value: &'_ Value| value.as_str().map(str::len);
        if let Some(value) = self.get(key)
            && read(value).is_none()
        {
            return Err(wrong(key, value, "a text"));
        }
        Ok(self.get(key).and_then(Value::as_str))
    }
}

/// That a value is of another kind than its key takes.
pub(super) fn wrong(key: &str, value: &Value, wanted: &str) -> anyhow::Error {
    anyhow!("{key} = {value}: TRL takes {wanted} here")
}

/// A number, also one that YAML 1.1 takes for a text, such as `1e-6`.
pub(super) fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::String(text) => text.parse().ok(),
        _ => value.as_f64(),
    };
    number.filter(|number: &f64| number.is_finite())
}

/// A whole number from 0 on.
pub(super) fn count(value: &Value) -> Option<u64> {
    let number = number(value)?;
    // 2^53, up to which floats are exact.
    (number >= 0.0 && number.fract() == 0.0 && number <= 9_007_199_254_740_992.0)
        .then_some(number as u64)
}

/// A truth value, also as TRL's command line writes it.
pub(super) fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => match text.to_lowercase().as_str() {
            "true" | "yes" | "on" | "t" | "y" | "1" => Some(true),
            "false" | "no" | "off" | "f" | "n" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a value is the one that is written as JSON.
pub(super) fn is(value: &Value, written: &str) -> bool {
    let Ok(other) = serde_json::from_str::<Value>(written) else {
        return false;
    };
    match &other {
        Value::Bool(other) => flag(value) == Some(*other),
        Value::Number(_) => number(value) == other.as_f64() && !value.is_null(),
        _ => *value == other,
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = Settings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("TRL's settings, a key and its value each")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Settings, A::Error> {
                let mut settings = IndexMap::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if settings.contains_key(&key) {
                        return Err(de::Error::custom(format!("{key} stands there twice")));
                    }
                    settings.insert(key, value);
                }
                Ok(Settings(settings))
            }
        }

        deserializer.deserialize_map(Keys)
    }
}
