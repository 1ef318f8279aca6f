//! What a body has to be before anybody knows what was asked: one value of
//! JSON, each key once, and no error that stands in a reply of success.
//!
//! A body that was cut off, or that a gateway wrote in the server's place, may
//! be whole at the next try. What the server itself wrote it writes again, so
//! that is refused at the first one.

use experiments::text::Unique;
use serde_json::Value;
use serde_json::error::Category;

use super::beginning;

/// Characters of a body that are shown around what is wrong with it.
const AROUND: usize = 24;

/// Why a body is no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoReply {
    /// Another try may do better: what was wrong, in a few words.
    Broken(String),
    /// No other try of this question would: what is wrong.
    Unfit(String),
    /// An error with a status that no other question would change either, and
    /// what the server said, though the reply's own status is one of success.
    Refused(u16, String),
}

/// The value of a body, whatever it holds.
pub(crate) fn json(body: &str) -> Result<Value, NoReply> {
    // Some servers begin with a byte order mark.
    let body = body.trim_start_matches('\u{feff}').trim();
    let broken = |what: &str| Err(NoReply::Broken(what.to_owned()));
    match body.as_bytes().first() {
        None => return broken("an empty body"),
        Some(b'<') => return broken("HTML in place of JSON"),
        Some(b'{' | b'[') => {}
        Some(_) if body.starts_with("data:") || body.starts_with("event:") => {
            return Err(NoReply::Unfit(
                "a stream of events in place of one reply".to_owned(),
            ));
        }
        Some(_) => return broken("a text in place of JSON"),
    }
    let Unique(value) = serde_json::from_str(body).map_err(|error| match error.classify() {
        Category::Eof | Category::Io => NoReply::Broken("a body that is no whole JSON".to_owned()),
        Category::Syntax => NoReply::Unfit(format!(
            "a body that is no JSON: {error}, {:?}",
            around(body, &error)
        )),
        Category::Data => NoReply::Unfit(format!("a body that cannot be read: {error}")),
    })?;
    match ServerError::of(&value) {
        Some(error) => Err(error.into()),
        None => Ok(value),
    }
}

/// What stands where the error is.
fn around(body: &str, error: &serde_json::Error) -> String {
    let line = body.lines().nth(error.line().saturating_sub(1));
    let line = line.unwrap_or_default().as_bytes();
    let rest = line.get(error.column().saturating_sub(1)..);
    let rest = String::from_utf8_lossy(rest.unwrap_or_default());
    rest.chars().take(AROUND).collect()
}

/// An error as servers write it: beside a status or into a reply of success.
///
/// Worked example: `{"error": {"message": "the model is overloaded", "code": 503}}` has the status 503 and
/// may pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerError {
    status: Option<u16>,
    /// Code and kind, in lower case.
    kind: String,
    message: String,
}

impl ServerError {
    /// The error that a body is; `None` where it is a reply.
    pub(crate) fn of(body: &Value) -> Option<Self> {
        // Gemini's interface gives a list of one.
        let body = match body {
            Value::Array(list) => list.first().filter(|first| first.get("error").is_some())?,
            body => body,
        };
        let bare = || {
            let is_error = body["object"] == "error";
            let is_reply = ["choices", "meta_info", "data", "success"];
            let is_reply = is_reply.iter().any(|key| body.get(*key).is_some());
            let says = body["message"].is_string()
                || body.get("detail").is_some()
                || body.get("errors").is_some();
            (is_error || says && !is_reply).then(|| Self::read(body))
        };
        Self::within(body).or_else(bare)
    }

    /// The error that stands in a value beside what else it holds.
    pub(crate) fn within(value: &Value) -> Option<Self> {
        let error = value.get("error").filter(|error| says_something(error))?;
        Some(Self::read(error))
    }

    fn read(error: &Value) -> Self {
        let field = |names: &[&str]| {
            let mut found = names.iter().filter_map(|name| error.get(*name));
            found.find(|value| says_something(value))
        };
        let status = ["status_code", "http_status", "code", "status"];
        let status = status
            .iter()
            .filter_map(|name| match error.get(*name)? {
                Value::String(text) => text.parse().ok(),
                value => u16::try_from(value.as_u64()?).ok(),
            })
            .find(|status| (400..=599).contains(status));
        let kind = ["code", "type", "status"].map(|name| error[name].as_str().unwrap_or_default());
        let inner = error["innererror"]["code"].as_str().unwrap_or_default();
        let message = match field(&["message", "msg", "detail", "errors"]).unwrap_or(error) {
            Value::String(text) => beginning(text),
            value => beginning(&value.to_string()),
        };
        Self {
            status,
            kind: format!("{} {inner}", kind.join(" ")).to_lowercase(),
            message,
        }
    }

    /// Whether a filter is what keeps the answer back, so that the server has
    /// nothing against the next question.
    pub(crate) fn is_of_a_filter(&self) -> bool {
        let kinds = [
            "content_filter",
            "content_policy",
            "responsibleai",
            "moderation",
            "inspection",
            "safety",
            "prohibited_content",
        ];
        let message = self.message.to_lowercase();
        let words = [
            "content filter",
            "content management policy",
            "content policy",
        ];
        kinds.iter().any(|kind| self.kind.contains(kind))
            || words.iter().any(|words| message.contains(words))
    }

