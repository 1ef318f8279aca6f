//! The stages of a definition: every model of every seed, where its weights start and
//! whose traces or judgement it learns from. Base, teacher, student, chain are roles
//! that follow from these edges.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use experiments::comparison::question;
use experiments::manifest::{ArmCard, Role};

use super::{Definition, StageSettings};
use crate::demonstrations::Shown;

/// The name of the models that arms start from.
pub(crate) const BASE: &str = "base";

/// The name of the models whose traces are imitated.
pub(crate) const TEACHER: &str = "teacher";

/// Where the weights of a stage come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// The table `[base]`: a model that is there, or one that is pre-trained.
    Base,
    /// The table `[teacher.base]`, likewise.
    TeachersBase,
    /// What another stage ended with, by its number.
    Stage(usize),
}

/// One model of one seed.
///
/// Worked example: `sft` of seed 2, in `arms/sft/seed-2`, starts from the stage of the base
/// of seed 2 and has the stage of the teacher of seed 100 for its teacher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stage {
    /// `base`, `teacher`, or the arm's name.
    pub(crate) name: String,
    /// Its seed.
    pub(crate) seed: u64,
    /// Its folder, from the run directory.
    pub(crate) folder: String,
    /// What it starts from.
    pub(crate) start: Start,
    /// The stage that it learns from, where that is a model.
    pub(crate) teacher: Option<usize>,
    /// Whether it answers the evaluation and stands in the tables.
    pub(crate) is_evaluated: bool,
}

impl Stage {
    /// Whether it is what a table of a base describes, rather than a training.
    pub(crate) fn is_base(&self) -> bool {
        !matches!(self.start, Start::Stage(_))
    }

    /// The table that describes it.
    pub(crate) fn place(&self) -> String {
        match self.start {
            Start::Base => BASE.to_owned(),
            Start::TeachersBase => format!("{TEACHER}.base"),
            Start::Stage(_) => table_of(&self.name),
        }
    }

    /// What people call it.
    pub(crate) fn title(&self) -> String {
        match self.start {
            Start::TeachersBase => format!("teacher's base seed {}", self.seed),
            _ if self.folder == TEACHER => TEACHER.to_owned(),
            _ => format!("{} seed {}", self.name, self.seed),
        }
    }

    /// The stages that come before it.
    pub(crate) fn after(&self) -> impl Iterator<Item = usize> {
        let start = match self.start {
            Start::Stage(start) => Some(start),
            Start::Base | Start::TeachersBase => None,
        };
        start.into_iter().chain(self.teacher)
    }
}

/// All stages, each after those that come before it. The longest chain, the teacher's,
/// stands first, and arms that wait for nothing but their base before those that wait
/// for more, so that workers have something to do meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Graph(pub(crate) Vec<Stage>);

impl Graph {
    /// The stages of a definition.
    ///
    /// # Errors
    ///
    /// Edges to nothing, and edges that lead in a circle.
    pub(crate) fn of(definition: &Definition) -> Result<Self> {
        let mut builder = Builder {
            definition,
            stages: Vec::new(),
            known: HashMap::new(),
            path: Vec::new(),
        };
        if let Some(teacher) = definition.teacher.as_ref().filter(|t| t.is_model()) {
            for seed in teacher.teacher_seeds() {
                builder.teacher(seed)?;
            }
        }
        let seeds = &definition.experiment.seeds;
        for &seed in seeds {
            builder.base(seed);
        }
        let mut arms: Vec<(&String, &StageSettings)> = definition.arm.iter().collect();
        arms.sort_by_key(|(_, arm)| arm.has_teacher() || arm.init.is_some());
        for (name, _) in arms {
            for &seed in seeds {
                builder.arm(name, seed)?;
            }
        }
        Ok(Self(builder.stages))
    }
}

struct Builder<'a> {
    definition: &'a Definition,
    stages: Vec<Stage>,
    /// Numbers of the stages, by name and seed.
    known: HashMap<(String, u64), usize>,
    /// The tables whose stages are being described.
    path: Vec<String>,
}

