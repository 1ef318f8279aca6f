//! Process groups: PyTorch's own collectives (c10d) between the processes of a
//! run, over one `TCPStore` that rank 0 hosts. Gloo serves tensors on the CPU,
//! NCCL those on GPUs.
//!
//! Every rank must make the same calls in the same order, with tensors of the
//! same type and size. A call that a rank refuses for its arguments leaves the
//! others waiting, until their time-out.
//!
//! A rank that dies, hangs or is absent ends every other rank's next collective
//! with an error, at the latest after the group's time-out. The group is then
//! of no further use: [`Group::abort`] lets the others know sooner.
//!
//! c10d logs what it also throws, with pages of addresses. Joining a group sets
//! libtorch's log to fatal errors alone, unless `TORCH_CPP_LOG_LEVEL` is set.
//!
//! What it does not do: choose a device, read the environment variables that
//! launchers set, or try again.

mod address;
mod ffi;
mod nccl;

use std::cell::Cell;
use std::ffi::CString;
use std::ptr;
use std::time::Duration;

use tch::{Device, Kind, Tensor};
use thiserror::Error as ThisError;

use ffi::{Collective, Opaque, checked};

/// Whether this build has process groups: whether Gloo's headers were there.
pub const fn is_built() -> bool {
    cfg!(gloo)
}

/// Who carries the tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// TCP between tensors on the CPU.
    Gloo,
    /// NVIDIA's library between tensors on GPUs, and Gloo between those on the
    /// CPU. Wants libtorch's CUDA half: [`crate::open_cuda`] comes first.
    Nccl,
}

/// Why a group could not be joined, or a collective failed.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub enum Error {
    /// The build lacks what the backend needs.
    #[error("rank {rank} of {world}: {why}")]
    Unavailable {
        /// The rank that asked.
        rank: usize,
        /// Ranks in the group.
        world: usize,
        /// What is missing and how to get it.
        why: String,
    },
    /// The group did not come together.
    #[error("rank {rank} of {world}: cannot join the group at {host}:{port}: {why}")]
    Connect {
        /// The rank that failed.
        rank: usize,
        /// Ranks in the group.
        world: usize,
        /// Where rank 0 was to be found.
        host: String,
        /// The port there.
        port: u16,
        /// What c10d said.
        why: String,
    },
    /// A collective was refused or did not end.
    #[error("rank {rank} of {world}: {collective}: {why}")]
    Collective {
        /// The rank that failed.
        rank: usize,
        /// Ranks in the group.
        world: usize,
        /// The function of [`Group`] that was called.
        collective: &'static str,
        /// What c10d said, or what is wrong with the arguments.
        why: String,
    },
}

/// Bytes of a whole that a reduce-scatter on the CPU has in one piece: enough to
/// keep the connections busy, and little memory to take for it.
const PIECE: usize = 8 << 20;

/// The types that Gloo sums as what they are.
const KINDS: [Kind; 8] = [
    Kind::Float,
    Kind::Double,
    Kind::Half,
    Kind::BFloat16,
    Kind::Uint8,
    Kind::Int8,
    Kind::Int,
    Kind::Int64,
];

/// Calls of one kind of collective, and the bytes that this rank handed to them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Calls that were started.
    pub calls: u64,
    /// Payload of this rank, in bytes.
    pub bytes: u64,
}

/// What a rank has handed to each kind of collective since it joined.
///
/// An all-reduce of 10 float32 counts 40 bytes, whatever the number of ranks;
/// an all-gather counts the part, a reduce-scatter the whole, a broadcast the
/// tensor on every rank. `all_gather_bytes` of 5 bytes, where the longest rank
/// has 7, is an all-gather of 8 (the length) and one of 7. `broadcast_bytes`
/// is a broadcast of 8 and one of the length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Broadcasts.
    pub broadcast: Count,
    /// All-reduces.
    pub all_reduce: Count,
    /// All-gathers.
    pub all_gather: Count,
    /// Reduce-scatters.
    pub reduce_scatter: Count,
    /// Barriers, which carry nothing.
    pub barrier: Count,
}

