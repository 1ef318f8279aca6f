//! The report: one HTML file that needs nothing else, and the writing of every
//! file that shows a comparison.
//!
//! The page is made here, whole; its script only filters and shows items, with a
//! strip of their samples, so tables and figures are there without it. It loads
//! nothing from anywhere and computes no statistic.

use crate::comparison::{Comparison, ItemCompletions};

mod beside;
mod browser;
mod choice;
mod data;
mod distance;
mod gallery;
mod lead;
mod markup;
mod page;
mod samples;
mod summary;
mod svg;
mod write;

pub use markup::escape;
pub use write::{WriteError, write_all};

/// How a report looks, for pages that are to look the same.
pub const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = concat!(
    include_str!("report.js"),
    include_str!("strips.js"),
    include_str!("browser.js")
);

/// The report as one self-contained HTML document, with nothing beside it.
///
/// `items` are what the item browser shows, in that order; none leaves the
/// browser out. A page that is written with [`write_all`] links to what it has
/// no room for; this one says where else that is.
pub fn html(comparison: &Comparison, items: &[ItemCompletions]) -> String {
    page_with_files(comparison, items, false).0
}

/// The document, and where files may lie beside it those it links to.
fn page_with_files(
    comparison: &Comparison,
    items: &[ItemCompletions],
    beside: bool,
) -> (String, Vec<beside::File>) {
    let body = page::body(comparison, items, beside);
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{html}\
         <script type=\"application/json\" id=\"data\">{data}</script>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        title = markup::escape(&comparison.title),
        html = body.html,
        data = data::json(comparison, &body.choice),
    );
    (page, body.files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::tables::layout;

    fn page() -> String {
        html(&fixture::comparison(), &fixture::items())
    }

    #[test]
    fn completions_cannot_close_or_open_a_script() {
        let page = page();
        // The data and the program; both closed, and nothing from a completion among them.
        assert_eq!(page.matches("<script").count(), 2);
        assert_eq!(page.matches("</script").count(), 2);
        assert!(!page.contains("<img"));
        assert!(!page.contains("<!-- true"));
    }

    #[test]
    fn nothing_comes_from_the_network() {
        let page = page();
        for word in ["http://", "https://", "url(", "@import", "src=", "<link"] {
            let allowed = page.matches("http://www.w3.org/2000/svg").count();
            let expected = if word == "http://" { allowed } else { 0 };
            // The second item's completion holds `src=` as text inside the data.
            let (comparison, items) = (fixture::comparison(), fixture::items());
            let choice = page::body(&comparison, &items, false).choice;
            let in_data = data::json(&comparison, &choice).matches(word).count();
            assert_eq!(page.matches(word).count(), expected + in_data, "{word}");
        }
    }

    #[test]
    fn every_number_of_the_tables_stands_in_the_page() {
        let page = page();
        for table in layout::document(&fixture::comparison()).tables {
            for cell in table.rows.iter().flat_map(|row| &row.cells) {
                let shown = markup::text(&cell.text);
                let (value, bounds) = shown.split_once(" [").unwrap_or((&shown, ""));
                assert!(page.contains(value), "{}: {shown}", table.id);
                assert!(page.contains(bounds), "{}: {shown}", table.id);
            }
        }
    }

    #[test]
    fn says_the_hypothesis_the_notes_and_what_the_items_were_kept_from() {
        let page = page();
        assert!(page.contains("Reinforcement keeps reasoning length in step"));
        assert!(page.contains("reached the cap | counted as &lt;truncated&gt;"));
        assert!(page.contains("Evaluation items enter no training and no validation"));
    }

    #[test]
    fn a_loss_near_zero_is_explained_where_losses_are_drawn() {
        let said = |page: &str| page.contains("sits near 0 by construction");
        assert!(said(&page()));
        let mut without = fixture::comparison();
        without.curves.retain(|curve| curve.metric != "loss");
        assert!(!said(&html(&without, &[])));
    }

    #[test]
    fn what_was_evaluated_on_the_way_is_drawn_and_else_not_named() {
        let page = html(&fixture::on_the_way(), &[]);
        for part in [
            "<h3>Evaluated on the way</h3>",
            "data-name=\"on-the-way-accuracy-flops\"",
            "data-name=\"on-the-way-kl-samples-updates\"",
            "id=\"on-the-way\"",
            "id=\"at-budgets\"",
            "sft never reached 1 of flops",
        ] {
            assert!(page.contains(part), "{part}");
        }
        let without = self::page();
        for part in ["on-the-way", "on the way</h3>", "at-budgets", "As logged"] {
            assert!(!without.contains(part), "{part}");
        }
    }

    #[test]
    fn rewards_and_their_parts_have_a_place_of_their_own() {
        let mut comparison = fixture::comparison();
        assert!(!html(&comparison, &[]).contains("id=\"rewards\""));
        for metric in ["rewards/correct/mean", "rewards/cost/work/mean"] {
            comparison.curves.push(crate::comparison::Curve {
                arm: "grpo".to_owned(),
                seed: 1,
                metric: metric.to_owned(),
                points: vec![(1, 0.25), (2, 0.5)],
            });
        }
        let page = html(&comparison, &[]);
        let at = page.find("id=\"rewards\"").unwrap();
        let rewards = page[at..].split("</details>\n<details").next().unwrap();
        for part in ["not what it can do", "Rewards of grpo", "cost: work"] {
            assert!(rewards.contains(part), "{part}");
        }
    }

    #[test]
    fn arms_and_scatter_come_first_and_the_further_figures_late() {
        let page = page();
        let order = [
            "id=\"findings\"",
            "id=\"notes-title\"",
            "id=\"arms\"",
            "id=\"exploratory\"",
            "id=\"effort\"",
            "id=\"contrasts\"",
            "id=\"task-alignment\"",
            "id=\"inflation\"",
            "id=\"surface\"",
            "id=\"similarity\"",
        ];
        let places: Vec<usize> = order.iter().map(|id| page.find(id).unwrap()).collect();
        assert!(places.is_sorted(), "{places:?}");
        let mut without = fixture::comparison();
        without.further = crate::comparison::Further::default();
        assert!(!html(&without, &[]).contains("id=\"further\""));
    }

    #[test]
    fn the_similarity_of_fingerprints_is_shaded_by_value() {
        let page = page();
        let at = page.find("id=\"similarity\"").unwrap();
        let table = page[at..].split("</table>").next().unwrap();
        // Six pairs of the arms that vary and people, observed and corrected, and five diagonal
        // cells; base never varies.
        assert_eq!(table.matches("background:rgb(0 114 178").count(), 3 + 3 + 5);
        assert_eq!(table.matches("background:rgb(213 94 0").count(), 3 + 3);
        assert_eq!(table.matches("class=\"undefined\"").count(), 4 + 4);
    }

    #[test]
    fn long_lists_keep_their_order_and_lose_nothing() {
        let mut comparison = fixture::comparison();
        comparison.notes = (0..30).map(|i| format!("note number {i}.")).collect();
        let page = html(&comparison, &[]);
        assert!(page.contains("25 more notes"));
        let places: Vec<usize> = comparison
            .notes
            .iter()
            .map(|note| page.find(note.as_str()).unwrap())
            .collect();
        assert!(places.is_sorted());
    }

    #[test]
    fn contrasts_by_task_that_would_fill_the_page_are_left_to_the_tables() {
        let mut comparison = fixture::comparison();
        let said = "comparison.csv and comparison.json hold them all";
        assert!(!html(&comparison, &[]).contains(said));
        let all = std::iter::repeat_n(comparison.task_contrasts.clone(), 400);
        comparison.task_contrasts = all.flatten().collect();
        let page = html(&comparison, &[]);
        assert!(page.contains(said) && !page.contains("id=\"task-contrasts\""));
    }

    #[test]
    fn every_anchor_has_its_target_and_every_id_is_unique() {
        let page = page();
        let values = |attribute: &str| -> Vec<String> {
            page.split(attribute)
                .skip(1)
                .filter_map(|rest| rest.split_once('"').map(|(v, _)| v.to_owned()))
                .collect()
        };
        let ids = values(" id=\"");
        for anchor in values("href=\"#") {
            assert_eq!(
                ids.iter().filter(|id| **id == anchor).count(),
                1,
                "{anchor}"
            );
        }
        let unique: std::collections::BTreeSet<&String> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len());
    }

    #[test]
    fn what_a_run_has_not_is_named_and_no_section_is_an_empty_frame() {
        let mut bare = fixture::comparison();
        bare.arms.truncate(1);
        bare.arms[0].tasks.clear();
        bare.arms[0].seeds.clear();
        bare.arms[0].budget = None;
        bare.contrasts.clear();
        bare.answers.clear();
        bare.constant_answers.clear();
        bare.curves.clear();
        bare.notes.clear();
        bare.recipes.clear();
        bare.fairness.clear();
        bare.task_contrasts.clear();
        bare.matched.clear();
        bare.hypothesis.clear();
        bare.further = crate::comparison::Further::default();
        let page = html(&bare, &[]);
        assert!(page.contains("There is no contrast to report."));
        assert!(page.contains("No completions were kept"));
        assert!(page.contains("so all of this is exploratory"));
        let left_out = "nothing to show: Tokens and human time, By task, Learning curves, Further measures, Budgets, \
                        Constant answers.";
        assert!(page.contains(left_out), "{page}");
        for empty in [
            "</h2>\n</section>",
            "<aside>\n</aside>",
            "<tbody>\n</tbody>",
            "<ul></ul>",
        ] {
            assert!(!page.contains(empty), "{empty}");
        }
    }

    #[test]
    fn without_items_there_is_no_browser() {
        let page = html(&fixture::comparison(), &[]);
        assert!(!page.contains("id=\"browser\""));
        assert!(page.contains("No completions were kept"));
    }
}