impl Builder<'_> {
    fn add(&mut self, stage: Stage) -> usize {
        let number = self.stages.len();
        // The teacher's base has no name of its own.
        if stage.start != Start::TeachersBase {
            self.known.insert((stage.name.clone(), stage.seed), number);
        }
        self.stages.push(stage);
        number
    }

    fn known(&self, name: &str, seed: u64) -> Option<usize> {
        self.known.get(&(name.to_owned(), seed)).copied()
    }

    /// Describes a stage once, unless that leads back to itself.
    fn within(
        &mut self,
        place: String,
        describe: impl FnOnce(&mut Self) -> Result<usize>,
    ) -> Result<usize> {
        if let Some(first) = self.path.iter().position(|known| *known == place) {
            bail!(
                "{place}: {} wait for each other in a circle; let one of them start from the base, or learn from another",
                self.path[first..].join(", ")
            );
        }
        self.path.push(place);
        let number = describe(self)?;
        self.path.pop();
        Ok(number)
    }

    fn base(&mut self, seed: u64) -> usize {
        self.known(BASE, seed).unwrap_or_else(|| {
            let stage = Stage {
                name: BASE.to_owned(),
                seed,
                folder: folder_of_arm(BASE, seed),
                start: Start::Base,
                teacher: None,
                is_evaluated: self.is_seed(seed),
            };
            self.add(stage)
        })
    }

    fn is_seed(&self, seed: u64) -> bool {
        self.definition.experiment.seeds.contains(&seed)
    }

    fn teacher(&mut self, seed: u64) -> Result<usize> {
        if let Some(known) = self.known(TEACHER, seed) {
            return Ok(known);
        }
        let definition = self.definition;
        let settings = definition.teacher.as_ref();
        let settings = settings.context("the definition has no teacher")?;
        let folder = match settings.seeds.as_slice() {
            [] => TEACHER.to_owned(),
            _ => format!("{TEACHER}/seed-{seed}"),
        };
        self.within(TEACHER.to_owned(), |this| {
            let start = match &settings.init {
                Some(init) => this.init(TEACHER, &init.arm, seed)?,
                None => this.add(Stage {
                    name: TEACHER.to_owned(),
                    seed,
                    folder: format!("{folder}/base"),
                    start: Start::TeachersBase,
                    teacher: None,
                    is_evaluated: false,
                }),
            };
            Ok(this.add(Stage {
                name: TEACHER.to_owned(),
                seed,
                folder,
                start: Start::Stage(start),
                teacher: None,
                is_evaluated: true,
            }))
        })
    }

    fn init(&mut self, place: &str, arm: &str, seed: u64) -> Result<usize> {
        ensure!(
            self.definition.arm.contains_key(arm),
            "{place}.init = \"arm:{arm}\": there is no such arm; the arms are {}",
            joined(self.definition.arm.keys())
        );
        self.arm(arm, seed)
    }

    fn arm(&mut self, name: &str, seed: u64) -> Result<usize> {
        if let Some(known) = self.known(name, seed) {
            return Ok(known);
        }
        let definition = self.definition;
        let settings = definition.arm.get(name);
        let settings = settings.with_context(|| format!("the definition has no arm {name}"))?;
        let place = table_of(name);
        self.within(place.clone(), |this| {
            let start = match &settings.init {
                Some(init) => this.init(&place, &init.arm, seed)?,
                None => this.base(seed),
            };
            let model = definition.teacher.as_ref().filter(|t| t.is_model());
            let teacher = match model {
                Some(teacher) if settings.has_teacher() => {
                    let own = teacher.of_student(&definition.experiment.seeds, seed);
                    Some(this.teacher(own)?)
                }
                _ => None,
            };
            Ok(this.add(Stage {
                name: name.to_owned(),
                seed,
                folder: folder_of_arm(name, seed),
                start: Start::Stage(start),
                teacher,
                is_evaluated: this.is_seed(seed),
            }))
        })
    }
}

