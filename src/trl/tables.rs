//! Every setting of TRL 1.16 by its name, and what becomes of it in a definition: one file
//! a trainer, and what trainers share in files of its own.

mod arguments;
mod command_line;
mod gkd;
mod grpo;
mod online;
mod rloo;
mod sft;

use super::Trainer;

/// What becomes of a setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fate {
    /// It stands in the definition under this key, as it is. `algorithm`, `lora`,
    /// `demonstrations` are the arm's tables.
    Key(&'static str, Kind),
    /// It is worked out from several settings; what from.
    Decided(&'static str),
    /// The lab works as TRL does with one of these values (as JSON; TRL's default is the
    /// first), and another is not supported: what that changes.
    Unsupported(&'static [&'static str], &'static str),
    /// It says where, how fast or how loudly a training runs, not what is learned.
    Outside(&'static str),
}

/// What kind of value a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Count,
    Number,
    Flag,
    Text,
    Table,
    Range,
}

/// A setting's name and what becomes of it.
pub(super) type Row = (&'static str, Fate);

impl Trainer {
    /// The tables of its settings. No name stands in two of them.
    fn tables(self) -> &'static [&'static [Row]] {
        match self {
            Self::Grpo => &[
                grpo::OWN,
                online::SHARED,
                arguments::ALL,
                command_line::ALL,
                command_line::REWARDS,
            ],
            Self::Rloo => &[
                rloo::OWN,
                online::SHARED,
                arguments::ALL,
                command_line::ALL,
                command_line::REWARDS,
            ],
            Self::Sft => &[sft::OWN, sft::DATA, arguments::ALL, command_line::ALL],
            Self::Gkd => &[gkd::OWN, sft::DATA, arguments::ALL, command_line::ALL],
        }
    }

    /// The names of all its settings.
    pub(super) fn names(self) -> impl Iterator<Item = &'static str> {
        let rows = self.tables().iter().flat_map(|table| table.iter());
        rows.map(|(name, _)| *name)
    }

    /// What becomes of a setting; `None` where TRL 1.16 has none of that name.
    pub(super) fn fate(self, name: &str) -> Option<Fate> {
        let mut rows = self.tables().iter().flat_map(|table| table.iter());
        rows.find(|(known, _)| *known == name)
            .map(|(_, fate)| *fate)
    }
}
