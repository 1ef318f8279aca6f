//! Why a server says that an answer ended: `OpenAI`'s words, those of other
//! servers, and those that bridges pass on beside `OpenAI`'s.

use serde_json::Value;

/// Where a choice may say it; a bridge's own word stands beside the first.
const NAMES: [&str; 6] = [
    "finish_reason",
    "native_finish_reason",
    "stop_reason",
    "finishReason",
    "done_reason",
    "finish_details",
];

/// The answer was withheld: parts of words in lower case, without signs.
const WITHHELD: [&str; 14] = [
    "filter",
    "safety",
    "recitation",
    "prohibited",
    "blocklist",
    "blocked",
    "spii",
    "refus",
    "guardrail",
    "toxic",
    "moderat",
    "policy",
    "sensitive",
    "inspection",
];

/// The server itself broke off.
const BROKEN_OFF: [&str; 7] = [
    "error",
    "abort",
    "cancel",
    "insufficient",
    "interrupt",
    "malformed",
    "timeout",
];

/// The token cap, or the end of the context, cut the answer off.
const CUT: [&str; 6] = [
    "length",
    "max",
    "truncat",
    "context",
    "tokenlimit",
    "incomplete",
];

/// The model ended the answer: whole words.
const ENDED: [&str; 14] = [
    "stop",
    "endturn",
    "endofturn",
    "stopsequence",
    "stopstring",
    "stoptoken",
    "eos",
    "eostoken",
    "endoftext",
    "end",
    "complete",
    "completed",
    "done",
    "finished",
];

/// A tool was called, or tokens were, of which none was offered: neither an end
/// nor a cut.
const CALLED: [&str; 4] = ["toolcall", "toolcalls", "tooluse", "functioncall"];

/// How an answer ended, as far as the server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finish {
    /// The model ended it.
    Ended,
    /// The cap did.
    Cut,
    /// A filter keeps it back, by the server's own word.
    Withheld(String),
    /// The server broke off, by its own word.
    BrokenOff(String),
    /// Nothing says it.
    Unsaid,
    /// A word that is not known.
    Unknown(String),
}

/// What a choice says. Of several words the one that says most against the
/// answer counts: a bridge writes `stop` beside the server's own `MAX_TOKENS`.
pub(super) fn finish(choice: &Value) -> Finish {
    let words = NAMES.iter().filter_map(|name| word(name, &choice[*name]));
    let rank = |finish: &Finish| match finish {
        Finish::Withheld(_) => 0,
        Finish::BrokenOff(_) => 1,
        Finish::Cut => 2,
        Finish::Ended => 3,
        Finish::Unknown(_) => 4,
        Finish::Unsaid => 5,
    };
    words
        .map(of_word)
        .min_by_key(rank)
        .unwrap_or(Finish::Unsaid)
}

/// The word that stands under a name; an object has it as its type or reason.
fn word(name: &str, value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Object(_) => {
            let inner = ["type", "reason"]
                .iter()
                .find_map(|key| value[*key].as_str());
            Some(inner.map_or_else(|| value.to_string(), str::to_owned))
        }
        // vLLM's stop_reason is the id of the token that ended the answer.
        Value::Number(_) if name == "stop_reason" => None,
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

fn of_word(word: String) -> Finish {
    let plain: String = word
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    let plain = plain.trim_start_matches("finishreason");
    let holds = |parts: &[&str]| parts.iter().any(|part| plain.contains(part));
    if plain.is_empty() || CALLED.contains(&plain) {
        Finish::Unsaid
    } else if holds(&WITHHELD) {
        Finish::Withheld(word)
    } else if holds(&BROKEN_OFF) {
        Finish::BrokenOff(word)
    } else if holds(&CUT) {
        Finish::Cut
    } else if ENDED.contains(&plain) {
        Finish::Ended
    } else {
        Finish::Unknown(word)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_of_many_servers_are_known() {
        let says = |word: &str| finish(&json!({"finish_reason": word}));
        for word in [
            "stop",
            "STOP",
            "end_turn",
            "eos_token",
            "FinishReason.STOP",
            "COMPLETE",
        ] {
            assert_eq!(says(word), Finish::Ended, "{word}");
        }
        for word in [
            "length",
            "max_tokens",
            "MAX_TOKENS",
            "FINISH_REASON_MAX_TOKENS",
            "model_length",
            "max_output_tokens",
            "model_context_window_exceeded",
            "incomplete",
        ] {
            assert_eq!(says(word), Finish::Cut, "{word}");
        }
        for word in [
            "content_filter",
            "SAFETY",
            "refusal",
            "guardrail_intervened",
            "sensitive",
        ] {
            assert_eq!(says(word), Finish::Withheld(word.to_owned()));
        }
        for word in [
            "error",
            "abort",
            "insufficient_system_resource",
            "network_error",
        ] {
            assert_eq!(says(word), Finish::BrokenOff(word.to_owned()));
        }
        for word in ["tool_calls", "function_call", ""] {
            assert_eq!(says(word), Finish::Unsaid, "{word}");
        }
        assert_eq!(says("pause_turn"), Finish::Unknown("pause_turn".to_owned()));
    }

    #[test]
    fn a_bridge_that_says_stop_does_not_hide_what_the_server_said() {
        let both = |native: Value| {
            finish(&json!({"finish_reason": "stop", "native_finish_reason": native}))
        };
        assert_eq!(both(json!("MAX_TOKENS")), Finish::Cut);
        assert_eq!(both(json!("SAFETY")), Finish::Withheld("SAFETY".to_owned()));
        assert_eq!(both(json!("whatever")), Finish::Ended);
        // The token or the text at which vLLM stopped is no reason of its own.
        for stopped_at in [json!(128_009), json!("</s>"), Value::Null] {
            let vllm = json!({"finish_reason": "stop", "stop_reason": stopped_at});
            assert_eq!(finish(&vllm), Finish::Ended);
        }
    }

    #[test]
    fn a_reason_may_be_an_object_a_number_or_absent() {
        let says = |value: Value| finish(&json!({"finish_reason": value}));
        assert_eq!(says(json!({"type": "length", "length": 64})), Finish::Cut);
        assert_eq!(says(json!(2)), Finish::Unknown("2".to_owned()));
        assert_eq!(says(Value::Null), Finish::Unsaid);
        assert_eq!(finish(&json!({})), Finish::Unsaid);
        assert_eq!(finish(&json!({"stop_reason": "max_tokens"})), Finish::Cut);
    }
}
