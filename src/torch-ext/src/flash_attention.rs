//! Attention over sequences of different lengths, on CUDA, without padding.
//!
//! Two uses of one operator of libtorch: `packed` for training and scoring,
//! where every sequence attends to itself up to each query, and `decode` for generation, where
//! one query a sequence attends to what its cache holds. Keys and values have
//! as many heads as they have; nothing repeats them. There is no fallback
//! here: on another device, or in 32 bits, the operator refuses with an error.
//!
//! What the kernels want: float16 or bfloat16, a head width that is a multiple
//! of 8 and at most 256, an Ampere GPU or newer. Products of queries and keys are
//! multiplied by `scale`. With a window w a query sees its own key and the w - 1
//! before it. Caps of scores are not served.
//!
//! Axes: B sequence, N token of the packed batch, S position of the cache,
//! H query head, K key and value head, E width of a head.

use std::ffi::{CStr, c_char};
use std::ptr;

use tch::{Kind, TchError, Tensor};
use torch_sys::C_tensor;

unsafe extern "C" {
    fn qinglan_flash_attention(
        query: *const C_tensor,
        key: *const C_tensor,
        value: *const C_tensor,
        query_starts: *const C_tensor,
        key_starts: *const C_tensor,
        key_lengths: *const C_tensor,
        longest_query: i64,
        longest_key: i64,
        causal: bool,
        scale: f64,
        before: i64,
        output: *mut *mut C_tensor,
    ) -> *const c_char;
}

/// Causal attention of packed sequences, with its gradient: queries, keys and
/// values, where the queries' and the keys' sequences begin, and the longest of
/// each.
///
/// `starts` (int32, on the device) hold where each sequence begins, and the
/// end: sequences of 3, 1 and 4 tokens are `[0, 3, 4, 8]`. A sequence may have
/// more keys than queries: the queries are then its last tokens. `longest` are
/// at least the longest of them. The kernel trusts all of these: they are not
/// read back to be checked.
///
/// Queries are `[N, H, E]`, the others `[N', K, E]` with K dividing H.
pub fn packed(
    tensors: [&Tensor; 3],
    starts: [&Tensor; 2],
    longest: [i64; 2],
    scale: f64,
    window: Option<i64>,
) -> Result<Tensor, TchError> {
    let reach = Reach {
        causal: true,
        scale,
        window,
    };
    attend(tensors, starts, None, longest, reach)
}

/// Where the rows of a cache of one layout begin, for [`decode`].
///
/// It is the same for every layer and step of a cache of one shape, so it is
/// made once; a recorded graph then only reads it.
#[derive(Debug)]
pub struct CacheLayout {
    size: Vec<i64>,
    stride: Vec<i64>,
    queries_B1: Tensor,
    keys_B1: Tensor,
}

impl CacheLayout {
    /// The layout of `keys_BSKE`, and of every tensor with its shape and strides.
    ///
    /// A cache that is stored `[B, K, S, E]` is passed as its transpose of axes
    /// 1 and 2: only the last axis must be dense. For `[B, S, K, E]` stored so,
    /// with S = 100, row `b` begins at position `100 b` of the flat cache.
    pub fn of(keys_BSKE: &Tensor) -> Result<Self, TchError> {
        let size = keys_BSKE.size();
        let stride = keys_BSKE.stride();
        let (&[rows, positions, heads, width], &[row, position, _, 1]) =
            (size.as_slice(), stride.as_slice())
        else {
            return Err(TchError::Shape(format!(
                "a cache is [B, S, K, E] with a dense last axis, not {size:?} with strides {stride:?}"
            )));
        };
        if [rows, positions, heads, width, position].contains(&0) || row % position != 0 {
            return Err(TchError::Shape(format!(
                "a cache of shape {size:?} with strides {stride:?} has no flat view by positions"
            )));
        }
        let places = |step: i64| {
            let options = (Kind::Int, keys_BSKE.device());
            let end = rows.checked_mul(step).and_then(|end| end.checked_add(1));
            let end = end.filter(|&end| i32::try_from(end).is_ok());
            let end = end.ok_or_else(|| {
                TchError::Shape(format!(
                    "a cache of shape {size:?} is too long for 32-bit places"
                ))
            })?;
            Tensor::f_arange_start_step(0, end, step, options)
        };
        Ok(Self {
            queries_B1: places(1)?,
            keys_B1: places(row / position)?,
            size,
            stride,
        })
    }