    /// What the server said.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    fn may_pass(&self) -> bool {
        if let Some(status) = self.status {
            return matches!(status, 408 | 429 | 500..=599);
        }
        let message = self.message.to_lowercase();
        let words = [
            "overload",
            "rate limit",
            "rate_limit",
            "unavailable",
            "timeout",
            "timed out",
            "try again",
            "exhausted",
            "server_error",
            "internal",
        ];
        words
            .iter()
            .any(|word| self.kind.contains(word) || message.contains(word))
    }
}

impl From<ServerError> for NoReply {
    fn from(error: ServerError) -> Self {
        let message = error.message();
        if error.is_of_a_filter() {
            return Self::Unfit(format!("a filter withheld the answer: {message}"));
        }
        let what = format!("an error in place of an answer: {message}");
        match error.status {
            _ if error.may_pass() => Self::Broken(what),
            Some(status) => Self::Refused(status, error.message),
            None => Self::Unfit(what),
        }
    }
}

/// Whether a value is more than a way to say that there is nothing.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn broken(body: &str) -> String {
        match json(body) {
            Err(NoReply::Broken(what)) => what,
            other => panic!("{body}: {other:?}"),
        }
    }

    fn unfit(body: &str) -> String {
        match json(body) {
            Err(NoReply::Unfit(what)) => what,
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn every_kind_of_value_is_read_and_a_byte_order_mark_is_passed_over() {
        let text = r#"{"a": [null, true, -1, 18446744073709551615, 0.1, "b\u00e9"], "c": {}}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(json(text).unwrap(), value);
        assert_eq!(json(&format!("\u{feff}{text}\n")).unwrap(), value);
    }

    #[test]
    fn what_another_try_may_mend_is_told_apart_from_what_none_will() {
        assert_eq!(broken(""), "an empty body");
        assert_eq!(broken("<html>Bad gateway</html>"), "HTML in place of JSON");
        assert_eq!(broken("upstream connect error"), "a text in place of JSON");
        let whole = r#"{"choices": [{"text": "a\"b"}], "n": [1.5, true]}"#;
        for cut in 1..whole.len() {
            assert_eq!(broken(&whole[..cut]), "a body that is no whole JSON");
        }
        let nan = unfit("{\"choices\": [],\n \"logprob\": NaN}");
        assert!(nan.contains("line 2") && nan.contains("NaN"), "{nan}");
        let twice = unfit(r#"{"a": {"count": 3, "count": 300}}"#);
        assert!(twice.contains("the key \"count\" stands twice"), "{twice}");
        let two = unfit(r#"{"choices": []}{"choices": []}"#);
        assert!(two.contains("trailing characters"), "{two}");
        let stream = unfit("data: {\"choices\": []}\n\ndata: [DONE]");
        assert!(stream.contains("a stream of events"), "{stream}");
    }

    #[test]
    fn an_error_in_a_reply_of_success_is_what_its_own_status_says() {
        let read = |value: Value| json(&value.to_string());
        let overloaded = read(json!({"error": {"message": "overloaded", "code": 503}}));
        let expected = NoReply::Broken("an error in place of an answer: overloaded".to_owned());
        assert_eq!(overloaded, Err(expected));
        let refused = Err(NoReply::Refused(401, "no such key".to_owned()));
        for error in [
            json!({"error": {"message": "no such key", "code": "401"}}),
            json!([{"error": {"message": "no such key", "code": 401, "status": "UNAUTHENTICATED"}}]),
            json!({"object": "error", "message": "no such key", "code": 401}),
            json!({"detail": "no such key", "status": 401}),
        ] {
            assert_eq!(read(error.clone()), refused, "{error}");
        }
        for (error, may_pass) in [
            (json!({"error": "Please try again later"}), true),
            (
                json!({"error": {"type": "overloaded_error", "message": "Overloaded"}}),
                true,
            ),
            (
                json!({"error": {"status": "RESOURCE_EXHAUSTED", "message": "quota"}}),
                true,
            ),
            (
                json!({"error": {"type": "invalid_request", "message": "no"}}),
                false,
            ),
            (json!({"error": ["a", "b"]}), false),
        ] {
            match (read(error.clone()), may_pass) {
                (Err(NoReply::Broken(_)), true) | (Err(NoReply::Unfit(_)), false) => {}
                other => panic!("{error}: {other:?}"),
            }
        }
    }

    #[test]
    fn an_error_of_a_filter_is_of_one_question() {
        let azure = json!({"error": {
            "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
            "code": "content_filter", "status": 400, "innererror": {"code": "ResponsibleAIPolicyViolation"}}});
        let what = unfit(&azure.to_string());
        assert!(
            what.starts_with("a filter withheld the answer: The response"),
            "{what}"
        );
        let alibaba =
            json!({"error": {"code": "data_inspection_failed", "message": "inappropriate"}});
        assert!(unfit(&alibaba.to_string()).starts_with("a filter withheld"));
    }

    #[test]
    fn a_reply_that_says_there_is_no_error_is_a_reply() {
        for no_error in [json!(null), json!(""), json!({}), json!(false)] {
            let reply = json!({"choices": [], "error": no_error, "message": "success"});
            assert_eq!(json(&reply.to_string()), Ok(reply));
        }
    }
}
