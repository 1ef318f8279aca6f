//! Compares an exporter's text with the file of the same name in `snapshots/`,
//! verbatim. `UPDATE_SNAPSHOTS=1` rewrites the files instead.

use std::path::Path;

use crate::fixture;

pub(super) fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/tables/snapshots")
        .join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some_and(|v| v == "1") {
        std::fs::write(&path, text).expect("the snapshot can be written");
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == text,
        "{name} differs from its snapshot; run with UPDATE_SNAPSHOTS=1 and read the difference\n{}",
        first_difference(&expected, text)
    );
}

fn first_difference(expected: &str, text: &str) -> String {
    let (mut old, mut new) = (expected.lines(), text.lines());
    loop {
        match (old.next(), new.next()) {
            (None, None) => return "they differ in line ends".to_owned(),
            (a, b) if a == b => {}
            (a, b) => {
                return format!("- {}\n+ {}", a.unwrap_or_default(), b.unwrap_or_default());
            }
        }
    }
}

/// Every estimate of the comparison is written the same in every format.
#[test]
fn the_same_number_in_every_format() {
    use super::format::{Quantity, estimate};
    let comparison = fixture::comparison();
    let squeeze = |s: &str| s.split_whitespace().collect::<String>();
    let texts = [
        (
            "terminal",
            squeeze(&super::terminal::render(&comparison, false)),
        ),
        ("markdown", squeeze(&super::markdown::render(&comparison))),
        ("csv", squeeze(&super::csv::render(&comparison))),
        (
            "latex",
            squeeze(&super::latex::render(&comparison).replace("$-$", "-")),
        ),
    ];
    let json: crate::comparison::Comparison =
        serde_json::from_str(&super::json::render(&comparison).unwrap()).unwrap();
    let shown = |c: &crate::comparison::Comparison| -> Vec<String> {
        let arms = c.arms.iter().flat_map(|arm| {
            [
                estimate(&arm.elasticity, Quantity::Signed),
                estimate(&arm.alignment_unlimited, Quantity::Signed),
                estimate(&arm.reliability, Quantity::Share),
                estimate(&arm.accuracy, Quantity::Share),
                estimate(&arm.balanced_accuracy, Quantity::Share),
                estimate(&arm.tokens, Quantity::Amount),
                estimate(&arm.alignment, Quantity::Signed),
            ]
        });
        let tasks = c.arms.iter().flat_map(|arm| &arm.tasks).flat_map(|task| {
            [
                estimate(&task.accuracy, Quantity::Share),
                estimate(&task.among[0].pass, Quantity::Share),
                estimate(&task.among[2].pass, Quantity::Share),
                estimate(&task.among[2].majority, Quantity::Share),
                estimate(&task.tokens, Quantity::Amount),
                estimate(&task.cut_off, Quantity::Share),
                estimate(&task.elasticity, Quantity::Signed),
                estimate(&task.alignment_unlimited, Quantity::Signed),
                estimate(&task.reliability, Quantity::Share),
                estimate(&task.alignment, Quantity::Signed),
            ]
        });
        let asked = c.answers.iter().map(|answer| &answer.contrast);
        let contrasts = c.contrasts.iter().chain(asked);
        let contrasts =
            contrasts.map(|c| estimate(&c.difference, Quantity::of_difference(c.measure)));
        let predictors = c.further.trivial.iter().flat_map(|task| {
            let all = task.predictors.iter().chain(&task.beyond);
            all.map(|found| estimate(&found.value, Quantity::Signed))
        });
        let all = arms.chain(tasks).chain(contrasts).chain(predictors);
        all.collect()
    };
    let numbers = shown(&comparison);
    assert_eq!(numbers, shown(&json));
    assert!(numbers.len() > 60);
    for number in numbers {
        // The terminal sets an interval under its value, so value and bounds are looked for apart.
        let (value, bounds) = number.split_once(" [").unwrap_or((&number, ""));
        for (format, text) in &texts {
            assert!(text.contains(value), "{format} lacks {value}");
            assert!(text.contains(&squeeze(bounds)), "{format} lacks [{bounds}");
        }
    }
}

