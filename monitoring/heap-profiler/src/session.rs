//! The reading half of the hook: memory, sessions, records. Runs in the consumer's task, never inside the allocator.
//! Only `prepare` allocates.

use super::Rate;
use super::hook::{Hook, Rest};
use super::live::Live;
use super::losses::Losses;
use super::profile::{
    LossCause, Lost, MAX_RING_BYTES, MIN_RING_BYTES, Peek, PrepareError, Record, Settings,
    StartError, memory_bytes, slots,
};
use super::ring::{Entry, Frames, Nothing, Ring};
use super::sampler::Chances;
use super::word::Word;
use sync::store_load_fence;

impl Hook {
    pub fn prepare(&self, settings: Settings) -> Result<usize, PrepareError> {
        let Settings {
            ring_bytes,
            machine,
        } = settings;
        if self.rest.is_completed() {
            return Err(PrepareError::Twice);
        }
        if !ring_bytes.is_power_of_two() || !(MIN_RING_BYTES..=MAX_RING_BYTES).contains(&ring_bytes)
        {
            return Err(PrepareError::RingBytes(ring_bytes));
        }
        if !(1..=u32::MAX as usize + 1).contains(&machine.code.len()) {
            return Err(PrepareError::Code(machine.code));
        }
        let bytes = memory_bytes(ring_bytes);
        let no_memory = |_| PrepareError::Memory { bytes };
        let live = Live::new(slots(ring_bytes)).map_err(no_memory)?;
        let ring = Ring::new(ring_bytes / size_of::<Word>()).map_err(no_memory)?;
        let bytes = live.bytes() + ring.bytes();
        let mut mine = false;
        let rest = self.rest.call_once(|| {
            mine = true;
            Rest {
                session: Word::new(0),
                inside: Word::new(0),
                chances: Chances::new(),
                live,
                ring,
                machine,
                ring_full: Losses::none(),
                live_full: Losses::none(),
            }
        });
        if !mine {
            return Err(PrepareError::Twice);
        }
        self.hot.set_filter(rest.live.filter());
        Ok(bytes)
    }

    pub fn start(&self, rate: Rate, seed: u64) -> Result<(), StartError> {
        let rest = self.rest.get().ok_or(StartError::NotPrepared)?;
        let session = rest.session.load();
        if session & 1 == 1 {
            return Err(StartError::Running);
        }
        store_load_fence();
        if rest.inside.load() != 0 {
            return Err(StartError::Busy);
        }
        rest.live.clear();
        rest.ring.clear();
        for losses in [&rest.ring_full, &rest.live_full] {
            losses.tell(losses.untold());
        }
        rest.chances.set(rate, seed);
        self.hot.set_mask(rest.live.mask());
        rest.session.publish(session + 1);
        // Last: a task that ends the countdown must find a session.
        self.hot.countdown.start(&rest.chances);
        Ok(())
    }

    pub fn stop(&self) {
        let Some(rest) = self.rest.get() else { return };
        let session = rest.session.load();
        if session & 1 == 1 {
            // First: then no further task enters the slow path.
            self.hot.countdown.stop();
            self.hot.set_mask(0);
            rest.session.publish(session + 1);
            store_load_fence();
            // Otherwise some frees take the slow path in vain until the next session begins.
            if rest.inside.load() == 0 {
                rest.live.clear();
            }
        }
    }

    pub fn is_sampling(&self) -> bool {
        self.rest
            .get()
            .is_some_and(|rest| rest.session.load() & 1 == 1)
    }

    pub fn slots(&self) -> usize {
        self.rest.get().map_or(0, |rest| rest.live.slots())
    }

    pub fn lost(&self) -> Lost {
        let Some(rest) = self.rest.get() else {
            return Lost::default();
        };
        let [ring_full, ring_words, ring_hits] = rest.ring_full.load();
        let [live_full, live_words, live_hits] = rest.live_full.load();
        Lost {
            ring_full,
            live_full,
            words: ring_words.wrapping_add(live_words),
            hits: ring_hits.wrapping_add(live_hits),
        }
    }

    pub fn peek<'f>(&self, frames: &'f mut Frames) -> Peek<'f> {
        let Some(rest) = self.rest.get() else {
            return Peek::Empty;
        };
        match rest.ring.peek(rest.machine.code.start, frames) {
            Err(Nothing::Empty) => rest.peek_lost(),
            Err(Nothing::Unfinished) => Peek::Unfinished,
            Ok(Entry::Free { slot, ticks }) => Peek::Record(Record::Free { ticks, slot }),
            Ok(Entry::Alloc {
                sample,
                frames: stack,
                truncated,
            }) => Peek::Record(Record::Alloc {
                ticks: sample.ticks,
                slot: sample.slot,
                words: sample.words,
                hits: sample.hits,
                stack,
                truncated,
            }),
        }
    }

    pub fn take(&self, record: &Record<'_>) {
        let Some(rest) = self.rest.get() else { return };
        match *record {
            Record::Alloc { .. } | Record::Free { .. } => rest.ring.take(),
            Record::Lost {
                cause,
                blocks,
                words,
                hits,
                ..
            } => rest.losses(cause).tell([blocks, words, hits]),
        }
    }
}

impl Rest {
    fn losses(&self, cause: LossCause) -> &Losses {
        match cause {
            LossCause::RingFull => &self.ring_full,
            LossCause::LiveFull => &self.live_full,
        }
    }

    fn peek_lost(&self) -> Peek<'static> {
        for cause in [LossCause::RingFull, LossCause::LiveFull] {
            let [blocks, words, hits] = self.losses(cause).untold();
            if hits > 0 {
                return Peek::Record(Record::Lost {
                    ticks: (self.machine.ticks)(),
                    cause,
                    blocks,
                    words,
                    hits,
                });
            }
        }
        Peek::Empty
    }
}