/// One rank's place in a group of processes. The module's head says what holds
/// for all its collectives.
#[derive(Debug)]
pub struct Group {
    raw: *mut Opaque,
    backend: Backend,
    rank: usize,
    world: usize,
    traffic: Cell<Traffic>,
}

// SAFETY: nothing in a c10d group is tied to the thread that made it, and a
// group that is not Sync is used by one thread at a time.
unsafe impl Send for Group {}

impl Group {
    /// Joins the group of `world` ranks whose rank 0 listens at `host:port`.
    /// Returns when all ranks are connected to each other. `timeout` bounds
    /// this, and then every collective.
    ///
    /// Connections are bound to the address by which this machine reaches
    /// `host`, or to the interfaces that `GLOO_SOCKET_IFNAME` names.
    pub fn connect(
        backend: Backend,
        rank: usize,
        world: usize,
        host: &str,
        port: u16,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let unavailable = |why: &str| Error::Unavailable {
            rank,
            world,
            why: why.to_owned(),
        };
        if !is_built() {
            return Err(unavailable(
                "this binary was built without Gloo's headers, so without process groups; install libgloo-dev or run scripts/provision-libtorch.sh, then build again",
            ));
        }
        let nccl = match backend {
            Backend::Gloo => None,
            Backend::Nccl => Some(nccl::make().map_err(|why| unavailable(&why))?),
        };
        let failed = |why: String| Error::Connect {
            rank,
            world,
            host: host.to_owned(),
            port,
            why,
        };
        let (Ok(rank_i32), Ok(world_i32)) = (i32::try_from(rank), i32::try_from(world)) else {
            return Err(failed("there are not that many ranks".to_owned()));
        };
        let Some(last) = world.checked_sub(1) else {
            return Err(failed("a group has at least one rank".to_owned()));
        };
        if rank > last {
            return Err(failed(format!("ranks count from 0 to {last}")));
        }
        // Zero would mean no time-out to c10d, and a day is as good as none.
        let timeout = timeout.clamp(Duration::from_millis(1), Duration::from_secs(86_400));
        let interfaces = std::env::var("GLOO_SOCKET_IFNAME").unwrap_or_default();
        let address = if interfaces.is_empty() {
            address::towards(host, port).map_err(failed)?
        } else {
            String::new()
        };
        let text = |text: &str| {
            CString::new(text).map_err(|_| failed(format!("{text:?} holds a zero byte")))
        };
        let (host_c, address, interfaces) = (text(host)?, text(&address)?, text(&interfaces)?);
        let call = ffi::Connect {
            host: host_c.as_ptr(),
            address: address.as_ptr(),
            interfaces: interfaces.as_ptr(),
            timeout: timeout.as_millis() as i64,
            rank: rank_i32,
            world: world_i32,
            port,
        };
        let mut raw = ptr::null_mut();
        // SAFETY: the call and its strings outlive the call, which keeps none
        // of them, throws nothing and writes `raw` when it returns null.
        checked(unsafe { ffi::qinglan_group_connect(&raw const call, &raw mut raw) })
            .map_err(failed)?;
        let group = Self {
            raw,
            backend,
            rank,
            world,
            traffic: Cell::default(),
        };
        if let Some(make) = nccl {
            // SAFETY: the group is live, and `make` is of the same C++ as it.
            checked(unsafe { ffi::qinglan_group_add_nccl(group.raw, make) }).map_err(failed)?;
        }
        Ok(group)
    }

    /// This process's number, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The number of processes.
    pub fn world(&self) -> usize {
        self.world
    }

    /// Overwrites `tensor` with that of rank `root`.
    pub fn broadcast(&self, tensor: &Tensor, root: usize) -> Result<(), Error> {
        self.broadcast_as("broadcast", tensor, root)
    }

    /// Overwrites `tensor` with the sum over all ranks. All get the same bits.
    pub fn all_reduce(&self, tensor: &Tensor) -> Result<(), Error> {
        self.start("all_reduce", Collective::AllReduce, tensor, 0)?
            .wait()
    }

