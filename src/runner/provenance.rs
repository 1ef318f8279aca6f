//! Versions, processor, threads, date and commit: what a reader needs to judge
//! whether two runs can be compared.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use tch::Device;

/// libtorch's version: the one that tch's release is made for and checks at build time.
pub const LIBTORCH: &str = "2.11.0";

/// The environment of a run, name to value. No path and no host name: it goes
/// into reports that people publish.
pub fn environment(device: Device, threads: usize) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::from([
        ("qinglan".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("libtorch".to_owned(), LIBTORCH.to_owned()),
        ("device".to_owned(), format!("{device:?}").to_lowercase()),
        ("threads per training".to_owned(), threads.to_string()),
        (
            "kernels".to_owned(),
            torch_ext::cpu::Level::of_process().to_string(),
        ),
        (
            "cores".to_owned(),
            std::thread::available_parallelism()
                .map_or_else(|_| "unknown".to_owned(), |n| n.to_string()),
        ),
        (
            "system".to_owned(),
            format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        ),
        ("date".to_owned(), today()),
    ]);
    if let Some(processor) = processor() {
        facts.insert("processor".to_owned(), processor);
    }
    if let Some(commit) = commit() {
        facts.insert("commit".to_owned(), commit);
    }
    facts
}

/// The processor's name, as Linux tells it.
pub fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Instruction sets that matter for speed, among those the processor has.
pub fn instruction_sets() -> Vec<String> {
    let interesting = [
        "avx2",
        "fma",
        "avx512f",
        "avx512_bf16",
        "avx512_vnni",
        "amx_bf16",
        "amx_tile",
    ];
    let Ok(text) = std::fs::read_to_string("/proc/cpuinfo") else {
        return Vec::new();
    };
    let Some(flags) = text.lines().find(|line| line.starts_with("flags")) else {
        return Vec::new();
    };
    interesting
        .into_iter()
        .filter(|name| flags.split_whitespace().any(|flag| flag == *name))
        .map(str::to_owned)
        .collect()
}

/// The commit of the lab's own checkout, where it runs from one.
fn commit() -> Option<String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .arg("-C")
            .arg(sources)
            .args(arguments)
            .output()
            .ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() {
        commit
    } else {
        format!("{commit} with local changes")
    })
}

/// Today's date in UTC, `2026-11-23`.
pub fn today() -> String {
    date(seconds())
}

/// The time now in UTC, `2026-11-23T09:30:05Z`.
pub fn now() -> String {
    time(seconds())
}

/// Seconds since 1970-01-01 in UTC.
fn seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn date(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / 86_400);
    format!("{year:04}-{month:02}-{day:02}")
}

fn time(seconds: u64) -> String {
    let (minutes, second) = (seconds / 60, seconds % 60);
    let (hour, minute) = (minutes / 60 % 24, minutes % 60);
    format!("{}T{hour:02}:{minute:02}:{second:02}Z", date(seconds))
}

/// Year, month and day of a day counted from 1970-01-01 (Gregorian).
fn civil(mut days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| {
        (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400)
    };
    let mut year = 1970;
    loop {
        let length = if leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month as u64 + 1, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_780), (2026, 11, 23));
        assert_eq!(time(20_780 * 86_400 + 34_205), "2026-11-23T09:30:05Z");
    }

    #[test]
    fn the_environment_names_no_path() {
        let facts = environment(Device::Cpu, 1);
        assert!(facts.contains_key("libtorch"));
        assert!(
            facts
                .values()
                .all(|value| !value.contains(env!("CARGO_MANIFEST_DIR")))
        );
    }
}
