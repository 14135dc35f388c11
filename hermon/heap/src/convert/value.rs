//! The bytes of a stack that a format shows.

use core::fmt;

use crate::named::Named;
use crate::profile::Tally;

/// Which bytes are shown, where a format holds one number for a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Value {
    /// All that was allocated
    Allocated,
    /// What is alive at the end
    Live,
    /// What was alive when the most was
    Peak,
    /// What was temporary
    Temporary,
}

impl Value {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Allocated, Self::Live, Self::Peak, Self::Temporary];

    /// The hits that are shown of a stack. Those at the peak are known only of a profile that was told to keep them
    /// ([`Settings::snapshot`](crate::profile::Settings::snapshot)).
    pub(crate) const fn hits(self, tally: &Tally) -> u64 {
        match self {
            Self::Allocated => tally.allocated.hits,
            Self::Live => tally.live.hits,
            Self::Peak => tally.snapshot.hits,
            Self::Temporary => tally.temporary.hits,
        }
    }

    /// The hits of all stacks.
    pub fn sum(self, named: &Named) -> u64 {
        let hits = named.stacks().map(|(_, tally)| self.hits(tally));
        hits.fold(0, u64::saturating_add)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allocated => "bytes allocated",
            Self::Live => "bytes alive at the end",
            Self::Peak => "bytes alive at the peak",
            Self::Temporary => "temporary bytes",
        })
    }
}
