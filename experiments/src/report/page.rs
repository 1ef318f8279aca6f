//! The sections of the page, in reading order.

use std::fmt::Write as _;

use crate::comparison::{Comparison, ItemCompletions};
use crate::figures::curves::CurveFigure;
use crate::figures::palette::Palette;
use crate::figures::{
    Figure, allocation, among, bars, curves, effort, forest, inflation, on_the_way, pareto,
    rewards, scatter, similarity,
};
use crate::tables::layout::{self, Document};

use super::beside::{self, File};
use super::browser;
use super::choice::Choice;
use super::gallery::Gallery;
use super::lead;
use super::markup::{self, escape, text};
use super::summary;

/// What must be said beside the curves of rewards.
const REWARDS: &str = "Before their weights, over the completions sampled for training: what an arm was paid for, not what it \
     can do. One of weight 0 was only measured.";

/// How alignment is defined.
const ALIGNMENT: &str = "<p>The cost of an item for a model is the mean over samples of ln(1 + reasoning tokens), where a sample that the \
     cap cut off counts with the tokens it had unless a note says otherwise; its cost for people is the mean ln of \
     the response time in milliseconds. Elasticity is the slope of the one on the other over the items of a task, r \
     their Pearson correlation, and r at unlimited samples that correlation over the root of its reliability. Fewer \
     than three items, or no variance on one side, leave them undefined, which is never shown as 0.</p>\n";

/// How figures are means, and what k samples are worth.
const AMONG: &str = "<p>A figure of an arm is the mean over its trainings of the plain mean over tasks. pass@k is the chance that of k \
     of an item\u{2019}s samples one at least is right, majority@k that their most frequent answer is; both are exact expectations \
     over draws without replacement, but for items of very many samples, where majority@k is taken over 1,000 draws.</p>\n";

/// Scatter panels that fit beside the margin.
const BESIDE_THE_MARGIN: usize = 3;

/// Bytes that a page is to have, so that it opens at once anywhere.
const SIZE: usize = 4200 << 10;

/// Bytes of single samples in the page: at least, however much else there is, and at most.
const SAMPLES: (usize, usize) = (128 << 10, 2048 << 10);

/// Bytes of completions in the page: at least, however much else there is, and at most.
const COMPLETIONS: (usize, usize) = (128 << 10, 1536 << 10);

/// Bytes of a folded table, at most.
const FOLDED: usize = 192 << 10;

/// Bytes of an arm's counts for an item.
const TALLY: usize = 40;

/// A page's body and what belongs to it.
pub(super) struct Body<'a> {
    /// Everything between `<body>` and the data.
    pub(super) html: String,
    pub(super) choice: Choice<'a>,
    /// What the page links to.
    pub(super) files: Vec<File>,
}

