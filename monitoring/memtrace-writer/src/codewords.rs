//! The codewords of a stack.
//!
//! ```text
//! codeword = slot << 2 | how      0: its code      2: its code, n predicted    u8 n
//!                                 1: and the one   3: a new code comes into    u64 code
//!                                    predicted        the slot
//! ```

use super::account::{Account, Written};
use super::cache::{Cache, Run, START, SlotNumber};
use super::packet::Packet;
use super::stack::CODES_MAX;
use super::tail::Tail;

const HIT: SlotNumber = 0;
const HIT_AND_ONE: SlotNumber = 1;
const HIT_AND_MORE: SlotNumber = 2;
const MISS: SlotNumber = 3;

/// A code that has to be defined before the event.
pub(super) struct Undefined(pub(super) u32);

/// What the codewords of a stack depend on, from one event to the next.
pub(super) struct Codewords {
    pub(super) cache: Cache,
    pub(super) account: Account,
    pub(super) ahead: Ahead,
}

/// Bytes outside the value itself.
pub(super) const MEMORY: usize = super::cache::MEMORY + super::account::MEMORY;

impl Codewords {
    pub(super) fn new() -> Self {
        Self {
            cache: Cache::new(),
            account: Account::new(),
            ahead: Ahead::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.cache.clear();
        self.account.clear();
        self.ahead.clear();
    }

    /// Writes the codewords for `tail` and returns how many. If a code is undefined, what was changed in the cache has to
    /// be [taken back](Cache::take_back), and what was written.
    #[inline]
    pub(super) fn write(&mut self, tail: Tail<'_>, packet: &mut Packet) -> Result<u8, Undefined> {
        if tail.codes.is_empty() {
            return Ok(0);
        }
        let begin = packet.place();
        let mut out = Out {
            cache: &mut self.cache,
            packet,
            previous: START,
            count: 0,
        };
        let mut rest = tail;
        let due = self.account.due(&tail);
        if due > 0 {
            rest = out.buy(rest, due);
        }
        let bought = out.count > 0;
        let (mut missed, mut before_last) = (false, 0);
        while let [code, inner @ ..] = rest.codes {
            before_last = tail.codes.len() - rest.codes.len();
            let slot = out.cache.find_for(&rest);
            let hit = match slot.or_else(|| out.cache.find(*code)) {
                Some(slot) => match out.cache.link_and_follow(out.previous, slot, inner) {
                    Some(run) => Some(out.hit(slot, run)),
                    None => out.hit_own(*code, inner),
                },
                None => None,
            };
            if let Some(run) = hit {
                if run == inner.len() {
                    break;
                }
                rest = rest.skip(1 + run);
            } else if self.ahead.contains(*code) {
                let slot = out.cache.put(*code);
                out.miss(slot, *code);
                missed = true;
                rest = rest.skip(1);
            } else {
                return Err(Undefined(*code));
            }
        }
        let count = out.count;
        let written = Written {
            bytes: packet.place() - begin,
            before_last,
            bought,
            missed,
        };
        self.account.note(&tail, &written);
        Ok(count)
    }
}

/// The codewords so far.
struct Out<'a> {
    cache: &'a mut Cache,
    packet: &'a mut Packet,
    /// The slot of the last frame.
    previous: SlotNumber,
    count: u8,
}

impl Out<'_> {
    /// A codeword for a code's own slot: where one that serves this tail does not lead to where a run may end.
    #[cold]
    fn hit_own(&mut self, code: u32, inner: &[u32]) -> Option<usize> {
        let slot = self.cache.find(code)?;
        let run = self.cache.link_and_follow(self.previous, slot, inner)?;
        Some(self.hit(slot, run))
    }

    #[inline]
    fn hit(&mut self, slot: SlotNumber, run: Run) -> usize {
        match run.count {
            0 => self.packet.bytes(&(slot << 2 | HIT).to_le_bytes()),
            1 => self.packet.bytes(&(slot << 2 | HIT_AND_ONE).to_le_bytes()),
            count => {
                let [low, high] = (slot << 2 | HIT_AND_MORE).to_le_bytes();
                self.packet.bytes(&[low, high, count]);
            }
        }
        self.previous = run.last;
        self.count += 1;
        usize::from(run.count)
    }

    #[inline]
    fn miss(&mut self, slot: SlotNumber, code: u32) {
        self.cache.link(self.previous, slot);
        self.packet.bytes(&(slot << 2 | MISS).to_le_bytes());
        self.packet.bytes(&u64::from(code).to_le_bytes());
        self.previous = slot;
        self.count += 1;
    }

    /// Gives the first `due` codes of a tail slots that serve it alone, as far as there is room for them and the
    /// codes are defined. Returns the rest of the tail.
    #[cold]
    fn buy<'t>(&mut self, mut rest: Tail<'t>, due: usize) -> Tail<'t> {
        let end = rest.codes.len().saturating_sub(due);
        while rest.codes.len() > end
            && let [code, inner @ ..] = rest.codes
        {
            if let Some(slot) = self.cache.find_for(&rest) {
                // Such a slot's prediction may be changed here, because it serves this tail.
                self.cache.link(self.previous, slot);
                let run = self
                    .cache
                    .predicted_alone(slot, &inner[..inner.len() - end]);
                rest = rest.skip(1 + self.hit(slot, run));
                continue;
            }
            if self.cache.find(*code).is_none() {
                break;
            }
            let Some(slot) = self.cache.put_for(&rest) else {
                break;
            };
            self.miss(slot, *code);
            rest = rest.skip(1);
        }
        rest
    }
}

/// Codes that are defined in the stream but not yet in the cache: those of the event that is being attempted.
pub(super) struct Ahead {
    codes: [u32; CODES_MAX],
    /// How many were pushed since it was cleared. Those of the current attempt always have a place; of an
    /// attempt that the caller gave up they are overwritten, and defined again should they come back.
    pushed: usize,
}

impl Ahead {
    const fn new() -> Self {
        Self {
            codes: [0; CODES_MAX],
            pushed: 0,
        }
    }

    pub(super) const fn clear(&mut self) {
        self.pushed = 0;
    }

    fn contains(&self, code: u32) -> bool {
        self.codes[..self.pushed.min(CODES_MAX)].contains(&code)
    }

    pub(super) const fn push(&mut self, code: u32) {
        self.codes[self.pushed % CODES_MAX] = code;
        self.pushed += 1;
    }
}
