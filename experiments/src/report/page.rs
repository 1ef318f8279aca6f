//! The sections of the page, in reading order.

use std::borrow::Borrow;
use std::fmt::Write as _;

use crate::comparison::{Comparison, ItemCompletions};
use crate::figures::curves::CurveFigure;
use crate::figures::palette::Palette;
use crate::figures::{
    Figure, allocation, bars, curves, forest, inflation, pareto, scatter, similarity,
};
use crate::tables::layout::{self, Document};

use super::lead;
use super::markup::{self, escape, text};
use super::summary;

/// What must be said beside the curves of rewards.
const REWARDS: &str = "Before their weights, over the completions sampled for training: what an arm was paid for, not what it \
     can do. One of weight 0 was only measured.";

/// Scatter panels that fit beside the margin.
const BESIDE_THE_MARGIN: usize = 3;

/// Everything between `<body>` and the data.
pub(super) fn body(comparison: &Comparison, items: &[ItemCompletions]) -> String {
    let document = layout::document(comparison);
    let colors = Palette::of(comparison);
    let mut measures = bars::figures(comparison);
    measures.extend(pareto::figure(comparison));
    let mut sections = vec![
        ("effort", "Tokens and human time", effort(comparison)),
        (
            "contrasts-section",
            "Contrasts",
            table(&document, "contrasts", &colors)
                + &plain_grid("", &forest::figures(comparison))
                + &grid(&measures),
        ),
        (
            "tasks",
            "By task",
            table(&document, "task-answers", &colors)
                + &table(&document, "task-alignment", &colors),
        ),
        ("learning", "Learning curves", learning(comparison)),
        (
            "further",
            "Further measures",
            further(comparison, &document, &colors),
        ),
        ("spent", "Budgets", table(&document, "budgets", &colors)),
        (
            "baselines",
            "Constant answers",
            table(&document, "constant-answers", &colors),
        ),
        ("items", "Completions", browser(items)),
        ("method", "Method", method(comparison, &document)),
    ];
    let mut lead = vec![
        ("findings", "What came out", lead::findings(comparison)),
        ("arms-section", "Arms", table(&document, "arms", &colors)),
    ];
    // The panels of a task stand in a row: of few arms it fits beside the margin.
    if comparison.arms.len() <= BESIDE_THE_MARGIN {
        lead.push(sections.remove(0));
    }
    let shown = |(_, _, content): &&(&str, &str, String)| !content.is_empty();
    let section = |(id, title, content): &(&str, &str, String)| {
        format!("<section id=\"{id}\">\n<h2>{title}</h2>\n{content}</section>\n")
    };
    let mut out =
        String::from("<a class=\"skip\" href=\"#main\">Skip to the report</a>\n<header>\n");
    let _ = write!(
        out,
        "<p class=\"kicker\">Qinglan \u{b7} experiment report</p>\n<h1>{}</h1>\n<p class=\"scope\">{}</p>\n</header>\n",
        escape(&comparison.title),
        text(&summary::scope(comparison))
    );
    out.push_str("<nav aria-label=\"Contents\"><ol>");
    for (id, title, _) in lead.iter().chain(&sections).filter(shown) {
        let _ = write!(out, "<li><a href=\"#{id}\">{title}</a></li>");
    }
    out.push_str("</ol></nav>\n<main id=\"main\">\n<div class=\"lead\">\n");
    let mut before = lead.iter().filter(shown).map(section);
    out.extend(before.next());
    let _ = writeln!(out, "<aside>\n{}</aside>", lead::margin(&document));
    out.extend(before);
    out.push_str("</div>\n");
    out.extend(sections.iter().filter(shown).map(section));
    out.push_str("</main>\n");
    out
}

/// What most readers want only after the arms, their differences and the scatter.
fn further(comparison: &Comparison, document: &Document, colors: &Palette) -> String {
    let mut out = String::new();
    for id in ["inflation", "surface", "similarity", "across", "paired"] {
        if let Some(found) = document.tables.iter().find(|t| t.id == id) {
            let _ = writeln!(out, "<h3>{}</h3>", text(found.title));
            out.push_str(&markup::table(found, colors));
        }
        let mut figures = Vec::new();
        match id {
            "inflation" => {
                figures = inflation::figures(comparison);
                figures.extend(allocation::figure(comparison));
            }
            "similarity" => figures.extend(similarity::figure(comparison)),
            _ => {}
        }
        out.push_str(&grid(&figures));
    }
    out
}

fn effort(comparison: &Comparison) -> String {
    let tasks = scatter::figures(comparison);
    if tasks.is_empty() {
        return String::new();
    }
    let mut out = String::new();
    for task in tasks {
        let _ = writeln!(out, "<h3>{}</h3>", escape(&task.task));
        out.push_str(&plain_grid(" panels", &task.panels));
    }
    let _ = writeln!(
        out,
        "<p class=\"standing\">{}</p>",
        text(scatter::EXPLANATION)
    );
    out
}

