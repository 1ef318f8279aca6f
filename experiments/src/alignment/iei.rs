//! Inverse efficiency index of a task (METRICS 7): mean tokens / accuracy, the
//! tokens a right answer costs; and its inflation from base to student.

use super::accuracy;
use super::cost::{ModelItems, TaskItems, task_tokens};
use super::inflation::Points;
use crate::statistics::Undefined;

/// Mean tokens of the task over its accuracy.
///
/// Worked example: 60 tokens at 75 % is 80 tokens a right answer. Undefined
/// where nothing is graded or nothing is right.
pub fn iei(items: &TaskItems) -> Result<f64, Undefined> {
    let tokens = task_tokens(items).ok_or_else(|| Undefined::Because("no sample".into()))?;
    let accuracy =
        accuracy::plain(items).ok_or_else(|| Undefined::Because("no graded sample".into()))?;
    if accuracy.value == 0.0 {
        return Err(Undefined::Because("no right answer".into()));
    }
    Ok(tokens / accuracy.value)
}

/// The student's index (y) against its base's (x), one point a task where both are defined.
pub fn inflation(student: &ModelItems, base: &ModelItems, tasks: &[String]) -> Points {
    let mut points = Points::default();
    for task in tasks {
        if let (Ok(x), Ok(y)) = (iei(base.task(task)), iei(student.task(task))) {
            points.x.push(x);
            points.y.push(y);
            points.by_task.push(1);
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alignment::cost::ItemMeans;

    fn model(tasks: &[(f64, usize)]) -> ModelItems {
        let mut model = ModelItems::default();
        for (at, &(tokens, right)) in tasks.iter().enumerate() {
            let item = ItemMeans {
                tokens: Some(tokens),
                right,
                graded: 4,
                ..ItemMeans::default()
            };
            model
                .tasks
                .entry(at.to_string())
                .or_default()
                .insert("a".into(), item);
        }
        model
    }

    #[test]
    fn the_worked_example() {
        assert_eq!(iei(model(&[(60.0, 3)]).task("0")), Ok(80.0));
        assert_eq!(
            iei(model(&[(60.0, 0)]).task("0"))
                .expect_err("undefined")
                .to_string(),
            "no right answer"
        );
        assert!(iei(&TaskItems::new()).is_err());
    }

    #[test]
    fn inflation_over_tasks() {
        let base = model(&[(10.0, 4), (20.0, 4), (30.0, 4), (9.0, 0)]);
        let student = model(&[(15.0, 2), (25.0, 2), (35.0, 2), (9.0, 4)]);
        let tasks: Vec<String> = base.tasks.keys().cloned().collect();
        let points = inflation(&student, &base, &tasks);
        assert_eq!((points.x.len(), points.by_task.len()), (3, 3));
        // 30, 50, 70 against 10, 20, 30.
        let line = points.line().expect("defined");
        assert!((line.slope - 2.0).abs() < 1e-12 && (line.intercept - 10.0).abs() < 1e-12);
    }
}