    /// Begins [`Group::all_reduce`] and does not wait. The tensor's numbers are
    /// anyone's guess until [`Pending::wait`] has returned, and are left alone
    /// until then. Several may be under way; all ranks begin them in one order.
    pub fn start_all_reduce(&self, tensor: &Tensor) -> Result<Pending, Error> {
        self.start("all_reduce", Collective::AllReduce, tensor, 0)
    }

    /// Fills `whole` with the `part` of every rank, by rank. Parts are of one
    /// size, and `whole` has room for exactly all of them.
    pub fn all_gather(&self, part: &Tensor, whole: &Tensor) -> Result<(), Error> {
        self.all_gather_as("all_gather", part, whole)
    }

    /// Sums `whole` over all ranks and leaves this rank's share of the sum in
    /// `part`: the shares are of one size and lie in `whole` by rank. On the CPU
    /// a large one goes in pieces, which take a few megabytes meanwhile.
    pub fn reduce_scatter(&self, whole: &Tensor, part: &Tensor) -> Result<(), Error> {
        const NAME: &str = "reduce_scatter";
        self.shares_match(NAME, part, whole)?;
        self.admit(NAME, Collective::ReduceScatter, part, Some(whole))?;
        let launch = |part: &Tensor, whole: &Tensor| {
            self.launch(NAME, Collective::ReduceScatter, Some(part), Some(whole), 0)
        };
        let row = (PIECE / (self.world * whole.kind().elt_size_in_bytes())).max(1) as i64;
        if whole.device() != Device::Cpu || part.numel() as i64 <= row {
            return launch(part, whole)?.wait();
        }
        let _no_grad = tch::no_grad_guard();
        let (part, whole) = (part.view([-1]), whole.view([self.world as i64, -1]));
        let mut before: Option<Pending> = None;
        let length = part.numel() as i64;
        for start in (0..length).step_by(row as usize) {
            let count = row.min(length - start);
            let shares = whole.narrow(1, start, count).contiguous();
            let pending = launch(&part.narrow(0, start, count), &shares)?;
            // One piece is on its way while the one before is summed.
            if let Some(before) = before.replace(pending) {
                before.wait()?;
            }
        }
        before.map_or(Ok(()), Pending::wait)
    }

    /// The `bytes` of every rank, by rank. They may differ in length.
    pub fn all_gather_bytes(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        const NAME: &str = "all_gather_bytes";
        let lengths = Tensor::zeros([self.world as i64], (Kind::Int64, Device::Cpu));
        let own = Tensor::from_slice(&[bytes.len() as i64]);
        self.all_gather_as(NAME, &own, &lengths)?;
        let lengths = self.numbers(NAME, &lengths)?;
        let longest = lengths.iter().copied().max().unwrap_or(0);
        if longest == 0 {
            return Ok(vec![Vec::new(); self.world]);
        }
        let options = (Kind::Uint8, Device::Cpu);
        let part = Tensor::zeros([longest as i64], options);
        part.narrow(0, 0, bytes.len() as i64)
            .copy_(&Tensor::from_slice(bytes));
        let whole = Tensor::zeros([(longest * self.world) as i64], options);
        self.all_gather_as(NAME, &part, &whole)?;
        let whole = self.bytes(NAME, &whole)?;
        Ok(whole
            .chunks(longest)
            .zip(lengths)
            .map(|(row, length)| row.get(..length).unwrap_or(row).to_vec())
            .collect())
    }

    /// Overwrites `bytes` with those of rank `root`, of whatever length.
    pub fn broadcast_bytes(&self, bytes: &mut Vec<u8>, root: usize) -> Result<(), Error> {
        const NAME: &str = "broadcast_bytes";
        let length = Tensor::from_slice(&[bytes.len() as i64]);
        self.broadcast_as(NAME, &length, root)?;
        let length = self.numbers(NAME, &length)?.first().copied().unwrap_or(0);
        if length == 0 {
            bytes.clear();
            return Ok(());
        }
        let tensor = if self.rank == root {
            Tensor::from_slice(bytes)
        } else {
            Tensor::zeros([length as i64], (Kind::Uint8, Device::Cpu))
        };
        self.broadcast_as(NAME, &tensor, root)?;
        *bytes = self.bytes(NAME, &tensor)?;
        Ok(())
    }

