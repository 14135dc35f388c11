//! Random numbers for initial sequence numbers, ports and jitter. **Not for secrets.**

use crate::{cpu, sys};

/// The number of tries: a working generator fails this often with vanishing probability (Intel DRNG Software Implementation Guide,
/// 5.2.1).
const TRIES: u32 = 10;

/// Returns a number that is hard to guess, from RDRAND where the processor has it. Otherwise the number is mixed from the clocks,
/// and two calls in one tick of the counter return the same.
pub fn u64() -> u64 {
    if cpu::has_rdrand() {
        // SAFETY: the processor has just said that it has the instruction.
        if let Some(random) = unsafe { rdrand() } {
            return random;
        }
    }
    mix(cpu::time_stamp() ^ mix(sys::sys_unix_micros()))
}

/// # Safety
/// The processor must have RDRAND.
#[target_feature(enable = "rdrand")]
unsafe fn rdrand() -> Option<u64> {
    let mut random = 0;
    (0..TRIES)
        .any(|_| core::arch::x86_64::_rdrand64_step(&mut random) == 1)
        .then_some(random)
}

/// The finaliser of SplitMix64: every bit of the input moves about half of the output's (Steele, Lea, Flood 2014).
fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
