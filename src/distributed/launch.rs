//! Where a launcher put this process: the variables that PyTorch's launcher
//! sets and a shell loop can, else those of Slurm's `srun`.
//!
//! PyTorch's: `RANK` and `WORLD_SIZE`, with `LOCAL_RANK` (the rank where it is
//! absent), `MASTER_ADDR` (this machine) and `MASTER_PORT` (29500). Where
//! torchrun's own agent listens at the port, which it says by
//! `TORCHELASTIC_USE_AGENT_STORE`, the next one is taken.
//!
//! Slurm's: `SLURM_PROCID`, `SLURM_STEP_NUM_TASKS` or `SLURM_NTASKS`,
//! `SLURM_LOCALID`, and the first host of `SLURM_STEP_NODELIST` or
//! `SLURM_JOB_NODELIST`. They count within a step only (`SLURM_STEP_ID`): a
//! batch script has some of them too, but is one process.

use anyhow::{Context, Result, bail, ensure};

use super::nodes::first_host;

/// A process's place among those that were launched together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its number, from 0.
    pub rank: usize,
    /// How many there are.
    pub world: usize,
    /// Its number among those of its machine.
    pub local: usize,
    /// The machine of rank 0.
    pub host: String,
    /// A port there that is free, and so is the next.
    pub port: u16,
}

/// PyTorch's usual port.
const PORT: u16 = 29_500;

/// Ports that are made of a job's number begin here.
const SLURM_PORT: u64 = 20_000;

