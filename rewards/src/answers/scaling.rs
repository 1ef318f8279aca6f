//! Words beside a number that scale it, calculate with it, bound it or doubt it.
//!
//! A number beside such a word is not what the answer says.

/// Words after a number with which it is another number, or none.
const AFTER: &str = " times plus minus less more fewer halves half third thirds quarter quarters \
    hundred hundreds thousand thousands dozen dozens pair pairs couple couples score scores \
    gross grosses tens ones grand grands kilo kilos mega megs giga gigs mil mils bn mn tn mio mrd \
    lakh lakhs lac lacs crore crores myriad myriads trio trios triples doubles twins \
    percent percents percentage percentages permille mille bps basis points percentile pi pis tau \
    factorial factorials squared cubed square squares cube cubes root roots power powers \
    exponents logs decades centuries mod modulo divided over to or and perhaps maybe \
    always yes this thus sometimes besides across versus was does has hence us \
    guess guesses errors mistakes squareroot inverses reciprocals negatives raised ";
/// Words that end in `th` or `ths` and are no fractions.
const NO_FRACTIONS: &str = " month months with both paths baths moths myths cloths booths growths \
    depths lengths widths sloths youths truths mouths ";
/// Words before a number with which it is another number, or none.
const BEFORE: &str = " least most than over under above below about around approximately approx \
    roughly nearly almost exceeds minus negative plus times by half third quarter twice double \
    triple first last another from between until squared root power exponent log ln sqrt exp sin cos tan abs mod ";
/// Words of which a number is the argument: `the square of 5`.
const FUNCTIONS: &str = " square cube root reciprocal inverse negative opposite half third quarter \
    sum product factorial logarithm log sine cosine tangent double triple twice multiple multiples \
    power powers absolute complement negation fraction percent ";

fn among(words: &str, word: &str) -> bool {
    words.split_ascii_whitespace().any(|known| known == word)
}

/// Whether `word`, in lower case, makes another number of the one before it.
pub(super) fn scales(word: &str) -> bool {
    let singular = word.strip_suffix('s').unwrap_or(word);
    among(AFTER, word)
        || singular.ends_with("illion")
        || singular.ends_with("illiard")
        || (singular.ends_with("th") && !among(NO_FRACTIONS, word))
}

/// Whether the words before a number, in lower case, the last one last, make
/// another number of it.
pub(super) fn changes(before: &[String]) -> bool {
    let Some((last, rest)) = before.split_last() else {
        return false;
    };
    let argument = last == "of" && rest.last().is_some_and(|word| among(FUNCTIONS, word));
    argument || among(BEFORE, last)
}