    /// Returns when every rank has come here.
    pub fn barrier(&self) -> Result<(), Error> {
        self.count(Collective::Barrier, 0);
        self.launch("barrier", Collective::Barrier, None, None, 0)?
            .wait()
    }

    /// What this rank has handed to collectives since it joined.
    pub fn traffic(&self) -> Traffic {
        self.traffic.get()
    }

    /// Closes the connections: the other ranks' collectives fail at once, and
    /// so do this one's. For a rank that has failed and is about to say so.
    pub fn abort(&self) {
        // SAFETY: the pointer is this group's own and live.
        unsafe { ffi::qinglan_group_abort(self.raw) }
    }

    fn broadcast_as(&self, name: &'static str, tensor: &Tensor, root: usize) -> Result<(), Error> {
        if root >= self.world {
            return Err(self.refused(name, format!("there is no rank {root}")));
        }
        self.start(name, Collective::Broadcast, tensor, root as i64)?
            .wait()
    }

    fn all_gather_as(
        &self,
        name: &'static str,
        part: &Tensor,
        whole: &Tensor,
    ) -> Result<(), Error> {
        self.shares_match(name, part, whole)?;
        self.admit(name, Collective::AllGather, part, Some(whole))?;
        if whole.device() != Device::Cpu {
            return self
                .launch(name, Collective::AllGather, Some(part), Some(whole), 0)?
                .wait();
        }
        // Gloo's own all-gather makes another whole and copies it. A broadcast
        // of each part sends as much and writes where the part belongs.
        let _no_grad = tch::no_grad_guard();
        let shares = whole.view([self.world as i64, -1]);
        let own = shares.get(self.rank as i64);
        if own.data_ptr() != part.data_ptr() {
            own.shallow_clone().copy_(&part.view([-1]));
        }
        let pending = (0..self.world as i64)
            .map(|root| {
                self.launch(
                    name,
                    Collective::Broadcast,
                    Some(&shares.get(root)),
                    None,
                    root,
                )
            })
            .collect::<Result<Vec<_>, _>>()?;
        pending.into_iter().try_for_each(Pending::wait)
    }

    fn shares_match(&self, name: &'static str, part: &Tensor, whole: &Tensor) -> Result<(), Error> {
        if part.kind() != whole.kind() {
            let (part, whole) = (part.kind(), whole.kind());
            return Err(self.refused(name, format!("the part is {part:?}, the whole {whole:?}")));
        }
        if part.numel().checked_mul(self.world) != Some(whole.numel()) {
            return Err(self.refused(
                name,
                format!(
                    "the whole has {} numbers, not {} parts of {}",
                    whole.numel(),
                    self.world,
                    part.numel()
                ),
            ));
        }
        Ok(())
    }

    fn start(
        &self,
        name: &'static str,
        collective: Collective,
        tensor: &Tensor,
        root: i64,
    ) -> Result<Pending, Error> {
        self.admit(name, collective, tensor, None)?;
        self.launch(name, collective, Some(tensor), None, root)
    }

    /// Checks the tensors and counts the payload.
    fn admit(
        &self,
        name: &'static str,
        collective: Collective,
        tensor: &Tensor,
        other: Option<&Tensor>,
    ) -> Result<(), Error> {
        for tensor in [Some(tensor), other].into_iter().flatten() {
            let device = tensor.device();
            let carried = match device {
                Device::Cpu => true,
                Device::Cuda(_) => self.backend == Backend::Nccl,
                _ => false,
            };
            if !carried {
                let backend = self.backend;
                return Err(self.refused(
                    name,
                    format!("the tensor is on {device:?}, which {backend:?} does not carry"),
                ));
            }
            if device != other.map_or(device, Tensor::device) {
                return Err(self.refused(name, "the tensors are on two devices".to_owned()));
            }
            if !KINDS.contains(&tensor.kind()) {
                let kind = tensor.kind();
                return Err(self.refused(name, format!("no group carries tensors of {kind:?}")));
            }
            if !tensor.is_contiguous() {
                return Err(self.refused(
                    name,
                    format!(
                        "a tensor of shape {:?} with strides {:?} is not contiguous",
                        tensor.size(),
                        tensor.stride()
                    ),
                ));
            }
        }
        let payload = match (collective, other) {
            (Collective::ReduceScatter, Some(whole)) => whole,
            _ => tensor,
        };
        let bytes = payload.numel() * payload.kind().elt_size_in_bytes();
        self.count(collective, bytes as u64);
        Ok(())
    }

