//! Whose an error is: what the user can mend, exit code 2, apart from what failed,
//! exit code 1.

use std::path::Path;

use anyhow::Result;
use rewards::RewardError;

use crate::files;

/// A problem of the user's making.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UserError(pub String);

/// Marks whatever went wrong as the user's to mend, except what is a failure
/// wherever it happens: a disk that takes no more, a reward that was killed.
pub fn as_user_error<T>(result: Result<T>) -> Result<T> {
    result.map_err(|error| {
        if files::no_room(&error).is_some() || is_failure(&error) {
            return error;
        }
        UserError(format!("{error:#}")).into()
    })
}

/// Whether an error is the user's to mend.
pub(crate) fn is_users(error: &anyhow::Error) -> bool {
    error.chain().any(<dyn std::error::Error>::is::<UserError>)
}

/// Whether another try of a reward may go well.
fn is_failure(error: &anyhow::Error) -> bool {
    let mut causes = error.chain();
    causes.any(|cause| {
        let reward = cause.downcast_ref::<RewardError>();
        reward.is_some_and(RewardError::is_failure)
    })
}

/// Names the way out where the file system took no more.
pub(crate) fn with_room(error: anyhow::Error, out: &Path) -> anyhow::Error {
    match files::no_room(&error) {
        Some(why) => error.context(format!(
            "{}: {why}, then go on with the same command and --resume",
            out.display()
        )),
        None => error,
    }
}
