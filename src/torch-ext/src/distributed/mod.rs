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
mod bytes;
mod error;
mod ffi;
mod nccl;
mod pending;
mod start;
mod traffic;

pub use error::Error;
pub use pending::Pending;
pub use traffic::{Count, Traffic};

use std::cell::Cell;
use std::ffi::CString;
use std::ptr;
use std::time::Duration;

use tch::{Device, Tensor};

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

/// Bytes of a whole that a reduce-scatter on the CPU has in one piece: enough to
/// keep the connections busy, and little memory to take for it.
const PIECE: usize = 8 << 20;

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
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: the pointer is this group's own, and this is its last use.
        unsafe { ffi::qinglan_group_free(self.raw) }
    }
}

#[cfg(test)]
mod tests;
