//! What further slots for a code are worth, and whether they can be paid.
//!
//! A code has a slot of its own, whose prediction follows only what came after the code the last time. Where stacks
//! that share functions take turns, their tails break into several codewords, again and again. Slots that serve one
//! tail alone end that: 8 bytes more, once, for each of its codes up to the last break; 2 or 3 bytes less each time.
//! That is the question whether to rent skis or to buy them, with its known answer: rent first. A tail is bought its
//! slots when its breaks have cost half of their price: with the whole price a wrong guess costs less, but programs
//! come back to their stacks, and traces of the demo image took up to 0.7 % more.
//!
//! **Never more than memtrace's writer.** Nobody knows whether a tail comes back, so only what was saved is spent:
//! a trace that ends early must not be larger for it. The balance is what a writer with one slot for each code, as
//! memtrace's is, would have taken for the same stacks, less what was taken. To it comes what that writer's packets
//! have cost it beyond ours ([`Headers`]): the first slots are bought with that, after some thousand events. This
//! is an account, not a proof; `tests/memtrace/size.rs` compares.

use alloc::boxed::Box;
use alloc::vec;

use super::headers::Headers;
use super::tail::Tail;

/// Tails that are observed. An image has some hundred kinds of stacks, and those that have their slots need no entry; of
/// two tails that share one, the other is not observed. Twice as many made no difference to real traces.
const TAILS: usize = 1 << 9;
/// Codes of which is known what came after them. What two that share an entry cost without further slots counts as less
/// than it is.
const FOLLOWERS: usize = 1 << 10;

/// Bytes outside the value itself.
pub(super) const MEMORY: usize = TAILS * size_of::<Observed>() + FOLLOWERS * size_of::<Follower>();

/// Bytes of a codeword that puts a code into a slot.
const PRICE: usize = 10;
/// Bytes that are not spent: a tail that has no slots may break more often because those of others are predicted, which is
/// counted only when it has happened. Without it, one in 28,000 beginnings of traces was a byte longer than memtrace's.
const RESERVE: i32 = 16;
/// What an observed tail loses of what it paid when another comes to its entry, which it keeps as long as there is
/// more: about three breaks, so that what comes rarely does not drive out what comes often.
const VISIT: u8 = 8;
/// With this balance no more is counted, which saves a pass over each tail: it pays for 600 slots, and for what the
/// notes on what came after which code are wrong by when counting begins again, at most 3 bytes each.
const PLENTY: i32 = 6 << 10;
const _: () = assert!(PLENTY as usize >= 2 * 3 * FOLLOWERS);

/// A tail that took several codewords.
#[derive(Clone, Copy, Default)]
struct Observed {
    /// Bits of its hash.
    tag: u16,
    /// Bytes beyond those of one codeword, in all since it is observed.
    paid: u8,
    /// Codes before its last codeword.
    before_last: u8,
}

/// What came after a code the last time: bits of both codes' hashes. Nothing is known if `after` is 0.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Follower {
    code: u16,
    after: u16,
}

/// How a tail was written.
pub(super) struct Written {
    /// Of its codewords.
    pub(super) bytes: usize,
    /// Codes before its last codeword.
    pub(super) before_last: usize,
    /// Whether slots were bought for it.
    pub(super) bought: bool,
    /// Whether a code was put into a slot because it had none: so it would have been without further slots.
    pub(super) missed: bool,
}

/// The account of one trace.
pub(super) struct Account {
    tails: Box<[Observed]>,
    followers: Box<[Follower]>,
    balance: i32,
    pub(super) headers: Headers,
}

impl Account {
    pub(super) fn new() -> Self {
        Self {
            tails: vec![Observed::default(); TAILS].into_boxed_slice(),
            followers: vec![Follower::default(); FOLLOWERS].into_boxed_slice(),
            balance: 0,
            headers: Headers::default(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.tails.fill(Observed::default());
        self.followers.fill(Follower::default());
        self.balance = 0;
        self.headers = Headers::default();
    }

    /// For how many of the tail's codes slots should be bought, and can be.
    #[inline]
    pub(super) fn due(&self, tail: &Tail<'_>) -> usize {
        let (entry, tag) = entry(tail);
        let observed = &self.tails[entry];
        let count = usize::from(observed.before_last);
        let due = observed.tag == tag
            && 2 * usize::from(observed.paid) >= count * (PRICE - 2)
            && self.balance + self.headers.saved() >= (count * PRICE) as i32 + RESERVE;
        if due { count } else { 0 }
    }

    /// A tail is in the stream.
    #[inline]
    pub(super) fn note(&mut self, tail: &Tail<'_>, written: &Written) {
        if self.balance < PLENTY {
            let (without, unknown) = self.without(tail.codes);
            if !written.missed {
                let saved = without - written.bytes as i32;
                // What is not known is taken to be as it was with the slots there are.
                let saved = saved.max((saved + 3 * unknown).min(0));
                self.balance = self.balance.saturating_add(saved);
            }
        } else if written.bought {
            self.balance -= written.bytes as i32;
        }
        if written.before_last > 0 || written.bought {
            self.observe(tail, written);
        }
    }

    /// A tail of several codewords.
    fn observe(&mut self, tail: &Tail<'_>, written: &Written) {
        let (entry, tag) = entry(tail);
        let observed = &mut self.tails[entry];
        if observed.tag != tag && observed.paid > VISIT {
            observed.paid -= VISIT;
            return;
        }
        let before = if observed.tag == tag {
            observed.paid
        } else {
            0
        };
        let broken = written.bytes as i32 - hit(tail.codes.len());
        *observed = Observed {
            tag,
            // What was bought begins anew: it may turn out not to be enough.
            paid: if written.bought {
                0
            } else {
                before.saturating_add(broken.clamp(0, u8::MAX.into()) as u8)
            },
            before_last: written.before_last as u8,
        };
    }

    /// Bytes of the tail's codewords if each code had one slot: a codeword, and another wherever a code is followed
    /// by another one than the last time; and of how many codes that is not known. Notes what follows now.
    fn without(&mut self, codes: &[u32]) -> (i32, i32) {
        let hash = |code: u32| code.wrapping_mul(0x9E37_79B1);
        let (mut bytes, mut run, mut unknown) = (0, 1, 0);
        let mut code = hash(codes[0]);
        for after in &codes[1..] {
            let after = hash(*after);
            let now = Follower {
                code: (code >> 6) as u16,
                after: (after >> 16) as u16 | 1,
            };
            let noted = &mut self.followers[(code >> 22) as usize % FOLLOWERS];
            let last = core::mem::replace(noted, now);
            if last != now {
                if last.code == now.code && last.after != 0 {
                    bytes += hit(run);
                    run = 0;
                } else {
                    unknown += 1;
                }
            }
            run += 1;
            code = after;
        }
        (bytes + hit(run), unknown)
    }
}

/// Bytes of a codeword for so many codes, none of which is new.
const fn hit(codes: usize) -> i32 {
    if codes > 2 { 3 } else { 2 }
}

/// Where a tail is observed, and as what.
fn entry(tail: &Tail<'_>) -> (usize, u16) {
    let hash = tail.hash();
    ((hash >> 23) as usize % TAILS, (hash >> 7) as u16)
}
