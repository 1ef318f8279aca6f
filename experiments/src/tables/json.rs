//! The comparison itself as JSON, unrounded, for other programs.

use crate::comparison::Comparison;

/// `comparison.json`, ending in a newline.
///
/// What is written is read back first: JSON has no NaN, and a comparison that
/// holds one would otherwise be found unreadable only later, by its reader.
pub fn render(comparison: &Comparison) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(comparison)?;
    serde_json::from_str::<Comparison>(&text)?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::tables::layout;

    #[test]
    fn reads_back_to_the_same_tables() {
        let comparison = fixture::comparison();
        let text = render(&comparison).unwrap();
        let read: Comparison = serde_json::from_str(&text).unwrap();
        assert_eq!(layout::document(&read), layout::document(&comparison));
        assert_eq!(read.curves.len(), comparison.curves.len());
    }

    #[test]
    fn a_nan_is_an_error_here_and_not_for_the_reader() {
        let mut comparison = fixture::comparison();
        comparison.curves[0].points[0].1 = f64::NAN;
        assert!(render(&comparison).is_err());
    }
}
