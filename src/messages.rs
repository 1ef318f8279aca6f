//! Messages to people, on standard error: `say!` in place of `eprintln!`.
//!
//! A message is not what a command is for, so whoever stopped reading
//! (`2>&1 | head`, a log reader that died) ends nothing: what cannot be written
//! is lost, where `eprintln!` would panic.

use std::fmt::Arguments;
use std::io::{self, Write};

use experiments::tables::plain;
use indicatif::MultiProgress;

/// Says a line on standard error.
macro_rules! say {
    ($($message:tt)*) => {
        $crate::messages::line(format_args!($($message)*))
    };
}
pub(crate) use say;

/// Writes a line in one piece, as several ranks may write to one terminal, with
/// nothing in it that the terminal would obey: messages quote names from files.
pub(crate) fn line(message: Arguments<'_>) {
    write(&plain::lines(&format!("{message}\n")));
}

/// Where warnings go. Escapes stay: they are of the colours, those of a message
/// have been taken out.
pub(crate) struct Warnings;

impl Write for Warnings {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let kept = |c| {
            if matches!(c, '\n' | '\x1b') {
                c
            } else {
                plain::letter(c)
            }
        };
        write(
            &String::from_utf8_lossy(bytes)
                .chars()
                .map(kept)
                .collect::<String>(),
        );
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Says a line above bars of progress, which are drawn again at their next step.
/// `MultiProgress::suspend` would panic where the terminal is gone.
pub(crate) fn above(bars: &MultiProgress, message: Arguments<'_>) {
    let _ = bars.clear();
    line(message);
}

/// Writes a text as it stands.
pub(crate) fn write(text: &str) {
    let mut stream = io::stderr().lock();
    // Nobody is there to be told that nobody reads.
    let _ = stream
        .write_all(text.as_bytes())
        .and_then(|()| stream.flush());
}
