//! Real processes: a test starts its own binary once for each rank, with the
//! rank in the environment, and each of these runs the same test as that rank.

use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tch::{Device, Kind, Tensor};

use super::*;

mod failures;

const RANK: &str = "TORCH_EXT_TEST_RANK";
const WORLD: &str = "TORCH_EXT_TEST_WORLD";
const PORT: &str = "TORCH_EXT_TEST_PORT";
const TIMEOUT: Duration = Duration::from_secs(20);

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// The rank that this process was started as; none in the test itself.
fn rank() -> Option<usize> {
    number(RANK)
}

fn join(timeout: Duration) -> Result<Group, Error> {
    let (rank, world, port) = (
        number(RANK).unwrap(),
        number(WORLD).unwrap(),
        number(PORT).unwrap(),
    );
    Group::connect(Backend::Gloo, rank, world, "127.0.0.1", port, timeout)
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A process that runs one rank, ended with the test.
struct Rank(Child);

impl Drop for Rank {
    fn drop(&mut self) {
        // One that has ended by itself is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Rank {
    fn start(test: &str, rank: usize, world: usize, port: u16) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .arg(format!("distributed::tests::{test}"))
            .args(["--exact", "--nocapture", "--test-threads=1"])
            .env(RANK, rank.to_string())
            .env(WORLD, world.to_string())
            .env(PORT, port.to_string())
            .env("OMP_NUM_THREADS", "1")
            .env_remove("GLOO_SOCKET_IFNAME")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self(child.unwrap())
    }

    fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        let status = Command::new("kill").args([name, &id]).status().unwrap();
        assert!(status.success());
    }

    /// All it has said, once it has ended. One that does not end fails the test.
    fn ended(mut self) -> (bool, String) {
        let status = (0..600).find_map(|_| {
            let status = self.0.try_wait().unwrap();
            if status.is_none() {
                std::thread::sleep(Duration::from_millis(100));
            }
            status
        });
        let mut said = String::new();
        let status = status.expect("the rank ends within a minute");
        let stdout = self.0.stdout.take().unwrap();
        std::io::BufReader::new(stdout)
            .read_to_string(&mut said)
            .unwrap();
        let stderr = self.0.stderr.take().unwrap();
        std::io::BufReader::new(stderr)
            .read_to_string(&mut said)
            .unwrap();
        (status.success(), said)
    }
}

fn start_all(test: &str, world: usize) -> Vec<Rank> {
    let port = free_port();
    (0..world)
        .map(|rank| Rank::start(test, rank, world, port))
        .collect()
}

/// Runs the test of that name as each of `world` ranks, which all succeed.
fn as_ranks(test: &str, world: usize) {
    if !is_built() {
        println!("skipped: this build has no process groups");
        return;
    }
    for (rank, process) in start_all(test, world).into_iter().enumerate() {
        let (success, said) = process.ended();
        assert!(success, "rank {rank} of {world}: {said}");
    }
}

fn f64s(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(&tensor.to_kind(Kind::Double)).unwrap()
}

