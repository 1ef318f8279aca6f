//! The settings that are simulated, one by one, by family.

/// Which items share what makes them easy or hard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clusters {
    /// None.
    None,
    /// Four of each task.
    Fours,
    /// One item of the first task and one of the second.
    AcrossTasks,
}

/// One setting.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// What it has in common with others.
    pub(crate) family: &'static str,
    /// Itself, with its family a name that no other has.
    pub(crate) name: String,
    /// Trainings of each arm.
    pub(crate) seeds: usize,
    /// Trainings of the arm that is subtracted, where they are not the seeds of the others.
    pub(crate) teachers: Option<usize>,
    /// Samples an item.
    pub(crate) samples: u32,
    /// SD between samples of every arm but the one that is subtracted, as a multiple of its own.
    pub(crate) noise: f64,
    pub(crate) tasks: usize,
    /// Items of each task.
    pub(crate) items: usize,
    pub(crate) clusters: Clusters,
    /// Share of samples that are cut off in the arm that is subtracted.
    pub(crate) cut_off: f64,
    /// SD of elasticity over seeds.
    pub(crate) seed_sd: f64,
}

/// Three tasks of 40 items, 16 samples of each, five paired seeds with an SD of .05.
fn usual(family: &'static str, name: impl Into<String>) -> Scenario {
    Scenario {
        family,
        name: name.into(),
        seeds: 5,
        teachers: None,
        samples: 16,
        noise: 1.0,
        tasks: 3,
        items: 40,
        clusters: Clusters::None,
        cut_off: 0.0,
        seed_sd: 0.05,
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Scenario> {
    let mut all = Vec::new();
    for (family, seeds) in [
        ("two seeds", 2),
        ("three seeds", 3),
        ("five seeds", 5),
        ("eight seeds", 8),
        ("twelve seeds", 12),
    ] {
        for seed_sd in [0.0, 0.05, 0.1] {
            all.push(Scenario {
                seeds,
                seed_sd,
                ..usual(family, format!("SD over seeds {seed_sd}"))
            });
        }
    }
    for seeds in [2, 5] {
        for items in [40, 120] {
            all.push(Scenario {
                seeds,
                items,
                tasks: 1,
                ..usual("one task", format!("{items} items, {seeds} seeds"))
            });
        }
    }
    all.push(Scenario {
        tasks: 6,
        ..usual("six tasks", "five seeds")
    });
    for samples in [4, 64] {
        all.push(Scenario {
            samples,
            ..usual("samples", format!("{samples}"))
        });
    }
    for samples in [4, 16, 64] {
        all.push(Scenario {
            samples,
            noise: 3.0,
            ..usual("three times the noise", format!("{samples} samples"))
        });
    }
    all.push(Scenario {
        clusters: Clusters::Fours,
        ..usual("clusters", "10 of four items in each of three tasks")
    });
    for seeds in [2, 5] {
        all.push(Scenario {
            clusters: Clusters::Fours,
            seeds,
            tasks: 1,
            ..usual(
                "clusters",
                format!("10 of four items in one task, {seeds} seeds"),
            )
        });
    }
    all.push(Scenario {
        clusters: Clusters::Fours,
        tasks: 1,
        items: 120,
        ..usual("clusters", "30 of four items in one task")
    });
    all.push(Scenario {
        clusters: Clusters::AcrossTasks,
        ..usual("clusters", "40 shared by two tasks of three")
    });
    for cut_off in [0.03, 0.1] {
        all.push(Scenario {
            cut_off,
            ..usual("cut off at the cap", format!("{:.0} %", 100.0 * cut_off))
        });
    }
    for teachers in [1, 2, 5] {
        all.push(Scenario {
            teachers: Some(teachers),
            ..usual("unpaired teacher", format!("{teachers} of its trainings"))
        });
    }
    all.push(Scenario {
        seeds: 1,
        ..usual("one training each", "for these trainings alone")
    });
    all
}
