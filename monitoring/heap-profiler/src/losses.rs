//! Samples that could not be recorded, by cause. The task that loses a sample counts it; the consumer reports it once.

use super::word::Word;

/// Samples that were lost for one cause: blocks, words, hits.
#[derive(Debug)]
pub(super) struct Losses {
    all: [Word; 3],
    /// The part that was reported. Only the consumer writes it.
    told: [Word; 3],
}

impl Losses {
    pub fn none() -> Self {
        let zeros = || core::array::from_fn(|_| Word::new(0));
        Self {
            all: zeros(),
            told: zeros(),
        }
    }

    #[cold]
    pub fn add(&self, words: u64, hits: u64) {
        let [all_blocks, all_words, all_hits] = &self.all;
        all_blocks.add(1);
        all_words.add(words);
        all_hits.add(hits);
    }

    pub fn load(&self) -> [u64; 3] {
        self.all.each_ref().map(Word::load)
    }

    /// Returns the part that is still to be reported.
    pub fn untold(&self) -> [u64; 3] {
        let all = self.load();
        core::array::from_fn(|n| all[n].wrapping_sub(self.told[n].get()))
    }

    /// Adds to the reported part.
    pub fn tell(&self, more: [u64; 3]) {
        for (told, more) in self.told.iter().zip(more) {
            told.set(told.get().wrapping_add(more));
        }
    }
}
