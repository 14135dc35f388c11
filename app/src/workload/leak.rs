//! A service with a leak to be found: [`mixed`](super::mixed), and one function that keeps a little for ever.

use alloc::boxed::Box;
use core::hint::black_box;

use super::mixed::Mixed;

/// Sessions that a step opens and never closes.
pub const SESSIONS: usize = 16;
/// Size of a session in bytes. With [`SESSIONS`], a step leaks 4 KiB, and with the 100 steps a second that the image makes
/// 400 KiB/s at most: the 10 MiB heap of the smallest guest (24 MiB) was used up after 23 s, one of 1 GiB lasts most of an hour.
pub const SESSION_BYTES: usize = 256;

/// The leaking service.
#[derive(Debug)]
pub struct Leak {
    service: Mixed,
    sessions: u64,
}

impl Leak {
    /// A service that has leaked nothing yet.
    pub fn new(seed: u64) -> Self {
        Self {
            service: Mixed::new(seed),
            sessions: 0,
        }
    }

    /// Bytes leaked until now.
    pub fn leaked_bytes(&self) -> u64 {
        self.sessions * SESSION_BYTES as u64
    }

    /// A step of `mixed`, and [`SESSIONS`] blocks of [`SESSION_BYTES`] that are never freed.
    pub fn step(&mut self) {
        self.service.step();
        for _ in 0..SESSIONS {
            self.remember_session();
        }
    }

    /// The leak: what a service remembers of a client and forgets to forget.
    #[inline(never)]
    fn remember_session(&mut self) {
        self.sessions += 1;
        let token = self.sessions as u8;
        black_box(Box::leak(Box::new([token; SESSION_BYTES])));
    }
}
