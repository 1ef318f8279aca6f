//! Which implementation of the kernels a process runs.

use std::fmt;

use super::ffi;

/// The environment variable that asks for fewer instructions than the machine
/// has: `portable`, `avx2`, `avx512` or `avx512_bf16`.
pub const VARIABLE: &str = "QINGLAN_CPU";

/// Sets of instructions, each with those before it. Sums round differently from
/// one to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What every x86-64 has; the only one elsewhere.
    Portable,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512 as of x86-64-v4.
    Avx512,
    /// AVX-512 with products of bfloat16.
    Avx512Bf16,
}

const ALL: [Level; 4] = [
    Level::Portable,
    Level::Avx2,
    Level::Avx512,
    Level::Avx512Bf16,
];

impl Level {
    fn of(number: i32) -> Self {
        let known = usize::try_from(number).ok().and_then(|at| ALL.get(at));
        known.copied().unwrap_or(Self::Portable)
    }

    /// The most that the machine has.
    pub fn of_machine() -> Self {
        // SAFETY: takes nothing and reads only what the processor says of itself.
        Self::of(unsafe { ffi::qinglan_level_of_machine() })
    }

    /// That of this process: the machine's, or less where [`VARIABLE`] says so.
    pub fn of_process() -> Self {
        // SAFETY: reads a constant of the process.
        Self::of(unsafe { ffi::qinglan_level() })
    }

    /// Refuses a value of [`VARIABLE`] that is unknown or that the machine
    /// cannot do; the kernels would pass over it.
    pub fn check() -> Result<(), String> {
        let asked = std::env::var(VARIABLE).ok();
        asked.map_or(Ok(()), |asked| {
            Self::check_value(&asked, Self::of_machine())
        })
    }

    fn check_value(asked: &str, most: Self) -> Result<(), String> {
        let possible = ALL.iter().filter(|level| **level <= most);
        let possible: Vec<String> = possible.map(ToString::to_string).collect();
        if possible.iter().any(|name| name == asked) {
            return Ok(());
        }
        Err(format!(
            "{VARIABLE}={asked}: this machine runs {}; unset it, or give one of these",
            possible.join(", ")
        ))
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Bf16 => "avx512_bf16",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_asked_for_by_its_name_and_no_more_than_the_machine_has() {
        assert!(Level::of_process() <= Level::of_machine());
        assert!(Level::check_value("portable", Level::Portable).is_ok());
        assert!(Level::check_value("avx2", Level::Avx512Bf16).is_ok());
        for (asked, most) in [
            ("avx512", Level::Avx2),
            ("AVX2", Level::Avx2),
            ("", Level::Avx2),
        ] {
            let refused = Level::check_value(asked, most).unwrap_err();
            assert!(refused.contains("runs portable, avx2;"), "{refused}");
        }
    }

    #[test]
    fn names_are_those_that_the_kernels_read() {
        let source = include_str!("../../csrc/dispatch.cpp");
        let names: Vec<String> = ALL.iter().map(|level| format!("\"{level}\"")).collect();
        assert!(source.contains(&format!("{{{}}}", names.join(", "))));
    }
}