    /// The cache as the operator takes it: all its positions along one axis.
    fn flat(&self, tensor_BSKE: &Tensor) -> Result<Tensor, TchError> {
        if tensor_BSKE.size() != self.size || tensor_BSKE.stride() != self.stride {
            return Err(TchError::Shape(format!(
                "this layout is of {:?} with strides {:?}, the cache is {:?} with strides {:?}",
                self.size,
                self.stride,
                tensor_BSKE.size(),
                tensor_BSKE.stride()
            )));
        }
        let (&[rows, positions, heads, width], &[row, position, head, last]) =
            (self.size.as_slice(), self.stride.as_slice())
        else {
            unreachable!("`of` has taken four axes")
        };
        tensor_BSKE.f_as_strided(
            [(rows - 1) * (row / position) + positions, heads, width],
            [position, head, last],
            None,
        )
    }
}

/// Attention of one query a row to the first `lengths_B[b]` positions of its
/// row in the cache, those just written included, or to the last of them in a
/// window. Records no gradient.
///
/// `query_B1HE` is `[B, 1, H, E]`, as is the result; `keys_BSKE` and
/// `values_BSKE` are of the layout; `lengths_B` is int32 on the device and at
/// most S, which the kernel trusts. A row of length 0 gives zeros.
pub fn decode(
    query_B1HE: &Tensor,
    keys_BSKE: &Tensor,
    values_BSKE: &Tensor,
    lengths_B: &Tensor,
    layout: &CacheLayout,
    scale: f64,
    window: Option<i64>,
) -> Result<Tensor, TchError> {
    // The operator's gradient knows nothing of the lengths.
    let _no_grad = tch::no_grad_guard();
    let keys = layout.flat(keys_BSKE)?;
    let values = layout.flat(values_BSKE)?;
    let output_BHE = attend(
        [&query_B1HE.f_squeeze_dim(1)?, &keys, &values],
        [&layout.queries_B1, &layout.keys_B1],
        Some(lengths_B),
        [1, layout.size[1]],
        Reach {
            causal: false,
            scale,
            window,
        },
    )?;
    output_BHE.f_unsqueeze(1)
}

/// Which keys a query sees, and by what its products with them are multiplied.
#[derive(Clone, Copy)]
struct Reach {
    causal: bool,
    scale: f64,
    window: Option<i64>,
}

fn attend(
    [query, key, value]: [&Tensor; 3],
    [query_starts, key_starts]: [&Tensor; 2],
    key_lengths: Option<&Tensor>,
    [longest_query, longest_key]: [i64; 2],
    reach: Reach,
) -> Result<Tensor, TchError> {
    let before = match reach.window {
        None => -1,
        Some(window @ 1..) => window - 1,
        Some(window) => {
            return Err(TchError::Shape(format!(
                "a window of {window} positions shows nothing"
            )));
        }
    };
    let mut output = ptr::null_mut();
    // SAFETY: tch's tensors are at::Tensor behind live pointers for the length
    // of the call; the callee keeps none of them, throws nothing, and writes
    // `output` when it returns null.
    unsafe {
        let error = qinglan_flash_attention(
            query.as_ptr(),
            key.as_ptr(),
            value.as_ptr(),
            query_starts.as_ptr(),
            key_starts.as_ptr(),
            key_lengths.map_or(ptr::null(), Tensor::as_ptr),
            longest_query,
            longest_key,
            reach.causal,
            reach.scale,
            before,
            &raw mut output,
        );
        if error.is_null() {
            Ok(Tensor::from_ptr(output))
        } else {
            let message = CStr::from_ptr(error).to_string_lossy().into_owned();
            Err(TchError::Torch(message))
        }
    }
}

#[cfg(test)]
mod tests;
