//! Recordings of several runs as one: names that tell their trainings apart.

use std::path::Path;

use super::{Named, Recording};
use crate::record::RecordError;

impl Recording {
    /// Drops every record of a training.
    pub fn forget(&mut self, model: &str, seed: Option<u64>) {
        let Some(&number) = self.models.numbers.get(model) else {
            return;
        };
        self.teachers.remove(&(number, seed));
        let cells = &self.cells;
        self.rows.retain(|row| {
            let cell = cells[row.cell() as usize];
            (cell.model, cell.seed) != (number, seed)
        });
        self.settled = self.rows.len();
        self.shown
            .retain(|trace| (trace.model.as_str(), trace.seed) != (model, seed));
    }

    /// Gives the records of a model that carry no seed this one, which none of its others has.
    pub fn name_seed(&mut self, model: &str, seed: u64) {
        let Some(&number) = self.models.numbers.get(model) else {
            return;
        };
        for cell in &mut self.cells {
            if (cell.model, cell.seed) == (number, None) {
                cell.seed = Some(seed);
            }
        }
        self.numbers = self.cells.iter().copied().zip(0..).collect();
        if let Some(teacher) = self.teachers.remove(&(number, None)) {
            self.teachers.insert((number, Some(seed)), teacher);
        }
        for trace in &mut self.shown {
            if trace.model == model && trace.seed.is_none() {
                trace.seed = Some(seed);
            }
        }
    }

    /// Says of the trainings of a model that name no teacher that they learned from this one.
    pub fn name_teacher(&mut self, model: &str, teacher: u64) {
        let Some(&number) = self.models.numbers.get(model) else {
            return;
        };
        for ((model, _), named) in &mut self.teachers {
            if *model == number {
                named.get_or_insert(teacher);
            }
        }
    }

    /// Puts a label before the name of every model.
    pub fn prefix(&mut self, label: &str) {
        let renamed = |name: &String| format!("{label}/{name}");
        let list: Vec<String> = self.models.list.iter().map(renamed).collect();
        self.models.numbers = list.iter().cloned().zip(0..).collect();
        self.models.list = list;
        for trace in &mut self.shown {
            trace.model = renamed(&trace.model);
        }
    }

    /// Takes in another recording.
    pub fn absorb(&mut self, other: Self) -> Result<(), RecordError> {
        for (index, row) in other.rows.iter().enumerate() {
            let cell = other.cells[row.cell() as usize];
            let names = Named {
                model: other.models.of(cell.model),
                seed: cell.seed,
                teacher: other.teacher(cell.model, cell.seed),
                task: other.tasks.of(cell.task),
                item: other.item_ids.of(cell.item),
            };
            self.keep(
                Path::new("the other run"),
                ("record", index + 1),
                &names,
                *row,
            )?;
        }
        self.duplicates += other.duplicates;
        self.first_duplicate = self.first_duplicate.take().or(other.first_duplicate);
        self.faults.extend(other.faults);
        self.unshown += other.unshown;
        self.shown.extend(other.shown);
        self.settle();
        Ok(())
    }
}
