//! Settings that several algorithms have, checked in the same words.

/// The clip range of algorithms that clip a ratio.
pub(crate) fn check_epsilon(epsilon: f64) -> Result<(), String> {
    if epsilon > 0.0 && epsilon < 1.0 {
        return Ok(());
    }
    Err(format!(
        "epsilon = {epsilon}: the clip range lies between 0 and 1"
    ))
}

/// The upper clip range.
pub(crate) fn check_epsilon_high(high: f64) -> Result<(), String> {
    if high.is_finite() && high > 0.0 {
        return Ok(());
    }
    Err(format!(
        "epsilon_high = {high}: the upper clip range is above 0"
    ))
}

/// The weight of a divergence.
pub(crate) fn check_beta(beta: f64) -> Result<(), String> {
    if beta.is_finite() && beta >= 0.0 {
        return Ok(());
    }
    Err(format!(
        "beta = {beta}: it weighs a divergence and is not negative"
    ))
}

/// What is added to a standard deviation.
pub(crate) fn check_advantage_epsilon(epsilon: f64) -> Result<(), String> {
    if epsilon.is_finite() && epsilon >= 0.0 {
        return Ok(());
    }
    Err(format!(
        "advantage_epsilon = {epsilon}: it is added to a standard deviation and cannot be negative"
    ))
}

/// The bounds that rewards are brought between.
pub(crate) fn check_reward_range([low, high]: [f64; 2]) -> Result<(), String> {
    if low < high {
        return Ok(());
    }
    Err(format!(
        "reward_clip_range = [{low}, {high}]: the lower bound comes first"
    ))
}
