//! The live page and the state behind it: made here, whole, in the report's look.
//!
//! Everything that comes from the run is escaped, whoever wrote it. Curves are
//! the report's own; no statistic is computed from a run that is not finished.

use std::fmt::Write as _;

use experiments::comparison::Curve;
use experiments::figures::curves;
use experiments::figures::palette::Palette;
use experiments::manifest::Role;
use experiments::report::{STYLE, escape};
use serde_json::{Value, json};

use crate::runner::live::{self, Live, SPEED};
use crate::runner::survey::Part;

/// Metrics whose curves are shown.
const CURVES: [&str; 6] = [
    "reward",
    "validation/accuracy",
    "loss",
    "completions/mean_length",
    "entropy",
    SPEED,
];

/// Completions that are shown.
const SHOWN: usize = 8;

/// The arms whose updates are of another kind than the others'.
const BASE: &str = "base";

/// The page as it stands.
pub(super) fn html(live: Option<&Live>, fault: Option<&str>) -> String {
    let title = live.map_or("No run yet", |live| &live.survey().title);
    let body = match live {
        None => "<section><h2>No run yet</h2><p>Nothing has begun in this directory. The page shows the run as soon as \
             there is one.</p></section>\n"
            .to_owned(),
        Some(live) => sections(live),
    };
    let state = live.map_or("waiting", |live| live.survey().state.word());
    let scope = live.map_or(String::new(), |live| {
        let survey = live.survey();
        format!("{} of {} parts done", survey.done(), survey.parts.len())
    });
    let mut faults: Vec<String> = fault.iter().map(|fault| escape(fault)).collect();
    faults.extend(
        live.iter()
            .flat_map(|live| live.faults())
            .map(|fault| escape(&fault)),
    );
    let faults = if faults.is_empty() {
        String::new()
    } else {
        let list = faults.join("</li>\n<li>");
        format!(
            "<section class=\"notes\"><h3>What could not be read</h3><ul><li>{list}</li></ul></section>\n"
        )
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title} \u{b7} {state}</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n{STYLE}</style>\n\
         <script src=\"/live.js\" defer></script>\n</head>\n<body>\n\
         <p class=\"standing\" id=\"connection\" role=\"status\"></p>\n<div id=\"live\">\n\
         <header><p class=\"kicker\">Qinglan \u{b7} {state}</p>\n<h1>{title}</h1>\n<p class=\"scope\">{scope}</p></header>\n\
         <main>\n{faults}{body}</main>\n</div>\n\
         <noscript><p>Scripts are off: load the page again to see what is new.</p></noscript>\n</body>\n</html>\n",
        title = escape(title),
    )
}

/// The same as data.
pub(super) fn state(live: Option<&Live>, fault: Option<&str>) -> Value {
    let mut faults: Vec<String> = fault.iter().map(|fault| (*fault).to_owned()).collect();
    let Some(live) = live else {
        return json!({"state": "waiting", "parts": [], "faults": faults});
    };
    faults.extend(live.faults());
    let part = |part: &Part| {
        json!({
            "arm": part.arm,
            "seed": part.seed,
            "state": live.word(part),
            "updates": part.updates,
            "of": part.of,
            "seconds_left": live.left(part),
            "reward": live.last(part, "reward"),
            "loss": live.last(part, "loss"),
            "length": live.last(part, "completions/mean_length"),
            "tokens_per_second": live.last(part, SPEED),
        })
    };
    let survey = live.survey();
    json!({
        "title": survey.title,
        "state": survey.state.word(),
        "report": live.report().is_some(),
        "parts": survey.parts.iter().map(part).collect::<Vec<_>>(),
        "faults": faults,
    })
}

fn sections(live: &Live) -> String {
    let mut out = format!(
        "<section><h2>Arms and seeds</h2>\n{}</section>\n",
        parts(live)
    );
    let figures = figures(live);
    if !figures.is_empty() {
        let _ = writeln!(
            out,
            "<section><h2>So far</h2>\n<p>{}{}</p>\n<div class=\"figures\">{figures}</div></section>",
            escape(curves::EXPLANATION),
            escape(curves::LOSS_CAUTION)
        );
    }
    out.push_str(&completions(live));
    out
}

