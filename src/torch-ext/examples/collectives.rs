//! Seconds that collectives of float32 take between processes of this machine:
//!
//! ```text
//! cargo run --release -p torch-ext --example collectives -- 2
//! ```
//!
//! starts two ranks on the loopback and prints, for sizes of the whole from
//! 1 KB to 512 MB, the best of some rounds on rank 0. Every collective has the
//! same payload: an all-gather's whole is what a reduce-scatter's whole is.

use std::process::Command;
use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};
use torch_ext::distributed::{Backend, Group};

const RANK: &str = "COLLECTIVES_RANK";
const PORT: &str = "COLLECTIVES_PORT";

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let world: usize = match std::env::args().nth(1) {
        Some(world) => world.parse()?,
        None => 2,
    };
    if let Ok(rank) = std::env::var(RANK) {
        return measure(rank.parse()?, world, std::env::var(PORT)?.parse()?);
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    drop(listener);
    let start = |rank: usize| {
        Command::new(std::env::current_exe()?)
            .arg(world.to_string())
            .env(RANK, rank.to_string())
            .env(PORT, port.to_string())
            .env("OMP_NUM_THREADS", "1")
            .spawn()
    };
    let ranks = (0..world).map(start).collect::<Result<Vec<_>, _>>()?;
    for mut rank in ranks {
        if !rank.wait()?.success() {
            return Err("a rank has failed".into());
        }
    }
    Ok(())
}

fn measure(rank: usize, world: usize, port: u16) -> Result<(), Failure> {
    let minute = Duration::from_secs(60);
    let group = Group::connect(Backend::Gloo, rank, world, "127.0.0.1", port, minute)?;
    if rank == 0 {
        println!("ranks bytes all_reduce reduce_scatter all_gather broadcast (seconds)");
    }
    for bytes in (0..20).map(|power| 1024_i64 << power) {
        let numbers = bytes / 4 / world as i64 * world as i64;
        let options = (Kind::Float, Device::Cpu);
        let whole = Tensor::ones([numbers], options);
        let part = Tensor::ones([numbers / world as i64], options);
        let rounds = if bytes > 16 << 20 { 3 } else { 20 };
        let best = |call: &dyn Fn() -> Result<(), torch_ext::distributed::Error>| {
            let mut best = f64::INFINITY;
            for _ in 0..rounds {
                group.barrier()?;
                let start = Instant::now();
                call()?;
                group.barrier()?;
                best = best.min(start.elapsed().as_secs_f64());
            }
            Ok::<_, Failure>(best)
        };
        let seconds = [
            best(&|| group.all_reduce(&whole))?,
            best(&|| group.reduce_scatter(&whole, &part))?,
            best(&|| group.all_gather(&part, &whole))?,
            best(&|| group.broadcast(&whole, 0))?,
        ];
        if rank == 0 {
            let [reduce, scatter, gather, broadcast] = seconds;
            println!("{world} {bytes} {reduce:.6} {scatter:.6} {gather:.6} {broadcast:.6}");
        }
    }
    Ok(())
}
