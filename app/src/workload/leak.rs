//! A service with a leak to find: [`mixed`](super::mixed), and one function that never frees its blocks.

use alloc::boxed::Box;
use core::hint::black_box;

use super::mixed::Mixed;

/// The sessions that a step opens and never closes.
pub const SESSIONS: usize = 16;
/// The size of a session in bytes. With [`SESSIONS`], a step leaks 4 KiB. The image makes 100 steps a second, so it leaks 400 KiB/s
/// at most. The 10 MiB heap of the smallest guest (24 MiB) was used up after 23 s; a heap of 1 GiB lasts most of an hour.
pub const SESSION_BYTES: usize = 256;

/// The leaking service.
#[derive(Debug)]
pub struct Leak {
    service: Mixed,
    sessions: u64,
}

impl Leak {
    /// Returns a service that has leaked nothing yet.
    pub fn new(seed: u64) -> Self {
        Self {
            service: Mixed::new(seed),
            sessions: 0,
        }
    }

    /// Returns the bytes leaked until now.
    pub fn leaked_bytes(&self) -> u64 {
        self.sessions * SESSION_BYTES as u64
    }

    /// Makes a step of `mixed`, and allocates [`SESSIONS`] blocks of [`SESSION_BYTES`] that are never freed.
    pub fn step(&mut self) {
        self.service.step();
        for _ in 0..SESSIONS {
            self.remember_session();
        }
    }

    /// Leaks a block: a service remembers a client and never forgets it.
    #[inline(never)]
    fn remember_session(&mut self) {
        self.sessions += 1;
        let token = self.sessions as u8;
        black_box(Box::leak(Box::new([token; SESSION_BYTES])));
    }
}
