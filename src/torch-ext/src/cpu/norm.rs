//! RMSNorm, and picking rows: of the embedding, or of those tokens whose
//! logits are wanted.

use tch::{Kind, Tensor};

use super::{KINDS, empty, expect, expect_kind, ffi, matrix};

/// `x / sqrt(mean(x^2) + eps) * weight` of each row of x `[N, D]`, which is
/// the residual stream, in float32 whatever the layers compute in. `out` is
/// what the next layer takes. [`layers::norm`](crate::layers::norm) is the same
/// kernel between libtorch's products, on their threads.
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64, out: Kind) -> Tensor {
    run(x, weight, eps, out, None)
}

/// The norm in `out`; for training with room `[N]` for the factors of its rows.
pub(crate) fn run(
    x: &Tensor,
    weight: &Tensor,
    eps: f64,
    out: Kind,
    factors: Option<&Tensor>,
) -> Tensor {
    let (rows, width) = matrix(x, "rms_norm: x");
    expect(x, "rms_norm: x", &[Kind::Float], &[rows, width]);
    expect(weight, "rms_norm: weight", &[Kind::Float], &[width]);
    expect_kind(out);
    if let Some(factors) = factors {
        expect(factors, "rms_norm: factors", &[Kind::Float], &[rows]);
    }
    let y = empty([rows, width], out);
    // SAFETY: shapes and types were checked above and live until the end.
    ffi::check(unsafe {
        ffi::qinglan_norm(&ffi::Norm {
            x: x.data_ptr().cast(),
            weight: weight.data_ptr().cast(),
            y: y.data_ptr(),
            factors: factors.map_or(std::ptr::null_mut(), |factors| factors.data_ptr().cast()),
            rows,
            width,
            eps: eps as f32,
            bf16: out == Kind::BFloat16,
            products: factors.is_some(),
        })
    });
    y
}

/// The rows `indices` of a table `[R, D]`, as Float `[N, D]`.
///
/// torch's own selection would run on its own threads, which wait for each
/// other however busy the machine is.
pub fn gather_rows(table: &Tensor, indices: &[i64]) -> Tensor {
    let (rows, width) = matrix(table, "table");
    expect(table, "table", &KINDS, &[rows, width]);
    assert!(
        indices.iter().all(|index| (0..rows).contains(index)),
        "an index is outside the {rows} rows of the table"
    );
    let y = empty([indices.len() as i64, width], Kind::Float);
    // SAFETY: as above; every index was checked.
    ffi::check(unsafe {
        ffi::qinglan_gather(&ffi::Gather {
            table: table.data_ptr(),
            rows: indices.as_ptr(),
            y: y.data_ptr().cast(),
            count: indices.len() as i64,
            width,
            bf16: table.kind() == Kind::BFloat16,
        })
    });
    y
}
