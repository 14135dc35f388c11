//! Samples that could not be recorded, by cause: counted by whoever loses them, told once by the consumer.

use core::ops::ControlFlow;

use super::profile::{LossCause, Record};
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

    /// All up to these numbers were told.
    pub fn tell(&self, upto: [u64; 3]) {
        for (told, value) in self.told.iter().zip(upto) {
            told.set(value);
        }
    }

    /// Shows to `take` what has yet to be told; false if it was not taken.
    pub fn show(
        &self,
        cause: LossCause,
        ticks: fn() -> u64,
        take: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> bool {
        let all = self.load();
        let [blocks, words, hits] = [0, 1, 2].map(|n| all[n].wrapping_sub(self.told[n].get()));
        if hits == 0 {
            return true;
        }
        let record = Record::Lost {
            ticks: ticks(),
            cause,
            blocks,
            words,
            hits,
        };
        if take(record).is_break() {
            return false;
        }
        self.tell(all);
        true
    }
}