/// The body of the page; `beside` where files may lie beside it.
pub(super) fn body<'a>(
    comparison: &'a Comparison,
    items: &'a [ItemCompletions],
    beside: bool,
) -> Body<'a> {
    let document = layout::document(comparison);
    let colors = Palette::of(comparison);
    let mut measures = bars::figures(comparison);
    measures.extend(among::figure(comparison));
    measures.extend(crate::figures::samples::figure(comparison));
    measures.extend(pareto::figure(comparison));
    let gallery = Gallery::new(beside);
    let mut sections = vec![
        (
            "effort",
            "Tokens and human time",
            tokens_and_time(comparison, &gallery),
        ),
        (
            "contrasts-section",
            "Contrasts",
            table(&document, "questions", &colors)
                + &table(&document, "contrasts", &colors)
                + &table(&document, "fairness", &colors)
                + &gallery.grid("", &forest::figures(comparison))
                + &gallery.grid("", &measures),
        ),
        (
            "tasks",
            "By task",
            table(&document, "task-alignment", &colors)
                + &table(&document, "predictors", &colors)
                + &table(&document, "task-answers", &colors)
                + &folded(
                    "Among fewer samples",
                    &short(table(&document, "task-among", &colors)),
                )
                + &folded(
                    "The contrasts on each task alone",
                    &short(table(&document, "task-contrasts", &colors)),
                ),
        ),
        (
            "learning",
            "Learning curves",
            learning(comparison, &document, &colors, &gallery),
        ),
        (
            "further",
            "Further measures",
            further(comparison, &document, &colors, &gallery),
        ),
        (
            "spent",
            "Budgets",
            table(&document, "recipes", &colors)
                + &table(&document, "budgets", &colors)
                + &table(&document, "matched", &colors)
                + &table(&document, "at-budgets", &colors),
        ),
        (
            "baselines",
            "Constant answers",
            table(&document, "constant-answers", &colors),
        ),
        ("items", "Items", String::new()),
        ("method", "Method", method(comparison, &document)),
    ];
    let lead = vec![
        ("findings", "Answers", lead::answers(comparison, &document)),
        ("arms-section", "Arms", table(&document, "arms", &colors)),
        (
            "exploratory",
            "What else came out",
            lead::exploratory(comparison),
        ),
    ];
    // Completions have the room that everything else leaves.
    let used: usize = sections.iter().chain(&lead).map(|s| s.2.len()).sum();
    let used = used + super::STYLE.len() + super::SCRIPT.len();
    let used = used + items.len() * comparison.arms.len() * TALLY;
    let mut choice = Choice::of(comparison, items);
    let room = SIZE.saturating_sub(used + COMPLETIONS.0);
    let used = used + choice.add_samples(room.clamp(SAMPLES.0, SAMPLES.1));
    let room = SIZE.saturating_sub(used);
    choice.add_completions(room.clamp(COMPLETIONS.0, COMPLETIONS.1));
    let mut files = gallery.into_files();
    if beside && !choice.whole {
        let all = items.iter().enumerate();
        files.extend(all.map(|(at, item)| beside::file(at, item, &choice.arms)));
    }
    for section in &mut sections {
        if section.0 == "items" {
            section.2 = browser::section(&choice, beside);
        }
    }
    Body {
        html: assembled(comparison, &document, lead, sections),
        choice,
        files,
    }
}

/// A section's anchor, title and content.
type Section = (&'static str, &'static str, String);

