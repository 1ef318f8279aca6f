//! The section of the item explorer: what it shows in words, its controls, and
//! the list of files. What fills it is in the data block; see [`super::data`].

use std::fmt::Write as _;

use crate::tables::format::count;

use super::beside;
use super::choice::{Choice, RULE};
use super::markup::{escape, text};

/// What stands around the items.
const CONTROLS: &str = "<form class=\"filters\" id=\"filters\">\
     <label>Task <select id=\"filter-task\"></select></label>\
     <label>Outcome <select id=\"filter-outcome\"></select></label>\
     <label>Right in <select id=\"filter-right\"></select></label>\
     <label>Wrong in <select id=\"filter-wrong\"></select></label>\
     <label>Order <select id=\"order\"></select></label>\
     <label>Search <input type=\"search\" id=\"filter-text\" autocomplete=\"off\" dir=\"auto\" \
     placeholder=\"in item, cluster or completion\"></label>\
     </form>\n\
     <div class=\"browse\">\n\
     <div class=\"chooser\"><label for=\"item-list\" id=\"item-count\" aria-live=\"polite\"></label>\
     <select id=\"item-list\" size=\"16\"></select>\
     <p class=\"steps\"><button type=\"button\" id=\"item-before\">Previous</button> \
     <button type=\"button\" id=\"item-after\">Next</button></p></div>\n\
     <article id=\"item\"></article>\n</div>\n\
     <p class=\"said\" id=\"item-said\" role=\"status\"></p>\n";

/// How the explorer counts and sorts.
const DEFINITIONS: &str = "<dt>right</dt><dd>An arm counts as right on an item when more than half of its graded samples are right, over all \
     seeds.</dd>\
     <dt>tokens</dt><dd>Reasoning tokens; their mean is over all samples, those that were cut off with the tokens they \
     had.</dd>\
     <dt>covariates</dt><dd>What an item says of itself before anybody answers it, such as its size.</dd>\
     <dt>cluster</dt><dd>Items that share it are no evidence independent of each other.</dd>\
     <dt>apart in outcome</dt><dd>The largest share of right samples of an arm less the smallest.</dd>\
     <dt>apart in tokens</dt><dd>The largest of the arms\u{2019} mean ln(1 + tokens) less the smallest; shown as the \
     factor that it stands for.</dd>";

/// The same of what people's times are needed for.
const OF_PEOPLE: &str = "<dt>predicted</dt><dd>People\u{2019}s mean ln time, or an arm\u{2019}s mean ln(1 + tokens), as the covariates of the task\u{2019}s \
     items predict it together by least squares. The factor is e to what is left: above 1 where people, or the arm, \
     took more than items of such covariates do for them.</dd>\
     <dt>furthest from prediction</dt><dd>The size of what is left; of arms its mean over them.</dd>\
     <dt>far from people</dt><dd>Mean over arms of the distance between the item\u{2019}s model cost and its human \
     cost, each as standard deviations from the mean of its task.</dd>";

/// The section; `beside` where files may lie beside the page.
pub(super) fn section(choice: &Choice<'_>, beside: bool) -> String {
    if choice.items.is_empty() {
        return "<p>No completions were kept.</p>\n".to_owned();
    }
    let timed = choice.items.iter().any(|item| item.of.human_cost.is_some());
    let (intro, of_people) = if timed {
        (
            "What people and every arm spent on an item, what its covariates alone predict, and the answers side by side.",
            OF_PEOPLE,
        )
    } else {
        (
            "What every arm spent on an item, and the answers side by side.",
            "",
        )
    };
    let mut out = format!("<p>{intro}</p>\n");
    if !choice.whole {
        let _ = writeln!(out, "<p>{}</p>", text(&left_out(choice, beside)));
    }
    let elsewhere = if choice.whole || !beside {
        "The completions are in the trace records of the run."
    } else {
        "Every item\u{2019}s completions are in the files listed below."
    };
    let _ = write!(
        out,
        "<noscript><p>The items are shown by a script, and scripts are off. {elsewhere}</p></noscript>\n\
         <div id=\"browser\" hidden>\n{CONTROLS}</div>\n\
         <details class=\"definitions\"><summary>Definitions</summary><dl>{DEFINITIONS}{of_people}</dl></details>\n"
    );
    if !choice.whole && beside {
        let _ = writeln!(
            out,
            "<details class=\"more\" id=\"files\"><summary>{} files with all completions, one an item</summary><ol>",
            count(choice.items.len() as u64)
        );
        for (at, item) in choice.items.iter().enumerate() {
            let _ = writeln!(
                out,
                "<li><a href=\"{}\">{}</a></li>",
                beside::path(at, item.of),
                escape(&item.of.item_id)
            );
        }
        out.push_str("</ol></details>\n");
    }
    out
}

/// What is in the page and where the rest is.
fn left_out(choice: &Choice<'_>, beside: bool) -> String {
    let tallies = choice.items.iter().flat_map(|item| &item.tallies).flatten();
    let all: usize = tallies.map(|tally| tally.samples).sum();
    let kept = choice.items.iter().filter_map(|item| item.kept.as_ref());
    let shown: usize = kept.clone().flatten().map(Vec::len).sum();
    let drawn = choice.items.iter().filter(|item| item.samples.is_some());
    let strips = match drawn.count() {
        n if n == choice.items.len() => String::new(),
        n => format!(" Single samples are drawn of {} items.", count(n as u64)),
    };
    let rest = if beside {
        "All completions of an item are in a text file in the folder completions beside this page, to which the item links."
    } else {
        "The others are in the trace records of the runs."
    };
    format!(
        "Of {} completions {} stand in this page, on {} of {} items; counts, filters and order are over all of them.{strips} \
         {RULE} {rest}",
        count(all as u64),
        count(shown as u64),
        count(kept.count() as u64),
        count(choice.items.len() as u64),
    )
}
