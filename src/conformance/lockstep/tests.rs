//! The trainings held to TRL, and what a wrong case gives.
