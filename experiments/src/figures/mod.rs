//! Figures as SVG: bars, r by samples, differences, scatter and learning curves.
//!
//! Each figure is a small SVG of its own, so that a page can lay many of them
//! out and reflow them; none draws a grid of panels. Colours come from
//! [`palette`] and are the same for an arm in every figure. Nothing here
//! touches the file system, and no figure computes an interval: those come
//! with the comparison.

use std::collections::BTreeSet;

use crate::comparison::Comparison;

pub mod allocation;
pub mod among;
pub mod bars;
mod canvas;
pub mod curves;
mod data;
pub mod effort;
pub mod forest;
pub mod inflation;
mod marks;
mod metrics;
pub mod on_the_way;
pub mod palette;
pub mod pareto;
pub mod rewards;
pub mod samples;
pub mod scatter;
pub mod similarity;
mod ticks;

/// A finished figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// File name without its extension.
    pub stem: String,
    /// Title for people.
    pub title: String,
    /// What is drawn, exactly.
    pub definition: String,
    /// The SVG document.
    pub svg: String,
    /// The data as tidy CSV with a header line, unrounded; undefined is an empty field.
    pub csv: String,
}

/// Every figure of a comparison, each with a file name of its own.
pub fn all(comparison: &Comparison) -> Vec<Figure> {
    let mut figures = bars::figures(comparison);
    figures.extend(among::figure(comparison));
    figures.extend(samples::figure(comparison));
    figures.extend(forest::figures(comparison));
    figures.extend(
        scatter::figures(comparison)
            .into_iter()
            .flat_map(|s| s.panels),
    );
    figures.extend(curves::figures(comparison).into_iter().map(|c| c.figure));
    figures.extend(on_the_way::figures(comparison));
    figures.extend(rewards::figures(comparison));
    figures.extend(effort::figures(comparison));
    figures.extend(inflation::figures(comparison));
    figures.extend(pareto::figure(comparison));
    figures.extend(allocation::figure(comparison));
    figures.extend(similarity::figure(comparison));
    let mut taken = BTreeSet::new();
    for figure in &mut figures {
        let stem = figure.stem.clone();
        let mut copy = 2;
        while !taken.insert(figure.stem.clone()) {
            figure.stem = format!("{stem}-{copy}");
            copy += 1;
        }
    }
    figures
}

/// Bytes of a part of a file name: file systems take 255 of a whole one.
const PART: usize = 80;

/// A file name from names that may hold slashes, blanks or anything else, and
/// may be longer than a file's; [`all`] tells apart what is cut to be alike.
fn stem(parts: &[&str]) -> String {
    let clean = |part: &&str| -> String {
        part.chars()
            .take(PART)
            .map(|c| {
                if c.is_ascii_alphanumeric() || "._".contains(c) {
                    c
                } else {
                    '-'
                }
            })
            .collect()
    };
    let parts: Vec<String> = parts.iter().map(clean).collect();
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn stems_are_file_names_and_unique() {
        let mut comparison = fixture::comparison();
        comparison.arms[2].name = "run/a b".to_owned();
        comparison.arms[3].name = "run/a-b".to_owned();
        comparison.arms[0].name = "a".repeat(300);
        let stems: Vec<String> = all(&comparison).into_iter().map(|f| f.stem).collect();
        let unique: BTreeSet<&String> = stems.iter().collect();
        assert_eq!(unique.len(), stems.len());
        assert!(
            stems
                .iter()
                .all(|s| !s.contains(['/', ' ']) && s.len() < 200)
        );
        assert!(stems.contains(&"scatter-alphabet_arithmetic-run-a-b-2".to_owned()));
    }

    #[test]
    fn every_figure_is_labelled_and_well_formed() {
        let figures = all(&fixture::comparison());
        // Four bar charts, right among k, r by samples, four measures with contrasts, two tasks of four arms, two
        // metrics, a task with levels, two arms with a base, and three of their own.
        assert_eq!(figures.len(), 4 + 1 + 1 + 4 + 8 + 2 + 1 + 2 + 3);
        for figure in figures {
            let svg = &figure.svg;
            assert!(svg.starts_with("<svg "), "{}", figure.stem);
            assert!(svg.trim_end().ends_with("</svg>"), "{}", figure.stem);
            assert!(
                svg.contains("role=\"img\"") && svg.contains("<title>") && svg.contains("<desc>")
            );
            assert!(
                !svg.contains("NaN") && !svg.contains("inf"),
                "{}",
                figure.stem
            );
            assert!(figure.definition.len() > 10, "{}", figure.stem);
            for tag in ["text", "title", "desc", "svg"] {
                let open = svg.matches(&format!("<{tag}")).count();
                assert_eq!(open, svg.matches(&format!("</{tag}>")).count());
            }
        }
    }

    #[test]
    fn the_data_of_every_figure_is_a_table_with_named_columns() {
        for figure in all(&fixture::comparison()) {
            let rows = data::parse(&figure.csv);
            assert!(rows.len() > 1, "{} has no data", figure.stem);
            for row in &rows {
                assert_eq!(row.len(), rows[0].len(), "{}: {row:?}", figure.stem);
            }
            assert!(rows[0].iter().all(|name| !name.is_empty()));
            assert!(!figure.csv.contains("NaN"), "{}", figure.stem);
        }
    }

    #[test]
    fn an_arm_has_one_colour_everywhere() {
        let comparison = fixture::comparison();
        let colors = palette::Palette::of(&comparison);
        let grpo = colors.hex("grpo");
        for figure in all(&comparison) {
            let shows = figure.stem.ends_with("-grpo")
                || figure.stem.starts_with("bars")
                || figure.stem.starts_with("curve")
                || figure.stem.starts_with("effort")
                || [
                    "allocation",
                    "accuracy-tokens",
                    "among-samples",
                    "r-by-samples",
                ]
                .contains(&figure.stem.as_str());
            assert_eq!(figure.svg.contains(&grpo), shows, "{}", figure.stem);
        }
    }
}
