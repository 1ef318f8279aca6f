//! A server that is played by a thread of the test's own process, and what it is
//! asked about: items of the task `sums`.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Bench, Ended};

/// The columns of `items.csv`.
pub(crate) const HEADER: &str =
    "task,item_id,prompt,answer,condition,n,mean_rt_ms,mean_log_rt,accuracy\n";

/// Norms of `count` items of the task `sums`, harder from item to item.
pub(crate) fn norms(bench: &Bench, count: usize) {
    let row = |i: usize| {
        let time = 900 + 170 * i + 13 * (i * i % 7);
        format!("sums,i{i},{i} + {i} =,{},c,10,{time},,0.9", 2 * i)
    };
    let rows: Vec<String> = (0..count).map(row).collect();
    let text = format!("{HEADER}{}", rows.join("\n"));
    bench.write("norms/items.csv", &text);
}

/// What the server gives for a question, its prompt, at the so-manieth time.
type Rule = Arc<dyn Fn(&Value, &str, usize) -> Reply + Send + Sync>;

/// A reply as it goes over the wire.
pub(crate) struct Reply {
    pub(crate) status: &'static str,
    pub(crate) header: &'static str,
    pub(crate) body: String,
    pub(crate) slow: Duration,
}

impl Reply {
    pub(crate) fn new(status: &'static str, body: impl Into<String>) -> Self {
        Self {
            status,
            header: "",
            body: body.into(),
            slow: Duration::ZERO,
        }
    }

    /// An answer with reasoning apart and the server's own counts.
    pub(crate) fn answer(prompt: &str) -> Self {
        let number: usize = prompt
            .split(' ')
            .next()
            .and_then(|word| word.parse().ok())
            .unwrap_or(0);
        let body = json!({
            "choices": [{
                "message": {"content": format!("{}", 2 * number), "reasoning_content": "I add."},
                "finish_reason": if number == 5 { "length" } else { "stop" },
            }],
            "usage": {
                "prompt_tokens": 7,
                "completion_tokens": 30 + 9 * number,
                "completion_tokens_details": {"reasoning_tokens": 20 + 9 * number},
            },
        });
        Self::new("200 OK", body.to_string())
    }
}

/// A server on the loopback, and what it was asked.
pub(crate) struct Server {
    pub(crate) url: String,
    /// How often each prompt came.
    asked: Arc<Mutex<HashMap<String, usize>>>,
    /// The head and the body of each question.
    pub(crate) log: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Server {
    /// One that goes by the prompt, and how often it came.
    pub(crate) fn start(rule: impl Fn(&str, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::of(Arc::new(move |_, prompt, time| rule(prompt, time)))
    }

    /// One that goes by the fields of the question.
    pub(crate) fn strict(rule: impl Fn(&Value, &str) -> Reply + Send + Sync + 'static) -> Self {
        Self::of(Arc::new(move |question, prompt, _| rule(question, prompt)))
    }

    fn of(rule: Rule) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let server = Self {
            url,
            asked: Arc::default(),
            log: Arc::default(),
        };
        let (asked, log) = (Arc::clone(&server.asked), Arc::clone(&server.log));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (asked, log) = (Arc::clone(&asked), Arc::clone(&log));
                let rule = Arc::clone(&rule);
                // A client that was killed breaks its connection; that is no failure here.
                std::thread::spawn(move || serve(stream, &rule, &asked, &log));
            }
        });
        server
    }

    /// How many questions came.
    pub(crate) fn times(&self) -> usize {
        self.asked.lock().unwrap().values().sum()
    }
}

fn serve(
    mut stream: TcpStream,
    rule: &Rule,
    asked: &Mutex<HashMap<String, usize>>,
    log: &Mutex<Vec<(String, Value)>>,
) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_ascii_lowercase();
    let length = lower.split("content-length: ").nth(1)?;
    let length: usize = length.split_whitespace().next()?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body: Value = serde_json::from_slice(&body).ok()?;
    let prompt = body["messages"][0]["content"]
        .as_str()
        .or(body["prompt"].as_str())?
        .to_owned();
    log.lock().unwrap().push((head, body.clone()));
    let time = {
        let mut asked = asked.lock().unwrap();
        let times = asked.entry(prompt.clone()).or_default();
        *times += 1;
        *times
    };
    let reply = rule(&body, &prompt, time);
    std::thread::sleep(reply.slow);
    let head = format!(
        "HTTP/1.1 {}\r\nContent-Length: {}\r\n{}Connection: close\r\n\r\n",
        reply.status,
        reply.body.len(),
        reply.header
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(reply.body.as_bytes()).ok()
}

/// `qinglan evaluate` of the server into `out`.
pub(crate) fn arguments<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec![
        "evaluate",
        "--endpoint",
        url,
        "--served-model",
        "served",
        "--norms",
        "norms",
        "--out",
        "out",
    ];
    arguments.extend_from_slice(more);
    arguments
}

/// The same to its end.
pub(crate) fn evaluate(bench: &Bench, server: &Server, more: &[&str]) -> Ended {
    bench.qinglan(&arguments(&server.url, more))
}
