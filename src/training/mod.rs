//! The step loop that every algorithm shares: collect, forward, accumulate,
//! clip, update, log, validate, checkpoint.
//!
//! Nothing here knows which algorithm it serves; what differs between arms is
//! in the `algorithms` crate. That is what makes the arms comparable.

mod best;
pub mod checkpoint;
mod distance;
mod events;
pub mod forward;
mod guards;
pub mod lab;
pub mod metrics;
mod on_the_way;
pub mod optimizer;
mod reduction;
pub mod settings;
pub mod trainer;
pub mod update;

pub use lab::{ArmLab, CompletionLog, PretrainingLab};
pub use on_the_way::{Evaluated, OnTheWay};
pub use settings::{Optimizer, Schedule, Training, TrainingSettings};
pub use trainer::{Ending, Job, Source, check_stopped, train};
pub use update::{Learner, Outcome};
