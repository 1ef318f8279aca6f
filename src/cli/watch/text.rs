//! Text that a model or a file brought, made fit for a terminal.

pub(super) use experiments::tables::plain::line as shown;

/// The beginning of a text, in at most so many letters.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept = text.chars().take(most.saturating_sub(1));
    kept.chain("…".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_by_letters() {
        assert_eq!(cut("晴嵐と山", 3), "晴嵐…");
        assert_eq!(cut("晴嵐", 2), "晴嵐");
    }
}