    fn launch(
        &self,
        name: &'static str,
        collective: Collective,
        tensor: Option<&Tensor>,
        other: Option<&Tensor>,
        root: i64,
    ) -> Result<Pending, Error> {
        let pointer = |tensor: Option<&Tensor>| tensor.map_or(ptr::null(), Tensor::as_ptr);
        let mut raw = ptr::null_mut();
        // SAFETY: the group is live; tch's tensors are at::Tensor behind live
        // pointers for the length of the call, and the work takes shares in
        // them of its own; it throws nothing and writes `raw` when it returns
        // null.
        let failure = unsafe {
            ffi::qinglan_group_start(
                self.raw,
                collective,
                pointer(tensor),
                pointer(other),
                root,
                &raw mut raw,
            )
        };
        checked(failure).map_err(|why| self.refused(name, why))?;
        Ok(Pending {
            raw,
            rank: self.rank,
            world: self.world,
            collective: name,
        })
    }

    fn count(&self, collective: Collective, bytes: u64) {
        let mut traffic = self.traffic.get();
        let count = match collective {
            Collective::Broadcast => &mut traffic.broadcast,
            Collective::AllReduce => &mut traffic.all_reduce,
            Collective::AllGather => &mut traffic.all_gather,
            Collective::ReduceScatter => &mut traffic.reduce_scatter,
            Collective::Barrier => &mut traffic.barrier,
        };
        count.calls += 1;
        count.bytes += bytes;
        self.traffic.set(traffic);
    }

    fn refused(&self, collective: &'static str, why: String) -> Error {
        Error::Collective {
            rank: self.rank,
            world: self.world,
            collective,
            why,
        }
    }

    fn numbers(&self, name: &'static str, tensor: &Tensor) -> Result<Vec<usize>, Error> {
        let numbers = Vec::<i64>::try_from(tensor);
        let numbers = numbers.map_err(|error| self.refused(name, error.to_string()))?;
        let to_length = |number: i64| {
            usize::try_from(number)
                .map_err(|_| self.refused(name, format!("a rank announced {number} bytes")))
        };
        numbers.into_iter().map(to_length).collect()
    }

    fn bytes(&self, name: &'static str, tensor: &Tensor) -> Result<Vec<u8>, Error> {
        Vec::<u8>::try_from(tensor).map_err(|error| self.refused(name, error.to_string()))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: the pointer is this group's own, and this is its last use.
        unsafe { ffi::qinglan_group_free(self.raw) }
    }
}

/// A collective under way. Dropped before it is waited for, it goes on; its
/// tensor stays alive with it.
#[derive(Debug)]
#[must_use]
pub struct Pending {
    raw: *mut Opaque,
    rank: usize,
    world: usize,
    collective: &'static str,
}

// SAFETY: c10d's work is guarded by its own lock and tied to no thread.
unsafe impl Send for Pending {}

impl Pending {
    /// Returns when it has ended, or with what went wrong.
    pub fn wait(self) -> Result<(), Error> {
        // SAFETY: the pointer is this work's own and live.
        let failure = unsafe { ffi::qinglan_pending_wait(self.raw) };
        checked(failure).map_err(|why| Error::Collective {
            rank: self.rank,
            world: self.world,
            collective: self.collective,
            why,
        })
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // SAFETY: the pointer is this work's own, and this is its last use.
        unsafe { ffi::qinglan_pending_free(self.raw) }
    }
}

#[cfg(test)]
mod tests;
