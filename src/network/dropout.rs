//! Dropout of adapters' inputs (Srivastava et al. 2014), as PEFT places it:
//! each adapted matrix drops numbers of its own input, and only in the passes
//! of an update.
//!
//! What is dropped has a name: the matrix, the update, the token's sequence up to
//! it, and the column. So the mask is drawn again where a pass needs it, instead of
//! kept, and is the same after a resumption, in micro-batches of another size and
//! on any number of ranks. Tokens of equal sequences in one update, such as those
//! of a prompt that rows share, have one mask.

use std::cell::{Cell, RefCell};

use rand::RngExt;
use rayon::prelude::*;
use tch::Tensor;

use crate::random::stream;

/// What the passes of one network drop.
pub(super) struct Dropout {
    share: f64,
    seed: u64,
    /// The update that the passes are of; nothing is dropped where there is none.
    update: Cell<Option<u64>>,
    /// Of the tokens of the batch that is in work, as [`super::Packed`] has them.
    histories: RefCell<Vec<u64>>,
}

/// Which numbers of one input are kept.
pub(super) struct Mask {
    dropped: Tensor,
    growth: f64,
}

impl Dropout {
    pub(super) fn new(share: f64, seed: u64) -> Self {
        Self {
            share,
            seed,
            update: Cell::new(None),
            histories: RefCell::default(),
        }
    }

    /// From here on drops what belongs to that update.
    pub(super) fn of_update(&self, update: u64) {
        self.update.set(Some(update));
    }

    /// From here on the passes are over a batch with these tokens.
    pub(super) fn over(&self, histories: &[u64]) {
        self.histories.replace(histories.to_vec());
    }

    /// The mask of a matrix's input `[S, in]`; `None` outside of updates.
    pub(super) fn mask(&self, matrix: &str, x: &Tensor) -> Option<Mask> {
        let update = self.update.get()?;
        let width = *x.size().last()? as usize;
        // Below a share of 2^32 numbers, which are drawn uniformly.
        let bound = (self.share * 2f64.powi(32)) as u32;
        let (seed, purpose) = (self.seed, format!("adapter dropout {matrix}"));
        let histories = self.histories.borrow();
        let mut dropped = vec![false; histories.len() * width];
        dropped
            .par_chunks_mut(width)
            .zip(histories.par_iter())
            .for_each(|(row, &history)| {
                let mut stream = stream(seed, &purpose, &[update, history]);
                row.fill_with(|| stream.random::<u32>() < bound);
            });
        let shape = [histories.len() as i64, width as i64];
        Some(Mask {
            dropped: Tensor::from_slice(&dropped)
                .view(shape)
                .to_device(x.device()),
            growth: 1.0 / (1.0 - self.share),
        })
    }
}

impl Mask {
    /// What is kept of an input, or of the gradient of what was kept.
    pub(super) fn apply(&self, x: &Tensor) -> Tensor {
        x.masked_fill(&self.dropped, 0.0) * self.growth
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn the_share_is_dropped_and_the_rest_grows_by_it() {
        let dropout = Dropout::new(0.25, 3);
        let histories: Vec<u64> = (0..200).collect();
        dropout.over(&histories);
        let x = Tensor::ones([200, 50], (Kind::Float, Device::Cpu));
        assert!(dropout.mask("q", &x).is_none());
        dropout.of_update(0);
        let kept = dropout.mask("q", &x).unwrap().apply(&x);
        // Of 10,000 draws, 2,500 in the mean with a deviation of 43.
        let dropped = 10_000 - kept.count_nonzero(None).int64_value(&[]);
        assert!((2_300..2_700).contains(&dropped), "{dropped}");
        assert!((kept.max().double_value(&[]) - 1.0 / 0.75).abs() < 1e-6);
        // Another matrix, another update, other tokens: other masks.
        let differs = |other: &Tensor| {
            let shared = kept.eq_tensor(other).to_kind(Kind::Float).mean(Kind::Float);
            // 0.75^2 + 0.25^2 of two independent ones agree.
            (shared.double_value(&[]) - 0.625).abs() < 0.03
        };
        assert!(differs(&dropout.mask("k", &x).unwrap().apply(&x)));
        dropout.of_update(1);
        assert!(differs(&dropout.mask("q", &x).unwrap().apply(&x)));
        dropout.of_update(0);
        assert_eq!(dropout.mask("q", &x).unwrap().apply(&x), kept);
        dropout.over(&(200..400).collect::<Vec<u64>>());
        assert!(differs(&dropout.mask("q", &x).unwrap().apply(&x)));
    }
}
