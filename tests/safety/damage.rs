//! Files of finished and of stopped runs, and of the cache, that are not what
//! was written: each is made again by itself, or named with a way out that
//! leads to the same bits.

use std::path::{Path, PathBuf};

use qinglan::random::stream;
use rand::RngExt;

use super::{definition, moments, rounds, seed, stop_at};
use crate::bits::assert_same;
use crate::support::{Bench, Ended, files_below, final_weights};

/// What happens to a file.
const DAMAGES: [&str; 5] = [
    "a flipped bit",
    "a lost end",
    "nothing in it",
    "a doubled line",
    "gone",
];

/// Files that results rest on, or that somebody may take for whole.
fn candidates(bench: &Bench) -> Vec<PathBuf> {
    let mut names = Vec::new();
    for folder in ["run/arms", "run/teacher", "cache"] {
        if bench.path(folder).exists() {
            let below = files_below(&bench.path(folder)).into_iter();
            names.extend(below.map(|name| Path::new(folder).join(name)));
        }
    }
    names.retain(|name| {
        let name = name.to_string_lossy();
        let free = [".tfevents.", "/completions/", ".lock", ".partial"];
        free.iter().all(|free| !name.contains(free))
    });
    names
}

fn damage(path: &Path, kind: &str, random: &mut impl RngExt) {
    let mut bytes = std::fs::read(path).unwrap();
    match kind {
        "gone" => return std::fs::remove_file(path).unwrap(),
        "a lost end" => bytes.truncate(random.random_range(0..bytes.len().max(1))),
        "nothing in it" => bytes.clear(),
        "a doubled line" => {
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let line = bytes[..end.map_or(0, |end| end + 1)].to_vec();
            bytes.splice(0..0, line);
        }
        _ if bytes.is_empty() => {}
        _ => {
            let place = random.random_range(0..bytes.len());
            bytes[place] ^= 1u8 << random.random_range(0..8u32);
        }
    }
    std::fs::write(path, bytes).unwrap();
}

/// What an error says may be removed.
fn ways_out(ended: &Ended) -> Vec<String> {
    let said = &ended.stderr;
    if let Some((_, rest)) = said.split_once("no checkpoint is whole: ") {
        let names = rest.split(" damaged").next().unwrap();
        let names = names.trim_end_matches(" is").trim_end_matches(" are");
        return names.split(", ").map(str::to_owned).collect();
    }
    let (_, rest) = said
        .split_once("remove ")
        .unwrap_or_else(|| panic!("{said}"));
    let name = rest.split([' ', ';']).next().unwrap();
    vec![name.to_owned()]
}

/// Goes on with a run to its end, by the ways out that it names, and holds it
/// to another; says how often one was named.
fn go_on(bench: &Bench, out: &str, whole: &Bench) -> usize {
    let mut told = 0;
    let ended = loop {
        let ended = bench.run(out, &["--resume"]);
        if ended.code == Some(0) {
            break ended;
        }
        // A marker that cannot be read is the user's to put back.
        assert!(matches!(ended.code, Some(1 | 2)), "{}", ended.stderr);
        told += 1;
        for name in ways_out(&ended) {
            println!("     removed as told: {name}");
            let path = bench.path(&name);
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else {
                std::fs::remove_file(path).unwrap();
            }
        }
    };
    let said = ended.stderr.trim();
    println!("     done: {said}");
    let (run, other) = (bench.path(out), whole.path("run"));
    if said.contains("best of the updates still to come") {
        // The policy that was kept beside the last one is another now.
        assert_eq!(final_weights(&run), final_weights(&other));
    } else {
        assert_same(&run, &other);
    }
    told
}

#[test]
#[ignore = "takes minutes: run scripts/kill-test.sh"]
fn changed_files_are_named_or_made_again() {
    let whole = Bench::new(&definition());
    whole.run("run", &[]).done();
    let seed = seed();
    let mut random = stream(seed, "damage", &[]);
    let mut told = 0;
    for round in 0..rounds().div_ceil(5) {
        let bench = Bench::new(&definition());
        if round % 3 == 0 {
            bench.run("run", &[]).done();
        } else {
            let moments = moments(seed.wrapping_add(round as u64));
            let moment = &moments[random.random_range(0..moments.len())];
            stop_at(&bench, moment, "KILL");
        }
        let names = candidates(&bench);
        if names.is_empty() {
            continue;
        }
        let name = &names[random.random_range(0..names.len())];
        let kind = DAMAGES[random.random_range(0..DAMAGES.len())];
        println!("{:4} {}: {kind}", round + 1, name.display());
        damage(&bench.path(name.to_str().unwrap()), kind, &mut random);
        told += go_on(&bench, "run", &whole);
        if name.starts_with("cache") {
            // What the run did not need any more another one does.
            told += go_on(&bench, "again", &whole);
        }
    }
    println!("{told} were named, the others made again");
}
