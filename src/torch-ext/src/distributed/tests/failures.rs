//! Ranks that die, hang, never come or believe something else: every other
//! rank ends by itself, and says which rank it is and where it was.

use super::*;

const SHORT: Duration = Duration::from_secs(3);

/// What the ranks' errors said, by rank. Ranks in `lost` are ended by the test
/// once the others have.
fn errors(ranks: Vec<Rank>, lost: &[usize]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut said = Vec::new();
    for (rank, process) in ranks.into_iter().enumerate() {
        if lost.contains(&rank) {
            kept.push(process);
            said.push(String::new());
            continue;
        }
        let (success, words) = process.ended();
        assert!(success, "rank {rank}: {words}");
        said.push(words);
    }
    said
}

/// Prints the error that is expected, for the parent to read.
fn tell<T>(result: Result<T, Error>) {
    match result {
        Ok(_) => panic!("this does not succeed"),
        Err(error) => println!("{error}"),
    }
}

fn says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
}

/// Sums until it fails.
fn sum_on(group: &Group) -> Error {
    let numbers = Tensor::ones([100_000], (Kind::Float, Device::Cpu));
    loop {
        if let Err(error) = group.all_reduce(&numbers) {
            return error;
        }
    }
}

#[test]
fn a_rank_that_is_killed_ends_the_others() {
    const NAME: &str = "failures::a_rank_that_is_killed_ends_the_others";
    if rank() == Some(1) {
        let group = join(TIMEOUT).unwrap();
        group
            .all_reduce(&Tensor::ones([10], (Kind::Float, Device::Cpu)))
            .unwrap();
        std::process::abort();
    }
    if rank().is_some() {
        let group = join(TIMEOUT).unwrap();
        println!("{}", sum_on(&group));
        // A group that has failed once fails again, and does not hang.
        return tell(group.barrier());
    }
    if !is_built() {
        return;
    }
    let said = errors(start_all(NAME, 3), &[1]);
    for rank in [0, 2] {
        says(&said[rank], &[&format!("rank {rank} of 3: all_reduce: ")]);
        says(&said[rank], &[&format!("rank {rank} of 3: barrier: ")]);
    }
}

#[test]
fn a_rank_that_hangs_ends_the_others_with_the_time_out() {
    const NAME: &str = "failures::a_rank_that_hangs_ends_the_others_with_the_time_out";
    if rank().is_some() {
        let group = join(SHORT).unwrap();
        if rank() == Some(1) {
            // The test stops it for good when it reads this; the others are
            // in their sums meanwhile.
            eprintln!("connected");
        }
        return println!("{}", sum_on(&group));
    }
    if !is_built() {
        return;
    }
    let mut ranks = start_all(NAME, 3);
    let mut ready = [0; 9];
    let stderr = ranks[1].0.stderr.as_mut().unwrap();
    stderr.read_exact(&mut ready).unwrap();
    assert_eq!(&ready, b"connected");
    ranks[1].signal("-STOP");
    let said = errors(ranks, &[1]);
    for rank in [0, 2] {
        says(&said[rank], &[&format!("rank {rank} of 3: all_reduce: ")]);
    }
    // The first to lose patience closes its connections, and the rest see that.
    assert!(
        said.iter().any(|said| said.contains("Timed out")),
        "{said:?}"
    );
}

#[test]
fn abort_ends_the_others_at_once() {
    const NAME: &str = "failures::abort_ends_the_others_at_once";
    match rank() {
        Some(1) => {
            let group = join(TIMEOUT).unwrap();
            group.abort();
            tell(group.barrier());
            // The others are not ended by this process going away.
            std::thread::sleep(Duration::from_secs(3600));
        }
        Some(_) => println!("{}", sum_on(&join(Duration::from_secs(3600)).unwrap())),
        None if is_built() => {
            let said = errors(start_all(NAME, 3), &[1]);
            for rank in [0, 2] {
                says(&said[rank], &[&format!("rank {rank} of 3: all_reduce: ")]);
            }
        }
        None => {}
    }
}

#[test]
fn a_rank_that_never_comes_is_named_by_the_others() {
    const NAME: &str = "failures::a_rank_that_never_comes_is_named_by_the_others";
    if rank().is_some() {
        return tell(join(SHORT));
    }
    if !is_built() {
        return;
    }
    let port = free_port();
    let ranks = [0, 1].map(|rank| Rank::start(NAME, rank, 3, port)).into();
    let said = errors(ranks, &[]);
    let here = format!("rank 0 of 3: cannot join the group at 127.0.0.1:{port}: ");
    says(&said[0], &[&here, "these ranks are missing: "]);
    says(&said[1], &["rank 1 of 3: cannot join the group"]);
}

#[test]
fn without_rank_0_the_others_say_so() {
    const NAME: &str = "failures::without_rank_0_the_others_say_so";
    if rank().is_some() {
        return tell(join(SHORT));
    }
    if is_built() {
        let (_, said) = Rank::start(NAME, 1, 2, free_port()).ended();
        says(&said, &["rank 1 of 2: cannot join", "is rank 0 running?"]);
    }
}