/// So are the figures beside the table, but for the terminal, which leaves most of them out.
#[test]
fn the_further_figures_are_the_same_in_every_file() {
    use super::format::{Quantity, estimate};
    let comparison = fixture::comparison();
    let further = &comparison.further;
    let mut numbers = Vec::new();
    for task in comparison.arms.iter().flat_map(|arm| &arm.tasks) {
        numbers.push(estimate(&task.accuracy_truncated_wrong, Quantity::Share));
        numbers.push(estimate(&task.among[1].pass, Quantity::Share));
        numbers.push(estimate(&task.among[1].majority, Quantity::Share));
    }
    for arm in &further.arms {
        numbers.push(estimate(&arm.cross_task, Quantity::Signed));
        numbers.push(estimate(&arm.allocation, Quantity::Signed));
        let indices = arm.iei.iter();
        numbers.extend(indices.map(|i| estimate(&i.value, Quantity::Amount)));
    }
    for found in &further.inflation {
        numbers.push(estimate(&found.tokens.slope, Quantity::Ratio));
        numbers.push(estimate(&found.tokens.intercept, Quantity::SignedAmount));
        numbers.push(estimate(&found.iei.slope, Quantity::Ratio));
        numbers.push(estimate(&found.slope, Quantity::Ratio));
        numbers.push(estimate(&found.heterogeneity, Quantity::Signed));
    }
    for found in &further.surface {
        numbers.push(estimate(&found.relative_effort, Quantity::Ratio));
        numbers.push(estimate(&found.divergence, Quantity::Ratio));
        numbers.push(estimate(&found.floor, Quantity::Ratio));
    }
    for (at, row) in further.similarity.matrix.iter().enumerate() {
        let under = row.iter().take(at);
        numbers.extend(under.map(|value| estimate(value, Quantity::Signed)));
    }
    for (at, row) in further.similarity.corrected.iter().enumerate() {
        let above = row.iter().skip(at + 1);
        numbers.extend(above.map(|value| estimate(value, Quantity::Signed)));
    }
    let people = further.people.iter();
    numbers.extend(people.map(|found| estimate(&found.value, Quantity::Signed)));
    let tasks = comparison.arms.iter().flat_map(|arm| &arm.tasks);
    for task in tasks {
        numbers.push(estimate(&task.spearman, Quantity::Signed));
        numbers.push(estimate(&task.partial, Quantity::Signed));
    }
    assert!(numbers.len() > 35 && numbers.iter().any(|n| n == "undefined"));
    let texts = [
        ("markdown", super::markdown::render(&comparison)),
        ("csv", super::csv::render(&comparison)),
        (
            "latex",
            super::latex::render(&comparison).replace("$-$", "-"),
        ),
    ];
    for number in numbers {
        for (format, text) in &texts {
            assert!(text.contains(&number), "{format} lacks {number}");
        }
    }
}

/// A value of any size, sign and finiteness that a figure may have.
fn any_estimate(rng: &mut impl rand::Rng) -> crate::comparison::Estimate {
    let mut uniform = || f64::from(rng.next_u32()) / f64::from(u32::MAX);
    let size = 10_f64.powf(uniform() * 9.0 - 5.0);
    let value = (uniform() - 0.5) * size;
    let (below, above) = (uniform() * size, uniform() * size);
    let kind = uniform();
    crate::comparison::Estimate {
        value: (kind > 0.1).then_some(value),
        low: (kind > 0.2).then_some(value - below),
        high: (kind > 0.2).then_some(value + above),
        se: None,
        df: None,
        n: 10,
        why_undefined: (kind <= 0.2).then(|| "made undefined".to_owned()),
    }
}

/// Whatever the numbers are, a cell of the layout stands in every format, and the
/// tidy rows show what the cells say.
#[test]
fn any_number_is_rounded_alike_in_every_format() {
    use super::format::{Quantity, estimate};
    let squeeze = |s: &str| s.split_whitespace().collect::<String>();
    let mut rng = crate::statistics::draws::stream(5, "formats", 0);
    for _ in 0..40 {
        let mut comparison = fixture::comparison();
        for arm in &mut comparison.arms {
            arm.accuracy = any_estimate(&mut rng);
            arm.tokens = any_estimate(&mut rng);
            arm.alignment = any_estimate(&mut rng);
            for task in &mut arm.tasks {
                task.alignment = any_estimate(&mut rng);
                task.tokens = any_estimate(&mut rng);
            }
        }
        for contrast in &mut comparison.contrasts {
            contrast.difference = any_estimate(&mut rng);
            contrast.effect = contrast.difference.value;
        }
        for answer in &mut comparison.answers {
            // What is asked stands among the questions alone.
            let same = |c: &&crate::comparison::Contrast| {
                (&c.arm, &c.against, c.measure)
                    == (
                        &answer.contrast.arm,
                        &answer.contrast.against,
                        answer.contrast.measure,
                    )
            };
            if let Some(found) = comparison.contrasts.iter().find(same) {
                answer.contrast = found.clone();
            }
        }
        let csv = super::csv::render(&comparison);
        let texts = [
            (
                "terminal",
                squeeze(&super::terminal::render(&comparison, false)),
            ),
            ("markdown", squeeze(&super::markdown::render(&comparison))),
            (
                "latex",
                squeeze(&super::latex::render(&comparison).replace("$-$", "-")),
            ),
            (
                "page",
                squeeze(&crate::report::html(&comparison, &[]).replace('\u{2212}', "-")),
            ),
        ];
        let arms = comparison.arms.iter().flat_map(|arm| {
            let tasks = arm.tasks.iter().flat_map(|task| {
                [
                    (&task.alignment, Quantity::Signed),
                    (&task.tokens, Quantity::Amount),
                ]
            });
            tasks.chain([
                (&arm.accuracy, Quantity::Share),
                (&arm.tokens, Quantity::Amount),
                (&arm.alignment, Quantity::Signed),
            ])
        });
        let contrasts = comparison
            .contrasts
            .iter()
            .map(|c| (&c.difference, Quantity::of_difference(c.measure)));
        for (figure, quantity) in arms.chain(contrasts) {
            let shown = estimate(figure, quantity);
            let quoted = [shown.clone(), format!("\"{shown}\"")];
            assert!(
                quoted.iter().any(|text| csv.contains(&format!(",{text},"))),
                "csv lacks {shown}"
            );
            let (value, bounds) = shown.split_once(" [").unwrap_or((&shown, ""));
            for (format, text) in &texts {
                assert!(text.contains(value), "{format} lacks {value}");
                // A narrow column of a terminal breaks within the brackets.
                for bound in bounds.split_whitespace() {
                    assert!(text.contains(bound), "{format} lacks {bound}");
                }
            }
        }
    }
}