/// Header, contents, and the sections that are not empty.
fn assembled(
    comparison: &Comparison,
    document: &Document,
    mut lead: Vec<Section>,
    mut sections: Vec<Section>,
) -> String {
    let absent: Vec<&str> = sections
        .iter()
        .chain(&lead)
        .filter(|(_, _, content)| content.is_empty())
        .map(|(_, title, _)| *title)
        .collect();
    if !absent.is_empty()
        && let Some((_, _, method)) = sections.last_mut()
    {
        let _ = writeln!(
            method,
            "<p>Left out, because there is nothing to show: {}.</p>",
            absent.join(", ")
        );
    }
    // The panels of a task stand in a row: of few arms it fits beside the margin.
    if comparison.arms.len() <= BESIDE_THE_MARGIN {
        lead.push(sections.remove(0));
    }
    let shown = |(_, _, content): &&Section| !content.is_empty();
    let section = |(id, title, content): &Section| {
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
    out.push_str("</ol></nav>\n<main id=\"main\" tabindex=\"-1\">\n<div class=\"lead\">\n");
    let mut before = lead.iter().filter(shown).map(section);
    out.extend(before.next());
    let margin = lead::margin(document);
    if !margin.is_empty() {
        let _ = writeln!(out, "<aside>\n{margin}</aside>");
    }
    out.extend(before);
    out.push_str("</div>\n");
    out.extend(sections.iter().filter(shown).map(section));
    out.push_str("</main>\n");
    out
}

/// What most readers want only after the arms, their differences and the scatter.
fn further(
    comparison: &Comparison,
    document: &Document,
    colors: &Palette,
    gallery: &Gallery,
) -> String {
    let mut out = String::new();
    for id in [
        "inflation",
        "surface",
        "similarity",
        "allocation",
        "published",
        "inflation-published",
    ] {
        if let Some(found) = document.tables.iter().find(|t| t.id == id) {
            let _ = writeln!(out, "<h3>{}</h3>", text(found.title));
            out.push_str(&short(markup::table(found, colors)));
        }
        let mut figures = Vec::new();
        match id {
            "inflation" => figures = inflation::figures(comparison),
            "allocation" => figures.extend(allocation::figure(comparison)),
            "similarity" => figures.extend(similarity::figure(comparison)),
            _ => {}
        }
        out.push_str(&gallery.grid("", &figures));
    }
    out
}

fn tokens_and_time(comparison: &Comparison, gallery: &Gallery) -> String {
    let tasks = scatter::figures(comparison);
    if tasks.is_empty() {
        return String::new();
    }
    let mut out = String::new();
    for task in tasks {
        let _ = writeln!(out, "<h3>{}</h3>", escape(&task.task));
        out.push_str(&gallery.grid("panels", &task.panels));
    }
    let _ = writeln!(
        out,
        "<p class=\"standing\">{}</p>",
        text(scatter::EXPLANATION)
    );
    let by_level = effort::figures(comparison);
    if !by_level.is_empty() {
        out.push_str("<h3>By difficulty</h3>\n");
        out.push_str(&gallery.grid("", &by_level));
    }
    out
}

fn learning(
    comparison: &Comparison,
    document: &Document,
    colors: &Palette,
    gallery: &Gallery,
) -> String {
    let way = on_the_way(comparison, document, colors, gallery);
    let figures = curves::figures(comparison);
    let of = |wanted: &dyn Fn(&CurveFigure) -> bool| -> Vec<&Figure> {
        let some = figures.iter().filter(|curve| wanted(curve));
        some.map(|c| &c.figure).collect()
    };
    let main = of(&|curve| curve.main);
    let other = of(&|curve| !curve.main);
    let rewards = rewards::figures(comparison);
    if figures.is_empty() && rewards.is_empty() {
        return way;
    }
    let has_loss = figures.iter().any(|curve| curve.metric == "loss");
    let caution = if has_loss { curves::LOSS_CAUTION } else { "" };
    let heading = if way.is_empty() {
        ""
    } else {
        "<h3>As logged in training</h3>\n"
    };
    let mut out = format!(
        "{way}{heading}<p>{}</p>\n{}",
        text(&format!("{}{caution}", curves::EXPLANATION)),
        gallery.grid("", main.iter().copied())
    );
    if !rewards.is_empty() {
        let _ = write!(
            out,
            "<details class=\"more\" id=\"rewards\"><summary>What each reward and its parts came to</summary>\n\
             <p>{}</p>\n{}</details>\n",
            text(REWARDS),
            gallery.grid("", &rewards)
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
            gallery.grid("", other.iter().copied())
        );
    }
    out
}

/// What evaluations on the way showed; nothing where there were none.
fn on_the_way(
    comparison: &Comparison,
    document: &Document,
    colors: &Palette,
    gallery: &Gallery,
) -> String {
    let figures = on_the_way::figures(comparison);
    let table = folded(
        "The same in numbers",
        &short(table(document, "on-the-way", colors)),
    );
    if figures.is_empty() {
        return table;
    }
    format!(
        "<h3>Evaluated on the way</h3>\n<p>{}</p>\n{}{table}",
        text(on_the_way::EXPLANATION),
        gallery.grid("", &figures)
    )
}

/// What is long and read by few, behind its name.
fn folded(summary: &str, content: &str) -> String {
    if content.is_empty() {
        return String::new();
    }
    format!("<details class=\"more\"><summary>{summary}</summary>\n{content}</details>\n")
}

/// A table that few read, or where the rest of it is: one of very many rows would fill the page.
fn short(table: String) -> String {
    if table.len() <= FOLDED {
        return table;
    }
    "<p>There are too many of them for this page; comparison.csv and comparison.json hold them all.</p>\n".to_owned()
}

fn table(document: &Document, id: &str, colors: &Palette) -> String {
    let table = document.tables.iter().find(|t| t.id == id);
    table.map_or(String::new(), |t| markup::table(t, colors))
}

fn method(comparison: &Comparison, document: &Document) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "<p>{}</p>", text(&document.method.join(" ")));
    if comparison.has_times() {
        out.push_str(ALIGNMENT);
    }
    out.push_str(AMONG);
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
