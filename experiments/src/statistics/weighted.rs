//! Correlation and ranks under multiplicities: a bootstrap draw is the same
//! items with other multiplicities, so no resample is ever copied out.

use super::correlation::FEWEST;

/// Weighted sums of pairs, for a correlation under multiplicities.
///
/// Give it values centred near 0 and scaled near 1: the sums are raw, and the
/// test for absent variance takes 1 as the values' magnitude.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moments {
    n: f64,
    x: f64,
    y: f64,
    xx: f64,
    yy: f64,
    xy: f64,
}

impl Moments {
    /// Adds the pair (x, y) w times.
    #[inline]
    pub fn add(&mut self, w: f64, x: f64, y: f64) {
        self.n += w;
        self.x += w * x;
        self.y += w * y;
        self.xx += w * x * x;
        self.yy += w * y * y;
        self.xy += w * x * y;
    }

    /// What a pair (x, y) that counts n times adds to each of the six sums.
    pub(crate) fn terms(n: f64, x: f64, y: f64) -> [f64; 6] {
        let mut one = Self::default();
        one.add(n, x, y);
        [one.n, one.x, one.y, one.xx, one.yy, one.xy]
    }

    /// The sums of many such terms.
    pub(crate) fn of([n, x, y, xx, yy, xy]: [f64; 6]) -> Self {
        Self {
            n,
            x,
            y,
            xx,
            yy,
            xy,
        }
    }

    /// Pearson's correlation of what was added; `None` below three pairs or without variance.
    #[inline]
    pub fn pearson(&self) -> Option<f64> {
        if self.n < FEWEST as f64 {
            return None;
        }
        let sxx = self.xx - self.x * self.x / self.n;
        let syy = self.yy - self.y * self.y / self.n;
        let sxy = self.xy - self.x * self.y / self.n;
        // Raw sums cancel: what is left of equal values is about 1e-15 of their squares.
        if sxx <= 1e-13 * self.n || syy <= 1e-13 * self.n {
            return None;
        }
        Some((sxy / (sxx.sqrt() * syy.sqrt())).clamp(-1.0, 1.0))
    }
}

/// Values nearer than this, relative to their size, are equal but for rounding:
/// a mean of logarithms summed in another order, or of other factors of the same
/// product, differs in its last bits. Whole tokens never differ so little.
const ROUNDING: f64 = 1e-13;

/// The sorted order of values and where equal ones lie in it, computed once,
/// so that ranks under multiplicities cost one pass. Values that differ by
/// rounding alone count as equal.
#[derive(Debug, Clone)]
pub struct Ties {
    order: Vec<usize>,
    /// End (exclusive) in `order` of each run of equal values.
    ends: Vec<usize>,
}

impl Ties {
    /// Sorts the values.
    pub fn of(values: &[f64]) -> Self {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
        let mut ends = Vec::new();
        for at in 1..=order.len() {
            let equal = |next: usize| {
                let (value, last) = (values[next], values[order[at - 1]]);
                value - last <= ROUNDING * value.abs().max(last.abs())
            };
            if !order.get(at).is_some_and(|&next| equal(next)) {
                ends.push(at);
            }
        }
        Self { order, ends }
    }

    /// The places of each run of equal values, in ascending order of value.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &[usize]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, &end)| &self.order[start..end])
    }

    /// Average ranks of the values when value i occurs `weights[i]` times.
    pub fn ranks(&self, weights: &[f64], ranks: &mut [f64]) {
        let (mut start, mut before) = (0, 0.0);
        for &end in &self.ends {
            let run = &self.order[start..end];
            let here: f64 = run.iter().map(|&i| weights[i]).sum();
            for &i in run {
                ranks[i] = before + f64::midpoint(here, 1.0);
            }
            before += here;
            start = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::correlation::{average_ranks, pearson};

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    }

    #[test]
    fn weights_are_repetitions() {
        let (x, y, w) = (
            [0.1, -0.4, 0.9, 0.3],
            [1.0, 0.2, -0.5, 0.8],
            [2.0, 0.0, 1.0, 3.0],
        );
        let repeated =
            |v: &[f64]| -> Vec<f64> { [0, 0, 2, 3, 3, 3].iter().map(|&i: &usize| v[i]).collect() };
        let mut moments = Moments::default();
        for i in 0..4 {
            moments.add(w[i], x[i], y[i]);
        }
        let (rx, ry) = (repeated(&x), repeated(&y));
        close(
            moments.pearson().expect("defined"),
            pearson(&rx, &ry).expect("defined"),
        );
        let mut ranks = [0.0; 4];
        Ties::of(&x).ranks(&w, &mut ranks);
        assert_eq!(repeated(&ranks), average_ranks(&rx));
        let mut flat = Moments::default();
        (0..5).for_each(|_| flat.add(1.0, 0.1, 0.7));
        assert_eq!(flat.pearson(), None);
    }
}
