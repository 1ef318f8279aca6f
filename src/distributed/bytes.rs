//! Numbers as bytes, four each, least first: what ranks tell of tokens. Of a
//! fixed width, so that what is sent can be told from what it holds.

use anyhow::{Context, Result, ensure};

/// Reads what another rank wrote.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Over all of a message.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .context("what another rank sent ends too early")?;
        self.rest = rest;
        Ok(taken)
    }

    fn words(&mut self, count: usize) -> Result<impl Iterator<Item = [u8; 4]> + 'a> {
        let length = count
            .checked_mul(4)
            .context("what another rank sent is of no possible length")?;
        let words = self.take(length)?.chunks_exact(4);
        Ok(words.filter_map(|word| word.try_into().ok()))
    }

    /// One byte.
    pub(crate) fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    /// A count.
    pub(crate) fn count(&mut self) -> Result<usize> {
        let word = self.words(1)?.next();
        Ok(u32::from_le_bytes(word.context("a count is missing")?) as usize)
    }

    /// Token ids.
    pub(crate) fn ids(&mut self, count: usize) -> Result<Vec<i64>> {
        let words = self.words(count)?;
        Ok(words
            .map(|word| i64::from(i32::from_le_bytes(word)))
            .collect())
    }

    /// Numbers.
    pub(crate) fn floats(&mut self, count: usize) -> Result<Vec<f32>> {
        Ok(self.words(count)?.map(f32::from_le_bytes).collect())
    }

    /// Refuses a message that holds more than was read.
    pub(crate) fn end(&self) -> Result<()> {
        ensure!(
            self.rest.is_empty(),
            "another rank sent {} bytes more than were expected",
            self.rest.len()
        );
        Ok(())
    }

    /// Whether all has been read.
    pub(crate) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }
}

/// Appends a count.
pub(crate) fn put_count(to: &mut Vec<u8>, count: usize) {
    to.extend((count as u32).to_le_bytes());
}

/// Appends token ids, which fit in 32 bits as vocabularies do.
pub(crate) fn put_ids(to: &mut Vec<u8>, ids: &[i64]) {
    to.extend(ids.iter().flat_map(|&id| (id as i32).to_le_bytes()));
}

/// Appends numbers.
pub(crate) fn put_floats(to: &mut Vec<u8>, values: &[f32]) {
    to.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_read_and_a_cut_message_is_refused() {
        let mut message = vec![9];
        put_count(&mut message, 2);
        put_ids(&mut message, &[3, 151_643]);
        put_floats(&mut message, &[-0.5, f32::NEG_INFINITY]);
        assert_eq!(message.len(), 1 + 4 + 2 * 4 + 2 * 4);
        let mut reader = Reader::new(&message);
        assert_eq!(reader.byte().unwrap(), 9);
        let count = reader.count().unwrap();
        assert_eq!(reader.ids(count).unwrap(), [3, 151_643]);
        assert!(reader.end().is_err());
        assert_eq!(reader.floats(count).unwrap(), [-0.5, f32::NEG_INFINITY]);
        assert!(reader.is_done() && reader.end().is_ok());
        let mut cut = Reader::new(&message[..8]);
        cut.byte().unwrap();
        let count = cut.count().unwrap();
        assert!(cut.ids(count).is_err());
        assert!(cut.floats(usize::MAX).is_err());
    }
}
