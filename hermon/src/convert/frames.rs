//! What all formats need: stacks with their frames and amounts.

use crate::report::{Estimate, Named, Place, StackId, Tally};

use super::Value;

/// A profile, as formats want it.
#[derive(Debug)]
pub struct Sheet<'n> {
    /// The profile and its names.
    pub named: &'n Named,
}

impl<'n> Sheet<'n> {
    /// Of this profile.
    pub const fn new(named: &'n Named) -> Self {
        Self { named }
    }

    /// All stacks.
    pub fn stacks(&self) -> impl Iterator<Item = &'n (StackId, Tally)> {
        self.named.profile.stacks.iter()
    }

    /// The frames of a stack, the innermost first, inlined ones too, each with its code.
    pub fn frames(&self, stack: StackId) -> impl Iterator<Item = (u64, &'n Place)> {
        self.named.names.places(&self.named.profile, stack)
    }

    /// The frames of a stack, the outermost first.
    pub fn outermost_first(&self, stack: StackId) -> Vec<&'n Place> {
        let mut frames: Vec<&Place> = self.frames(stack).map(|(_, place)| place).collect();
        frames.reverse();
        frames
    }

    /// What a frame is called where there is no room for its file and line.
    pub fn label(place: &Place) -> &str {
        match &*place.function {
            "" => "[unknown]",
            function => function,
        }
    }

    /// Bytes that so many hits stand for, in whole.
    pub fn bytes(&self, hits: u64) -> u64 {
        let Estimate { bytes, .. } = self.named.profile.scale().bytes(hits);
        bytes.round() as u64
    }

    /// Whether there is anything of this value.
    pub fn has(&self, value: Value) -> bool {
        self.stacks().any(|(_, tally)| value.hits(tally) > 0)
    }
}
