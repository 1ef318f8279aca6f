//! How far two quantities agree in rank, in n log n.
//!
//! What it deliberately does not do: test for significance.

/// How a point stands to the others of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Standing {
    /// Points to which it stands in the same order by both quantities, less
    /// those to which the orders are opposite.
    pub(super) net: i64,
    /// Points with another second quantity.
    pub(super) comparable: u64,
}

/// Each point's standing, in the points' order; all quantities are finite,
/// and none is -0.
///
/// Going up by the second quantity, a tree of counts by rank of the first says
/// how many of the points passed lie below and above; going down, the rest.
pub(super) fn standings(points: &[(f64, f64)]) -> Vec<Standing> {
    let mut firsts: Vec<f64> = points.iter().map(|point| point.0).collect();
    firsts.sort_by(f64::total_cmp);
    let rank = |value: f64| firsts.partition_point(|first| *first < value);

    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|a, b| points[*a].1.total_cmp(&points[*b].1));
    let mut standings = vec![Standing::default(); points.len()];
    for sign in [1, -1] {
        let mut passed = Counts::new(points.len());
        for tied in order.chunk_by(|a, b| points[*a].1.total_cmp(&points[*b].1).is_eq()) {
            for index in tied {
                let rank = rank(points[*index].0);
                let above = passed.total - passed.below(rank + 1);
                let net = passed.below(rank).cast_signed() - above.cast_signed();
                standings[*index].net += sign * net;
                standings[*index].comparable += passed.total;
            }
            for index in tied {
                passed.add(rank(points[*index].0));
            }
        }
        order.reverse();
    }
    standings
}

/// Kendall's tau-b; `None` where either quantity does not vary.
pub(super) fn tau_b(points: &[(f64, f64)]) -> Option<f64> {
    let net: i64 = standings(points).iter().map(|standing| standing.net).sum();
    let firsts = different_pairs(points.iter().map(|point| point.0));
    let seconds = different_pairs(points.iter().map(|point| point.1));
    let most = (firsts * seconds).sqrt();
    // Rounding may take a perfect agreement past 1.
    (most > 0.0).then(|| (net as f64 / most).clamp(-1.0, 1.0))
}

/// Ordered pairs of different values.
fn different_pairs(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let all = values.len();
    let different = values
        .chunk_by(|a, b| a.total_cmp(b).is_eq())
        .map(|tied| (tied.len() * (all - tied.len())) as f64);
    different.sum()
}

/// Counts by rank: a binary indexed tree (Fenwick 1994).
struct Counts {
    /// Node i, counted from 1, holds the sum of the ranks up to i - 1, as many
    /// as the lowest bit of i.
    tree: Vec<u64>,
    total: u64,
}

impl Counts {
    fn new(ranks: usize) -> Self {
        Self {
            tree: vec![0; ranks + 1],
            total: 0,
        }
    }

    fn add(&mut self, rank: usize) {
        self.total += 1;
        let mut node = rank + 1;
        while let Some(count) = self.tree.get_mut(node) {
            *count += 1;
            node += node & node.wrapping_neg();
        }
    }

    /// How many have a rank below `rank`, which is at most the number of ranks.
    fn below(&self, rank: usize) -> u64 {
        let mut sum = 0;
        let mut node = rank;
        while node > 0 {
            sum += self.tree[node];
            node &= node - 1;
        }
        sum
    }
}