fn learning(comparison: &Comparison) -> String {
    let figures = curves::figures(comparison);
    let of = |wanted: &dyn Fn(&CurveFigure) -> bool| -> Vec<&Figure> {
        let some = figures.iter().filter(|curve| wanted(curve));
        some.map(|c| &c.figure).collect()
    };
    let main = of(&|curve| curve.main);
    let rewards = of(&|curve| !curve.main && curve.of_rewards);
    let other = of(&|curve| !curve.main && !curve.of_rewards);
    if figures.is_empty() {
        return String::new();
    }
    let has_loss = figures.iter().any(|curve| curve.metric == "loss");
    let caution = if has_loss { curves::LOSS_CAUTION } else { "" };
    let mut out = format!(
        "<p>{}</p>\n{}",
        text(&format!("{}{caution}", curves::EXPLANATION)),
        grid(&main)
    );
    if !rewards.is_empty() {
        let _ = write!(
            out,
            "<details class=\"more\" id=\"rewards\"><summary>What each reward and its parts came to</summary>\n\
             <p>{}</p>\n{}</details>\n",
            text(REWARDS),
            grid(&rewards)
        );
    }
    if !other.is_empty() {
        let metrics = if other.len() == 1 {
            "metric"
        } else {
            "metrics"
        };
        let _ = write!(
            out,
            "<details class=\"more\"><summary>{} more logged {metrics}</summary>\n{}</details>\n",
            other.len(),
            grid(&other)
        );
    }
    out
}

/// Figures beside each other where there is room, explained by the text around them.
fn plain_grid(class: &str, figures: &[Figure]) -> String {
    let mut out = String::new();
    for figure in figures {
        let _ = writeln!(out, "<figure>{}</figure>", figure.svg);
    }
    if out.is_empty() {
        return out;
    }
    format!("<div class=\"figures{class}\">\n{out}</div>\n")
}

/// The same, each with its own definition.
fn grid<F: Borrow<Figure>>(figures: &[F]) -> String {
    if figures.is_empty() {
        return String::new();
    }
    let mut out = String::from("<div class=\"figures\">\n");
    for figure in figures.iter().map(Borrow::borrow) {
        let _ = writeln!(
            out,
            "<figure>{}<figcaption><details><summary>What this shows</summary><p>{}</p></details></figcaption></figure>",
            figure.svg,
            text(&figure.definition)
        );
    }
    out.push_str("</div>\n");
    out
}

fn table(document: &Document, id: &str, colors: &Palette) -> String {
    let table = document.tables.iter().find(|t| t.id == id);
    table.map_or(String::new(), |t| markup::table(t, colors))
}

fn browser(items: &[ItemCompletions]) -> String {
    if items.is_empty() {
        return "<p>No completions were kept.</p>\n".to_owned();
    }
    "<p>Every arm\u{2019}s answers to an item side by side. An arm counts as right on an item when more than half of its \
     graded samples are right. Tokens are reasoning tokens.</p>\n\
     <noscript><p>The items are shown by a script, and scripts are off. The completions are in the trace records of \
     the run.</p></noscript>\n\
     <div id=\"browser\" hidden>\n\
     <form class=\"filters\" id=\"filters\">\
     <label>Task <select id=\"filter-task\"></select></label>\
     <label>Outcome <select id=\"filter-outcome\"></select></label>\
     <label>Text <input type=\"search\" id=\"filter-text\" autocomplete=\"off\" placeholder=\"in the prompt\"></label>\
     </form>\n\
     <div class=\"browse\">\n\
     <div class=\"chooser\"><label for=\"item-list\" id=\"item-count\" aria-live=\"polite\"></label>\
     <select id=\"item-list\" size=\"16\"></select>\
     <p class=\"steps\"><button type=\"button\" id=\"item-before\">Previous</button> \
     <button type=\"button\" id=\"item-after\">Next</button></p></div>\n\
     <article id=\"item\" aria-live=\"polite\"></article>\n</div>\n</div>\n"
        .to_owned()
}

fn method(comparison: &Comparison, document: &Document) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "<p>{}</p>", text(&document.method.join(" ")));
    out.push_str(
        "<p>The cost of an item for a model is the mean over samples of ln(1 + reasoning tokens), truncated samples left \
         out; its cost for people is the mean ln of the response time in milliseconds. Alignment is their Pearson \
         correlation over the items of a task; a model\u{2019}s alignment is the plain mean over the tasks where it is \
         defined. Fewer than three items, or no variance on one side, leave it undefined, which is never shown as \
         0.</p>\n",
    );
    let mut rows: Vec<(&str, &str)> = vec![("evaluation items", &comparison.evaluation.items)];
    rows.extend(
        comparison
            .environment
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str())),
    );
    rows.retain(|(_, value)| !value.is_empty());
    if !rows.is_empty() {
        out.push_str(
            "<figure class=\"table plain\"><table id=\"environment\"><caption>Environment of the run</caption><tbody>\n",
        );
        for (name, value) in rows {
            let _ = writeln!(
                out,
                "<tr><th scope=\"row\">{}</th><td>{}</td></tr>",
                escape(name),
                escape(value)
            );
        }
        out.push_str("</tbody></table></figure>\n");
    }
    out
}