/// Every collective against the arithmetic by hand: rank r holds (r + 1) times
/// 1, 2, 3, .. so sums are world (world + 1) / 2 times that.
fn every_collective() {
    let group = join(TIMEOUT).unwrap();
    let (rank, world) = (group.rank(), group.world());
    let together = (world * (world + 1) / 2) as f64;
    for kind in [
        Kind::Float,
        Kind::Double,
        Kind::Int64,
        Kind::Int,
        Kind::BFloat16,
        Kind::Half,
    ] {
        let options = (kind, Device::Cpu);
        let own = |count: i64, factor: usize| {
            (Tensor::arange(count, options) + 1) * i64::try_from(factor).unwrap()
        };
        let counted = |count: i64, factor: f64| -> Vec<f64> {
            (0..count).map(|i| (i + 1) as f64 * factor).collect()
        };
        let tensor = own(5, rank + 1);
        group.all_reduce(&tensor).unwrap();
        assert_eq!(f64s(&tensor), counted(5, together), "{kind:?}");

        let tensor = own(5, rank + 1);
        group.broadcast(&tensor, world - 1).unwrap();
        assert_eq!(f64s(&tensor), counted(5, world as f64), "{kind:?}");

        let whole = Tensor::zeros([3 * world as i64], options);
        group.all_gather(&own(3, rank + 1), &whole).unwrap();
        let expected: Vec<f64> = (0..world)
            .flat_map(|of| counted(3, (of + 1) as f64))
            .collect();
        assert_eq!(f64s(&whole), expected, "{kind:?}");

        let part = Tensor::zeros([2], options);
        let whole = own(2 * world as i64, rank + 1);
        group.reduce_scatter(&whole, &part).unwrap();
        let expected = counted(2 * world as i64, together);
        assert_eq!(f64s(&part), expected[2 * rank..2 * rank + 2], "{kind:?}");
        let read = counted(2 * world as i64, (rank + 1) as f64);
        assert_eq!(f64s(&whole), read, "the whole is only read");
    }

    let started: Vec<_> = (1..=6)
        .map(|count| {
            let tensor = Tensor::full(
                [count * 1000],
                rank as f64 + 1.0,
                (Kind::Float, Device::Cpu),
            );
            let pending = group.start_all_reduce(&tensor).unwrap();
            (tensor, pending)
        })
        .collect();
    for (tensor, pending) in started {
        pending.wait().unwrap();
        assert_eq!(f64s(&tensor), vec![together; tensor.numel()]);
    }

    // Larger than a piece, and not a multiple of one.
    let count = 5_000_001;
    let options = (Kind::Float, Device::Cpu);
    let share = Tensor::arange(count, options).remainder(1000);
    let whole = share.repeat([world as i64]) * (rank as i64 + 1);
    let part = Tensor::zeros([count], options);
    group.reduce_scatter(&whole, &part).unwrap();
    assert!(part.equal(&(&share * together)));
    group.all_gather(&part, &whole).unwrap();
    assert!(whole.equal(&(share * together).repeat([world as i64])));

    let bytes: Vec<u8> = (0..3 * rank as u8).collect();
    let all = group.all_gather_bytes(&bytes).unwrap();
    let expected: Vec<Vec<u8>> = (0..world).map(|of| (0..3 * of as u8).collect()).collect();
    assert_eq!(all, expected);
    assert_eq!(
        group.all_gather_bytes(&[]).unwrap(),
        vec![Vec::<u8>::new(); world]
    );
    let mut bytes = vec![rank as u8; rank + 2];
    group.broadcast_bytes(&mut bytes, world - 1).unwrap();
    assert_eq!(bytes, vec![world as u8 - 1; world + 1]);
    group.barrier().unwrap();
}

#[test]
fn two_ranks_agree_with_the_arithmetic() {
    match rank() {
        Some(_) => every_collective(),
        None => as_ranks("two_ranks_agree_with_the_arithmetic", 2),
    }
}

#[test]
fn four_ranks_agree_with_the_arithmetic() {
    match rank() {
        Some(_) => every_collective(),
        None => as_ranks("four_ranks_agree_with_the_arithmetic", 4),
    }
}

#[test]
fn one_rank_is_a_group_too() {
    match rank() {
        Some(_) => every_collective(),
        None => as_ranks("one_rank_is_a_group_too", 1),
    }
}

/// The formulas of [`Traffic`] with numbers: rank r of 2.
#[test]
fn what_is_handed_over_is_counted() {
    if rank().is_none() {
        return as_ranks("what_is_handed_over_is_counted", 2);
    }
    let group = join(TIMEOUT).unwrap();
    assert_eq!(group.traffic(), Traffic::default());
    let of = |kind, count| Tensor::zeros([count], (kind, Device::Cpu));
    group.broadcast(&of(Kind::Int64, 3), 1).unwrap();
    group.all_reduce(&of(Kind::Float, 10)).unwrap();
    group
        .start_all_reduce(&of(Kind::BFloat16, 10))
        .unwrap()
        .wait()
        .unwrap();
    group
        .all_gather(&of(Kind::Float, 5), &of(Kind::Float, 10))
        .unwrap();
    group
        .reduce_scatter(&of(Kind::Double, 8), &of(Kind::Double, 4))
        .unwrap();
    group.barrier().unwrap();
    let mut bytes = vec![0; 7 - 2 * group.rank()];
    group.all_gather_bytes(&bytes).unwrap();
    group.broadcast_bytes(&mut bytes, 1).unwrap();
    let count = |calls, bytes| Count { calls, bytes };
    let expected = Traffic {
        broadcast: count(3, 24 + 8 + 5),
        all_reduce: count(2, 40 + 20),
        all_gather: count(3, 20 + 8 + 7),
        reduce_scatter: count(1, 64),
        barrier: count(1, 0),
    };
    assert_eq!(group.traffic(), expected);
}