#[test]
fn a_port_in_use_is_said_on_every_rank() {
    const NAME: &str = "failures::a_port_in_use_is_said_on_every_rank";
    if rank().is_some() {
        return tell(join(SHORT));
    }
    if !is_built() {
        return;
    }
    // It takes connections and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let ranks = [0, 1].map(|rank| Rank::start(NAME, rank, 2, port)).into();
    let said = errors(ranks, &[]);
    says(
        &said[0],
        &["rank 0 of 2: cannot join", "address already in use"],
    );
    says(
        &said[1],
        &["rank 1 of 2: cannot join", "no store answers there"],
    );
}

#[test]
fn ranks_that_were_told_of_different_worlds_refuse() {
    const NAME: &str = "failures::ranks_that_were_told_of_different_worlds_refuse";
    if rank().is_some() {
        return tell(join(SHORT));
    }
    if !is_built() {
        return;
    }
    let port = free_port();
    let ranks = [2, 3].into_iter().enumerate();
    let ranks = ranks
        .map(|(rank, world)| Rank::start(NAME, rank, world, port))
        .collect();
    let said = errors(ranks, &[]);
    says(&said[0], &["rank 0 of 2: cannot join"]);
    says(&said[1], &["rank 1 of 3: cannot join"]);
    let told = |said: &&String| said.contains("ranks, another one of ");
    assert_eq!(said.iter().filter(told).count(), 1, "{said:?}");
}

#[test]
fn a_rank_that_is_there_already_is_refused() {
    const NAME: &str = "failures::a_rank_that_is_there_already_is_refused";
    if rank().is_some() {
        return tell(join(SHORT));
    }
    if !is_built() {
        return;
    }
    let port = free_port();
    let ranks = [0, 1, 1]
        .map(|rank| Rank::start(NAME, rank, 3, port))
        .into();
    let said = errors(ranks, &[]).concat();
    says(&said, &["another process is rank 1 there"]);
}

/// A host name that means the loopback on rank 0 and a real address elsewhere
/// is common, and would leave the others waiting for rank 0.
#[test]
fn a_rank_bound_to_the_loopback_is_told_that_others_cannot_reach_it() {
    const NAME: &str = "failures::a_rank_bound_to_the_loopback_is_told_that_others_cannot_reach_it";
    // The address that packets to elsewhere would come from.
    let outward = address::towards("192.0.2.1", 1).unwrap_or_default();
    if let Some(rank) = rank() {
        let host = if rank == 0 { "127.0.0.1" } else { &outward };
        let port = number(PORT).unwrap();
        return tell(Group::connect(Backend::Gloo, rank, 2, host, port, SHORT));
    }
    if !is_built() || outward.is_empty() || outward.starts_with("127.") {
        println!("skipped: this machine has the loopback alone, or the build no groups");
        return;
    }
    let said = errors(start_all(NAME, 2), &[]);
    let words = format!("where rank 1 at {outward} cannot reach it");
    says(&said[0], &["rank 0 of 2: cannot join", &words]);
    says(&said[1], &["rank 1 of 2: cannot join"]);
}

#[test]
fn wrong_arguments_are_refused_before_anything_is_sent() {
    const NAME: &str = "failures::wrong_arguments_are_refused_before_anything_is_sent";
    if rank().is_none() {
        return as_ranks(NAME, 2);
    }
    let group = join(TIMEOUT).unwrap();
    let floats = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
    let refused = |result: Result<(), Error>, words: &str| {
        let error = result.unwrap_err().to_string();
        says(&error, &[&format!("rank {} of 2: ", group.rank()), words]);
    };
    refused(group.all_reduce(&floats(&[2, 3]).tr()), "is not contiguous");
    refused(
        group.all_gather(&floats(&[3]), &floats(&[5])),
        "5 numbers, not 2 parts of 3",
    );
    refused(
        group.reduce_scatter(&floats(&[5]), &floats(&[3])),
        "5 numbers, not 2 parts of 3",
    );
    let ints = Tensor::zeros([6], (Kind::Int64, Device::Cpu));
    refused(
        group.all_gather(&floats(&[3]), &ints),
        "the part is Float, the whole Int64",
    );
    refused(group.broadcast(&floats(&[3]), 2), "there is no rank 2");
    let complex = Tensor::zeros([3], (Kind::ComplexFloat, Device::Cpu));
    refused(group.all_reduce(&complex), "tensors of ComplexFloat");
    assert_eq!(group.traffic().broadcast, Count::default());
    group.barrier().unwrap();
}

#[test]
fn a_group_that_cannot_be_is_refused() {
    let join = |rank, world| {
        let group = Group::connect(Backend::Gloo, rank, world, "127.0.0.1", 1, SHORT);
        group.unwrap_err().to_string()
    };
    if is_built() {
        if !tch::Cuda::is_available() {
            let nccl = Group::connect(Backend::Nccl, 1, 2, "127.0.0.1", 1, SHORT);
            let error = nccl.unwrap_err().to_string();
            says(&error, &["rank 1 of 2: NCCL needs a CUDA device"]);
        }
        says(&join(2, 2), &["rank 2 of 2: ", "ranks count from 0 to 1"]);
        says(
            &join(0, 0),
            &["rank 0 of 0: ", "a group has at least one rank"],
        );
    } else {
        says(&join(0, 2), &["rank 0 of 2: ", "libgloo-dev"]);
    }
}
