//! Samples that could not be recorded, by cause: counted by whoever loses them, told once by the consumer.

use super::word::Word;

/// Samples that were lost for one cause: blocks, words, hits.
#[derive(Debug)]
pub(super) struct Losses {
    all: [Word; 3],
    /// The consumer's: what of them was told.
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

    /// What has yet to be told.
    pub fn untold(&self) -> [u64; 3] {
        let all = self.load();
        core::array::from_fn(|n| all[n].wrapping_sub(self.told[n].get()))
    }

    /// So much more was told.
    pub fn tell(&self, more: [u64; 3]) {
        for (told, more) in self.told.iter().zip(more) {
            told.set(told.get().wrapping_add(more));
        }
    }
}