fn parts(live: &Live) -> String {
    let columns = [
        "seed", "state", "updates", "left", "reward", "loss", "length", "tokens/s",
    ];
    let mut out = String::from(
        "<figure class=\"table\"><table role=\"table\"><thead><tr role=\"row\"><th scope=\"col\">arm</th>",
    );
    for column in columns {
        let class = if column == "state" {
            ""
        } else {
            " class=\"num\""
        };
        let _ = write!(out, "<th scope=\"col\"{class}>{column}</th>");
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for part in &live.survey().parts {
        let last = |metric: &str, decimals: usize| {
            let value = live.last(part, metric);
            value.map_or(String::new(), |value| format!("{value:.decimals$}"))
        };
        let of = part.of.map_or(String::new(), |of| format!(" of {of}"));
        let cells = [
            part.seed.map_or(String::new(), |seed| seed.to_string()),
            live.word(part).to_owned(),
            part.updates
                .map_or(String::new(), |updates| format!("{updates}{of}")),
            live.left(part)
                .map_or(String::new(), |seconds| format!("{seconds:.0} s")),
            last("reward", 3),
            last("loss", 3),
            last("completions/mean_length", 1),
            last(SPEED, 0),
        ];
        let _ = write!(
            out,
            "<tr role=\"row\"><th scope=\"row\" role=\"rowheader\">{}</th>",
            escape(&part.arm)
        );
        for (column, cell) in columns.iter().zip(cells) {
            if cell.is_empty() {
                out.push_str("<td class=\"none\"></td>");
                continue;
            }
            let class = if *column == "state" {
                ""
            } else {
                " class=\"num\""
            };
            let cell = escape(&cell.replace('-', "\u{2212}"));
            let _ = write!(
                out,
                "<td role=\"cell\"{class} data-label=\"{column}\"><span>{cell}</span></td>"
            );
        }
        out.push_str("</tr>\n");
    }
    out + "</tbody></table></figure>\n"
}

/// The curves of all parts in training; those of the bases until there is another.
fn figures(live: &Live) -> String {
    let parts = &live.survey().parts;
    let begun = |part: &&Part| part.updates.is_some();
    let others = parts.iter().filter(begun).any(|part| part.arm != BASE);
    let shown = |part: &&Part| begun(part) && (part.arm == BASE) != others;
    let mut all = Vec::new();
    for part in parts.iter().filter(shown) {
        for metric in CURVES {
            let points = live.series(part, metric);
            if !points.is_empty() {
                all.push(Curve {
                    arm: part.arm.clone(),
                    seed: part
                        .seed
                        .and_then(|seed| u64::try_from(seed).ok())
                        .unwrap_or_default(),
                    metric: metric.to_owned(),
                    points: points
                        .iter()
                        .map(|(step, value)| (*step as u64, *value))
                        .collect(),
                });
            }
        }
    }
    let roles = roles(live);
    let figures = curves::of_curves(&all, &Palette::of_arms(&roles));
    let figures = figures
        .iter()
        .map(|curve| format!("<figure>{}</figure>\n", curve.figure.svg));
    figures.collect()
}

/// What each arm is to the others, so that it has the colour that the report gives it.
fn roles(live: &Live) -> Vec<(&str, Role)> {
    let survey = live.survey();
    let role = |name: &str| match name {
        BASE => Role::Base,
        "teacher" => Role::Teacher,
        name => {
            let settings = survey.definition.get("arm").and_then(|arms| arms.get(name));
            let algorithm = settings.and_then(|settings| settings.get("algorithm"));
            let by = |key: &str| algorithm.is_some_and(|algorithm| algorithm.get(key).is_some());
            if by("sft") || by("opd") {
                Role::Student
            } else {
                Role::Rl
            }
        }
    };
    let mut roles: Vec<(&str, Role)> = Vec::new();
    for part in &survey.parts {
        if !roles.iter().any(|(name, _)| *name == part.arm) {
            roles.push((&part.arm, role(&part.arm)));
        }
    }
    roles
}

/// What was sampled last, by the part that is in training, or was.
fn completions(live: &Live) -> String {
    let written = |part: &Part| {
        let path = live::newest_phase(part)?;
        Some((path.metadata().ok()?.modified().ok()?, path))
    };
    let parts = live.survey().parts.iter();
    let newest = parts.filter_map(|part| Some((written(part)?, part)));
    let Some(((_, path), part)) = newest.max_by_key(|((written, _), part)| (!part.done, *written))
    else {
        return String::new();
    };
    let seed = part
        .seed
        .map_or(String::new(), |seed| format!(" seed {seed}"));
    let mut out = format!(
        "<section><h2>Sampled last</h2>\n<p class=\"scope\">{}{seed}</p>\n",
        escape(&part.arm)
    );
    match live::samples(&path) {
        Err(error) => {
            let _ = writeln!(out, "<p>{}</p>", escape(&format!("{error:#}")));
        }
        Ok(samples) => {
            for sample in live::one_a_prompt(&samples).take(SHOWN) {
                let reward = sample
                    .reward
                    .map_or("no reward".to_owned(), |r| format!("reward {r:.2}"));
                let tokens = sample
                    .tokens
                    .map_or(String::new(), |n| format!(", {n} tokens"));
                let cut_off = if sample.truncated { ", cut off" } else { "" };
                // A text's own direction must not turn what stands around it.
                let _ = writeln!(
                    out,
                    "<h3>{} \u{b7} update {} \u{b7} {}{tokens}{cut_off}</h3>\n<p class=\"standing\" dir=\"auto\">{}</p>\n\
                     <pre class=\"completion\" dir=\"auto\">{}</pre>",
                    escape(&sample.task),
                    sample.step,
                    escape(&reward.replace('-', "\u{2212}")),
                    escape(&sample.prompt),
                    escape(&sample.completion)
                );
            }
        }
    }
    out + "</section>\n"
}
