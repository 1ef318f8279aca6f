//! The view drawn into memory, from made-up runs.
