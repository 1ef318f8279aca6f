//! The signs of mathematics, in Unicode, ASCII and LaTeX, as one sign each.
//!
//! What it deliberately does not do: give a sign a meaning. A command that is
//! not listed here is the name of something (`\alpha`, `\sin`).

/// LaTeX commands that are such signs.
const COMMANDS: [(&str, char); 20] = [
    ("cdot", '*'),
    ("times", '*'),
    ("ast", '*'),
    ("div", '/'),
    ("pm", '±'),
    ("mp", '∓'),
    ("le", '≤'),
    ("leq", '≤'),
    ("leqslant", '≤'),
    ("ge", '≥'),
    ("geq", '≥'),
    ("geqslant", '≥'),
    ("ne", '≠'),
    ("neq", '≠'),
    ("lt", '<'),
    ("gt", '>'),
    ("in", '∈'),
    ("cup", '∪'),
    ("cap", '∩'),
    ("setminus", '∖'),
];

/// Commands that make room or set a size, and say nothing.
const SILENT: [&str; 14] = [
    "left",
    "right",
    "quad",
    "qquad",
    "displaystyle",
    "textstyle",
    "limits",
    "big",
    "bigl",
    "bigr",
    "bigg",
    "biggl",
    "biggr",
    "mathstrut",
];

/// The sign that `text` begins with, and what follows.
pub(super) fn sign(text: &str) -> Option<(char, &str)> {
    let mut chars = text.chars();
    let first = chars.next()?;
    let rest = chars.as_str();
    let doubled = |second: char| rest.strip_prefix(second);
    let (sign, twice) = match first {
        '*' => ('*', doubled('*').map(|rest| ('^', rest))),
        '<' => ('<', doubled('=').map(|rest| ('≤', rest))),
        '>' => ('>', doubled('=').map(|rest| ('≥', rest))),
        '=' => ('=', doubled('=').map(|rest| ('=', rest))),
        '!' => return doubled('=').map(|rest| ('≠', rest)),
        '+' | '-' | '/' | '^' | ':' | '±' | '∓' | '≤' | '≥' | '≠' | '≈' | '∈' | '∪' | '∩' | '∖' => {
            (first, None)
        }
        '×' | '·' | '⋅' | '∙' => ('*', None),
        '÷' | '∕' | '⁄' => ('/', None),
        '⩽' => ('≤', None),
        '⩾' => ('≥', None),
        '\\' => {
            let (name, rest) = command(text)?;
            let (_, sign) = COMMANDS.iter().find(|(known, _)| *known == name)?;
            return Some((*sign, rest));
        }
        _ => return None,
    };
    Some(twice.unwrap_or((sign, rest)))
}

/// The name of the command that `text` begins with, and what follows.
pub(super) fn command(text: &str) -> Option<(&str, &str)> {
    let name = text.strip_prefix('\\')?;
    let end = name
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(name.len());
    (end > 0).then(|| name.split_at(end))
}

/// What follows the room at the start of `text`.
pub(super) fn after_room(mut text: &str) -> &str {
    // Most of what is read has no room before it; 0xE2 begins a thin space.
    if !matches!(text.as_bytes().first(), Some(b' ' | b'~' | b'\\' | 0xE2)) {
        return text;
    }
    loop {
        let mut rest = text.trim_start_matches([' ', '\u{2009}', '\u{202F}']);
        // Elsewhere it says "about", or is an operator.
        if rest.starts_with("~\\") {
            rest = rest.strip_prefix('~').unwrap_or(rest);
        }
        if rest.starts_with('\\') {
            for room in ["\\,", "\\!", "\\;", "\\:", "\\ "] {
                rest = rest.strip_prefix(room).unwrap_or(rest);
            }
            if let Some((name, after)) = command(rest)
                && SILENT.contains(&name)
            {
                rest = after;
            }
        }
        if rest.len() == text.len() {
            return text;
        }
        text = rest;
    }
}

/// What a fraction in one character is made of.
pub(super) fn vulgar(c: char) -> Option<(i128, i128)> {
    Some(match c {
        '½' => (1, 2),
        '⅓' => (1, 3),
        '⅔' => (2, 3),
        '¼' => (1, 4),
        '¾' => (3, 4),
        '⅕' => (1, 5),
        '⅖' => (2, 5),
        '⅗' => (3, 5),
        '⅘' => (4, 5),
        '⅙' => (1, 6),
        '⅚' => (5, 6),
        '⅐' => (1, 7),
        '⅛' => (1, 8),
        '⅜' => (3, 8),
        '⅝' => (5, 8),
        '⅞' => (7, 8),
        '⅑' => (1, 9),
        '⅒' => (1, 10),
        _ => return None,
    })
}

/// The digit or the minus sign that a superscript stands for.
pub(super) fn superscript(c: char) -> Option<char> {
    Some(match c {
        '⁻' => '-',
        '⁰' => '0',
        '¹' => '1',
        '²' => '2',
        '³' => '3',
        '⁴' => '4',
        '⁵' => '5',
        '⁶' => '6',
        '⁷' => '7',
        '⁸' => '8',
        '⁹' => '9',
        _ => return None,
    })
}

/// The name by which LaTeX calls a letter or sign.
pub(super) fn named(c: char) -> Option<&'static str> {
    Some(match c {
        'π' => "pi",
        'α' => "alpha",
        'β' => "beta",
        'γ' => "gamma",
        'δ' => "delta",
        'θ' => "theta",
        'λ' => "lambda",
        'μ' => "mu",
        'σ' => "sigma",
        'φ' => "phi",
        'ω' => "omega",
        '∞' => "infty",
        '∅' => "emptyset",
        _ => return None,
    })
}
