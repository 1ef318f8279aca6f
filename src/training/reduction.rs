//! How gradients of several ranks become one, and how an optimizer is parted
//! among them.
//!
//! Without parts the gradient is summed in buckets: from the end of the vector
//! down, which is the order in which the backward pass is done with it, a bucket is
//! sent as soon as it is final, while the pass goes on below. Buckets are cut
//! where layers begin, alike on every rank, whatever a rank has to read.
//!
//! With parts each rank gets the sum of its own part alone, and after the
//! update everybody's weights. Parts are of one size, so the last may end in
//! numbers that belong to nothing.

use std::ops::Range;

use anyhow::Result;
use tch::{Kind, Tensor};
use torch_ext::distributed::{Error, Pending};

use crate::distributed::Ranks;

/// Numbers of a bucket at least, but of the last: 32 MiB, which a network
/// carries about as fast as anything larger.
const BUCKET: i64 = 1 << 23;

/// The sum of a gradient over ranks, under way.
pub(super) struct Buckets<'a> {
    /// Of what and among whom; `None` where nothing is summed.
    sum: Option<(Tensor, &'a Ranks)>,
    /// Where the buckets that are not sent begin and end, the next one last.
    waiting: Vec<Range<i64>>,
    under_way: Vec<Pending>,
    failure: Option<Error>,
}

/// Cuts `0..length` into buckets at some of the places `starts`, the last
/// bucket first in the vector.
fn cut(starts: &[i64], length: i64, least: i64) -> Vec<Range<i64>> {
    let mut end = length;
    let mut buckets = Vec::new();
    for &start in starts.iter().rev() {
        if end - start >= least {
            buckets.push(start..end);
            end = start;
        }
    }
    if end > 0 {
        buckets.push(0..end);
    }
    buckets.reverse();
    buckets
}

impl<'a> Buckets<'a> {
    /// The gradient's buckets, cut at some of the places where layers begin.
    pub(super) fn new(starts: &[i64], gradient_P: Option<&Tensor>, ranks: &'a Ranks) -> Self {
        let Some(gradient_P) = gradient_P.filter(|_| ranks.are_several()) else {
            return Self::none();
        };
        Self {
            waiting: cut(starts, gradient_P.numel() as i64, BUCKET),
            sum: Some((gradient_P.shallow_clone(), ranks)),
            ..Self::none()
        }
    }

    /// Nothing to sum.
    pub(super) fn none() -> Self {
        Self {
            sum: None,
            waiting: Vec::new(),
            under_way: Vec::new(),
            failure: None,
        }
    }

    /// Sends the buckets whose numbers all lie from `place` on; nothing is
    /// added to those any more.
    pub(super) fn begin(&mut self, place: i64) {
        let Some((gradient_P, ranks)) = &self.sum else {
            return;
        };
        while self.failure.is_none()
            && let Some(bucket) = self.waiting.pop_if(|bucket| bucket.start >= place)
            && let Some(group) = ranks.group()
        {
            let part = gradient_P.narrow(0, bucket.start, bucket.end - bucket.start);
            match group.start_all_reduce(&part) {
                Ok(pending) => self.under_way.push(pending),
                Err(error) => self.failure = Some(error),
            }
        }
    }

    /// Waits for the sum.
    pub(super) fn finish(mut self) -> Result<()> {
        self.begin(0);
        for pending in self.under_way {
            pending.wait()?;
        }
        self.failure.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// A vector `[P]` in parts of one size, one a rank.
///
/// Worked example: 10 numbers among 4 ranks are parts of 3, and 12 numbers with
/// what is beyond the end; rank 3 answers for the tenth alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts {
    count: i64,
    size: i64,
    rank: i64,
    world: i64,
}

impl Parts {
    /// Of `count` numbers.
    pub(super) fn new(count: i64, ranks: &Ranks) -> Self {
        Self::of(count, ranks.rank() as i64, ranks.world() as i64)
    }

    fn of(count: i64, rank: i64, world: i64) -> Self {
        Self {
            count,
            size: (count + world - 1) / world,
            rank,
            world,
        }
    }

    /// The numbers that this rank answers for.
    pub(super) fn own(&self) -> Range<i64> {
        let place = |rank: i64| (rank * self.size).min(self.count);
        place(self.rank)..place(self.rank + 1)
    }

    /// Numbers of all parts, those beyond the end included.
    pub(super) fn padded(&self) -> i64 {
        self.size * self.world
    }

    /// This rank's part of the sum of a vector of the padded length.
    pub(super) fn sum(&self, whole: &Tensor, ranks: &Ranks) -> Result<Tensor> {
        let part = Tensor::empty([self.size], (Kind::Float, whole.device()));
        if let Some(group) = ranks.group() {
            group.reduce_scatter(whole, &part)?;
        }
        let own = self.own();
        Ok(part.narrow(0, 0, own.end - own.start))
    }

    /// All parts of a vector `[P]` of which each rank has its own, `own`.
    pub(super) fn gather(&self, own: &Tensor, ranks: &Ranks) -> Result<Tensor> {
        let options = (Kind::Float, own.device());
        let part = Tensor::zeros([self.size], options);
        part.narrow(0, 0, own.numel() as i64).copy_(own);
        let whole = Tensor::empty([self.padded()], options);
        if let Some(group) = ranks.group() {
            group.all_gather(&part, &whole)?;
        }
        Ok(whole.narrow(0, 0, self.count))
    }

    /// Puts everybody's part into a vector `[P]` in which only the own is new.
    pub(super) fn exchange(&self, vector_P: &Tensor, ranks: &Ranks) -> Result<()> {
        let own = self.own();
        let part = vector_P.narrow(0, own.start, own.end - own.start);
        let whole_P = self.gather(&part, ranks)?;
        tch::no_grad(|| vector_P.shallow_clone().copy_(&whole_P));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cut_where_layers_begin_and_hold_everything() {
        // An embedding of 30, three layers of 10, and 5 after them.
        let starts = [30, 40, 50, 60];
        assert_eq!(cut(&starts, 65, 12), [0..30, 30..50, 50..65]);
        assert_eq!(cut(&starts, 65, 1), [0..30, 30..40, 40..50, 50..60, 60..65]);
        let whole = cut(&starts, 65, 1000);
        assert_eq!((whole.len(), whole.first()), (1, Some(&(0..65))));
        // Layers from the first place on, and nothing after them.
        assert_eq!(cut(&[0, 4, 8], 8, 2), [0..4, 4..8]);
        assert_eq!(cut(&[0], 0, 2), []);
    }

    #[test]
    fn parts_cover_every_number_once_and_may_be_empty() {
        for count in [1, 3, 10, 12] {
            for world in 1..6 {
                let mut next = 0;
                for rank in 0..world {
                    let parts = Parts::of(count, rank, world);
                    assert_eq!(parts.own().start, next);
                    assert!(parts.padded() >= count && parts.padded() < count + world);
                    next = parts.own().end;
                }
                assert_eq!(next, count);
            }
        }
    }
}
