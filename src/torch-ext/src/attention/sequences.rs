//! Which tokens of a packed batch belong together.

/// Where tokens lie that follow each other, as the C side declares it.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Span {
    start: i64,
    length: i64,
}

/// Sequences laid end to end, in groups: a trunk, and branches that go on from
/// its end and do not see each other.
///
/// Worked example: a prompt of 3 tokens with completions of 2 and 4, then a
/// sequence of 5 of its own, 14 tokens in all:
///
/// ```
/// let mut sequences = torch_ext::attention::Sequences::default();
/// sequences.trunk(3);
/// sequences.branch(2);
/// sequences.branch(4);
/// sequences.trunk(5);
/// assert_eq!((sequences.tokens(), sequences.longest()), (14, 7));
/// assert_eq!(sequences.positions()[3..9], [3, 4, 3, 4, 5, 6]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Sequences {
    pub(super) spans: Vec<Span>,
    /// Where each group's spans begin.
    pub(super) groups: Vec<i64>,
    tokens: i64,
    longest: i64,
}

impl Sequences {
    /// Begins a group with a sequence of so many tokens.
    pub fn trunk(&mut self, length: i64) {
        self.groups.push(self.spans.len() as i64);
        self.push(length);
        self.longest = self.longest.max(length);
    }

    /// Goes on from the end of the last trunk.
    ///
    /// # Panics
    /// If there is no trunk.
    pub fn branch(&mut self, length: i64) {
        let trunk = *self.groups.last().expect("a branch follows a trunk");
        self.longest = self.longest.max(self.spans[trunk as usize].length + length);
        self.push(length);
    }

    fn push(&mut self, length: i64) {
        assert!(length > 0, "a sequence has at least one token");
        self.spans.push(Span {
            start: self.tokens,
            length,
        });
        self.tokens += length;
    }

    /// Tokens in all.
    pub fn tokens(&self) -> i64 {
        self.tokens
    }

    /// Tokens from a trunk's beginning to the end of its longest branch, at most.
    pub fn longest(&self) -> i64 {
        self.longest
    }

    /// Each token's place in its sequence; a branch goes on from its trunk.
    pub fn positions(&self) -> Vec<i64> {
        let mut positions = Vec::with_capacity(self.tokens as usize);
        for (base, span) in self.based() {
            positions.extend(base..base + span.length);
        }
        positions
    }

    /// Every sequence from its beginning: where its trunk's part and its own
    /// lie, as (start, length); a trunk's own sequence has no trunk's part.
    pub fn parts(&self) -> impl Iterator<Item = ((i64, i64), (i64, i64))> + '_ {
        self.based()
            .zip(self.trunks())
            .map(|((base, span), trunk)| ((trunk.start, base), (span.start, span.length)))
    }

    /// The trunk of each span.
    fn trunks(&self) -> impl Iterator<Item = Span> + '_ {
        let mut group = 0;
        (0..self.spans.len()).map(move |index| {
            while self.groups.get(group + 1) == Some(&(index as i64)) {
                group += 1;
            }
            self.spans[self.groups[group] as usize]
        })
    }

    /// Each span with the position of its first token.
    fn based(&self) -> impl Iterator<Item = (i64, Span)> + '_ {
        self.trunks().zip(&self.spans).map(|(trunk, &span)| {
            let own = trunk.start == span.start;
            (if own { 0 } else { trunk.length }, span)
        })
    }
}
