//! How a collective begins: its tensors are checked, its payload is counted, and
//! c10d is called.

use std::ptr;

use tch::{Device, Kind, Tensor};

use super::ffi::{self, Collective, checked};
use super::{Backend, Error, Group, Pending};

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

impl Group {
    pub(super) fn shares_match(
        &self,
        name: &'static str,
        part: &Tensor,
        whole: &Tensor,
    ) -> Result<(), Error> {
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

    pub(super) fn start(
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
    pub(super) fn admit(
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

    pub(super) fn launch(
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

    /// Counts a call of this rank.
    pub(super) fn count(&self, collective: Collective, bytes: u64) {
        let mut traffic = self.traffic.get();
        traffic.add(collective, bytes);
        self.traffic.set(traffic);
    }

    pub(super) fn refused(&self, collective: &'static str, why: String) -> Error {
        Error::Collective {
            rank: self.rank,
            world: self.world,
            collective,
            why,
        }
    }
}
