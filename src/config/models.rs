//! The models that a definition makes, what each is to the others, and what is
//! asked of them.

use anyhow::Result;
use experiments::comparison::question;
use experiments::manifest::Role;

use super::{Definition, TeacherSettings};

impl Definition {
    /// Every model that is evaluated, with its role: the base, the teacher where
    /// it is a model, then the arms in the order of the file.
    pub fn roles(&self) -> Vec<(String, Role)> {
        let mut roles = vec![("base".to_owned(), Role::Base)];
        if self.teacher.as_ref().is_some_and(TeacherSettings::is_model) {
            roles.push(("teacher".to_owned(), Role::Teacher));
        }
        let arms = self.arm.iter();
        roles.extend(arms.map(|(name, arm)| (name.clone(), arm.algorithm.role())));
        roles
    }

    /// Refuses questions about models that the definition does not make, and those
    /// that nothing could answer.
    pub(super) fn check_questions(&self) -> Result<()> {
        let roles = self.roles();
        let names: Vec<&str> = roles.iter().map(|(name, _)| name.as_str()).collect();
        question::check(&self.question, &names).map_err(anyhow::Error::msg)
    }
}
