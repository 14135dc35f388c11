//! Samples of what an attacker cannot see, for keys of sequence numbers, ports and challenges.
//!
//! One source alone may be missing or weak: QEMU's translator has no RDRAND unless the processor model has it, and a clock can be
//! guessed. So all are taken, and the caller hashes them: RDRAND, the number of cycles that short pieces of work take (which
//! changes with the host's caches, interrupts and other machines), and the clocks. Nobody has measured how many bits the cycles are
//! worth; a host that sees the machine's memory needs no guess anyway.

use crate::{cpu, sys};

/// The number of tries: a working generator fails this often with vanishing probability (Intel DRNG Software Implementation Guide,
/// 5.2.1).
const TRIES: u32 = 10;

/// Samples of RDRAND: 512 bits, of which a hash keeps 256.
const RANDOM: usize = 8;

/// Samples of cycles. If each has one bit that cannot be guessed, they make a key of 256 bits.
const TIMINGS: usize = 256;

/// The number of samples.
pub const SAMPLES: usize = RANDOM + TIMINGS + 2;

/// Returns new samples. It takes about 0.1 ms. Hash all of them: most bits of a sample are not random.
pub fn samples() -> [u64; SAMPLES] {
    let mut samples = [0; SAMPLES];
    let (random, rest) = samples.split_at_mut(RANDOM);
    let (timings, clocks) = rest.split_at_mut(TIMINGS);
    if cpu::has_rdrand() {
        for sample in random {
            // SAFETY: the processor has just said that it has the instruction.
            *sample = unsafe { rdrand() }.unwrap_or(0);
        }
    }
    let mut last = cpu::time_stamp();
    for sample in timings {
        // The work depends on the last timing, so that each shifts all later ones.
        for _ in 0..last & 63 {
            core::hint::spin_loop();
        }
        let now = cpu::time_stamp();
        *sample = now.wrapping_sub(last);
        last = now;
    }
    clocks.copy_from_slice(&[last, sys::sys_unix_micros()]);
    samples
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
