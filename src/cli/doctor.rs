//! `qinglan doctor`: versions, threads, instruction sets, devices, disk, memory.

use sysinfo::{Disks, System};

use crate::device;
use crate::generation::PrecisionChoice;
use crate::runner::{cache_folder, provenance};

/// Prints it, a line each.
pub(super) fn execute() {
    let mut lines: Vec<(&str, String)> = vec![
        ("qinglan", env!("CARGO_PKG_VERSION").to_owned()),
        ("libtorch", libtorch()),
        (
            "processor",
            provenance::processor().unwrap_or_else(|| "unknown".to_owned()),
        ),
        ("instructions", provenance::instruction_sets().join(" ")),
        (
            "threads",
            format!(
                "{} cores, libtorch would use {}",
                std::thread::available_parallelism().map_or(0, usize::from),
                tch::get_num_threads()
            ),
        ),
    ];
    lines.push((
        "generation",
        format!(
            "{} on the CPU by default",
            PrecisionChoice::Auto.resolve(tch::Device::Cpu)
        ),
    ));
    lines.push((
        "cuda",
        match device::cuda() {
            Ok(count) => format!("{count} devices"),
            Err(why) => format!("none: {why}"),
        },
    ));
    let mut system = System::new();
    system.refresh_memory();
    lines.push((
        "memory",
        format!(
            "{} free of {}",
            gib(system.available_memory()),
            gib(system.total_memory())
        ),
    ));
    lines.push(("disk", disk()));
    lines.push((
        "cache",
        cache_folder().map_or_else(|error| format!("{error:#}"), |at| at.display().to_string()),
    ));
    for (name, value) in lines {
        println!("{name:>13}  {value}");
    }
}

fn libtorch() -> String {
    torch_ext::libtorch_folder().map_or_else(
        || format!("{} (not loaded)", provenance::LIBTORCH),
        |folder| format!("{} in {}", provenance::LIBTORCH, folder.display()),
    )
}

/// Free space where runs are written by default.
fn disk() -> String {
    let Ok(here) = std::env::current_dir() else {
        return "the working directory is gone".to_owned();
    };
    Disks::new_with_refreshed_list()
        .iter()
        .filter(|disk| here.starts_with(disk.mount_point()))
        .max_by_key(|disk| disk.mount_point().as_os_str().len())
        .map_or_else(
            || "unknown".to_owned(),
            |disk| {
                format!(
                    "{} free of {} under {}",
                    gib(disk.available_space()),
                    gib(disk.total_space()),
                    disk.mount_point().display()
                )
            },
        )
}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64)
}