fn folder_of_arm(name: &str, seed: u64) -> String {
    format!("arms/{name}/seed-{seed}")
}

fn joined<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}

impl Definition {
    /// The settings of a stage; none of a base, which has a table of another kind.
    pub(crate) fn settings(&self, stage: &Stage) -> Option<&StageSettings> {
        match stage.name.as_str() {
            _ if stage.is_base() => None,
            TEACHER => self.teacher.as_ref(),
            name => self.arm.get(name),
        }
    }

    /// What a stage imitates that the table `place` describes: demonstrations of its own,
    /// else the teacher's traces.
    pub(crate) fn shown_to<'a>(
        &'a self,
        place: &str,
        seed: u64,
        settings: &'a StageSettings,
    ) -> Result<Shown<'a>> {
        if let Some(traces) = &settings.demonstrations {
            return Ok(Shown {
                place: format!("{place}.demonstrations"),
                traces,
                tasks: settings.tasks.as_deref(),
                seed,
            });
        }
        let teacher = self.teacher.as_ref();
        let teacher = teacher.context("the definition has no teacher")?;
        let traces = teacher.traces.as_ref();
        Ok(Shown {
            place: format!("{TEACHER}.traces"),
            traces: traces.context("teacher.traces is missing")?,
            tasks: teacher.tasks.as_deref(),
            seed: teacher.of_student(&self.experiment.seeds, seed),
        })
    }

    /// Every model that is evaluated, and what it is to the others: the base, the
    /// teacher where it is a model, then the arms in the order of the file.
    pub fn cards(&self) -> Vec<ArmCard> {
        let card = |name: &str, role| ArmCard {
            name: name.to_owned(),
            role,
            base: None,
            init: None,
            teacher: None,
        };
        let mut cards = vec![card(BASE, Role::Base)];
        let model = self.teacher.as_ref().filter(|teacher| teacher.is_model());
        cards.extend(model.map(|_| card(TEACHER, Role::Teacher)));
        for (name, arm) in &self.arm {
            cards.push(ArmCard {
                base: Some(BASE.to_owned()),
                init: arm.init.as_ref().map(|init| init.arm.clone()),
                teacher: (model.is_some() && arm.has_teacher()).then(|| TEACHER.to_owned()),
                ..card(name, arm.role())
            });
        }
        cards
    }

    /// Refuses questions about models that the definition does not make, and those
    /// that nothing could answer.
    pub(super) fn check_questions(&self) -> Result<()> {
        let cards = self.cards();
        let names: Vec<&str> = cards.iter().map(|card| card.name.as_str()).collect();
        question::check(&self.question, &names).map_err(anyhow::Error::msg)
    }

    /// Refuses edges that lead nowhere, and an adapter upon an adapter, which would be
    /// kept beside weights that are in no folder.
    pub(super) fn check_graph(&self) -> Result<()> {
        let Graph(stages) = Graph::of(self)?;
        let has_lora = |stage: &Stage| {
            let settings = self.settings(stage);
            settings.is_some_and(|settings| settings.lora.is_some())
        };
        for stage in &stages {
            let Start::Stage(start) = stage.start else {
                continue;
            };
            let start = &stages[start];
            let place = stage.place();
            ensure!(
                !has_lora(stage) || !has_lora(start),
                "{place}.init = \"arm:{}\": both have a lora, and an adapter is kept beside weights that are in a folder; \
                 take the lora from one of them",
                start.name
            );
        }
        Ok(())
    }

    /// The teacher and the arms, by name.
    pub(crate) fn trained(&self) -> impl Iterator<Item = (&str, &StageSettings)> {
        let teacher = self.teacher.iter().map(|teacher| (TEACHER, teacher));
        let arms = self.arm.iter();
        teacher.chain(arms.map(|(name, arm)| (name.as_str(), arm)))
    }
}

/// The table of a definition that an arm, or the teacher, is in.
pub(crate) fn table_of(name: &str) -> String {
    match name {
        TEACHER => TEACHER.to_owned(),
        name => format!("arm.{name}"),
    }
}