/// This process's place; `None` where it was launched alone.
pub fn place() -> Result<Option<Place>> {
    of(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

fn of(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Place>> {
    let place = if variable("RANK").is_some() || variable("WORLD_SIZE").is_some() {
        torch(variable)?
    } else if variable("SLURM_STEP_ID").is_some() && variable("SLURM_PROCID").is_some() {
        slurm(variable)?
    } else {
        return Ok(None);
    };
    ensure!(
        place.rank < place.world,
        "rank {} of {}: ranks count from 0, so the last is {}",
        place.rank,
        place.world,
        place.world.saturating_sub(1)
    );
    Ok((place.world > 1).then_some(place))
}

fn number(variable: &dyn Fn(&str) -> Option<String>, name: &str) -> Result<Option<usize>> {
    let Some(value) = variable(name) else {
        return Ok(None);
    };
    match value.trim().parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => bail!("{name}={value}: it is a number of processes"),
    }
}

fn port(variable: &dyn Fn(&str) -> Option<String>, otherwise: u16) -> Result<u16> {
    let Some(value) = variable("MASTER_PORT") else {
        return Ok(otherwise);
    };
    let port = value.trim().parse::<u16>().ok();
    // Two more may be taken beside it.
    port.filter(|port| (1..=65_533).contains(port))
        .with_context(|| format!("MASTER_PORT={value}: give a port from 1 to 65533"))
}

fn torch(variable: &dyn Fn(&str) -> Option<String>) -> Result<Place> {
    let needed = |name: &str, other: &str| {
        number(variable, name)?.with_context(|| {
            format!("{other} is set and {name} is not: a launcher sets both; unset {other} to run one process")
        })
    };
    let rank = needed("RANK", "WORLD_SIZE")?;
    let world = needed("WORLD_SIZE", "RANK")?;
    let agent = variable("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|value| value == "True");
    Ok(Place {
        rank,
        world,
        local: number(variable, "LOCAL_RANK")?.unwrap_or(rank),
        host: variable("MASTER_ADDR").unwrap_or_else(|| "127.0.0.1".to_owned()),
        port: port(variable, PORT)? + u16::from(agent),
    })
}

fn slurm(variable: &dyn Fn(&str) -> Option<String>) -> Result<Place> {
    let rank = number(variable, "SLURM_PROCID")?.context("SLURM_PROCID is not set")?;
    let world = match number(variable, "SLURM_STEP_NUM_TASKS")? {
        Some(tasks) => tasks,
        None => number(variable, "SLURM_NTASKS")?.context(
            "SLURM_PROCID is set, and neither SLURM_STEP_NUM_TASKS nor SLURM_NTASKS: say with RANK and WORLD_SIZE which process this is",
        )?,
    };
    let nodes = variable("SLURM_STEP_NODELIST").or_else(|| variable("SLURM_JOB_NODELIST"));
    let host = match (variable("MASTER_ADDR"), &nodes) {
        (Some(host), _) => host,
        (None, Some(nodes)) => first_host(nodes).with_context(|| {
            format!("SLURM_JOB_NODELIST={nodes} names no host; set MASTER_ADDR")
        })?,
        (None, None) => {
            bail!("SLURM_JOB_NODELIST is not set; set MASTER_ADDR to the host of task 0")
        }
    };
    // Jobs, and steps of one job, that share a machine get ports of their own.
    let job = number(variable, "SLURM_JOB_ID")?.unwrap_or(0) as u64;
    let step = number(variable, "SLURM_STEP_ID")?.unwrap_or(0) as u64;
    let own = (job.wrapping_mul(3)).wrapping_add(step.wrapping_mul(3 * 97)) % 10_000;
    Ok(Place {
        rank,
        world,
        local: number(variable, "SLURM_LOCALID")?.unwrap_or(rank),
        host,
        port: port(variable, (SLURM_PORT + own) as u16)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place_of(variables: &[(&str, &str)]) -> Result<Option<Place>> {
        of(&|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_process_that_nobody_launched_is_alone() {
        assert_eq!(place_of(&[]).unwrap(), None);
        assert_eq!(
            place_of(&[("RANK", "0"), ("WORLD_SIZE", "1")]).unwrap(),
            None
        );
        // A batch script, and an allocation's shell.
        let script = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "4")];
        assert_eq!(place_of(&script).unwrap(), None);
    }

    #[test]
    fn the_variables_of_torchrun_and_of_a_shell_loop_are_read() {
        let mut variables = vec![
            ("RANK", "5"),
            ("WORLD_SIZE", "8"),
            ("LOCAL_RANK", "1"),
            ("MASTER_ADDR", "n0"),
            ("MASTER_PORT", "4321"),
        ];
        let expected = Place {
            rank: 5,
            world: 8,
            local: 1,
            host: "n0".to_owned(),
            port: 4321,
        };
        assert_eq!(place_of(&variables).unwrap(), Some(expected.clone()));
        variables.push(("TORCHELASTIC_USE_AGENT_STORE", "True"));
        let beside = Place {
            port: 4322,
            ..expected
        };
        assert_eq!(place_of(&variables).unwrap(), Some(beside));
        let short = place_of(&[("RANK", "1"), ("WORLD_SIZE", "2")]).unwrap();
        assert_eq!(
            short.map(|place| (place.local, place.port)),
            Some((1, PORT))
        );
    }

    #[test]
    fn the_variables_of_srun_are_read() {
        let variables = [
            ("SLURM_STEP_ID", "0"),
            ("SLURM_JOB_ID", "812345"),
            ("SLURM_PROCID", "3"),
            ("SLURM_NTASKS", "4"),
            ("SLURM_LOCALID", "1"),
            ("SLURM_JOB_NODELIST", "gpu[07-08]"),
        ];
        let place = place_of(&variables).unwrap().unwrap();
        assert_eq!((place.rank, place.world, place.local), (3, 4, 1));
        assert_eq!(place.host, "gpu07");
        assert!((20_000..30_000).contains(&place.port));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_name() {
        for (variables, says) in [
            (&[("RANK", "0")][..], "WORLD_SIZE is not"),
            (&[("WORLD_SIZE", "2")], "RANK is not"),
            (&[("RANK", "2"), ("WORLD_SIZE", "2")], "the last is 1"),
            (&[("RANK", "one"), ("WORLD_SIZE", "2")], "RANK=one"),
            (
                &[("RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_PORT", "65535")],
                "MASTER_PORT=65535",
            ),
            (
                &[
                    ("SLURM_STEP_ID", "0"),
                    ("SLURM_PROCID", "0"),
                    ("SLURM_NTASKS", "2"),
                ],
                "set MASTER_ADDR",
            ),
        ] {
            let refused = format!("{:#}", place_of(variables).unwrap_err());
            assert!(refused.contains(says), "{refused}");
        }
    }
}
