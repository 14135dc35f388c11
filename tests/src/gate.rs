//! Limits the number of guests that run at a time, whatever the number of test threads.
//!
//! Under TCG a guest takes a core. A measurement needs the whole machine.
//!
//! A turn also says how long it took: a line `SECONDS TEST` in the file that the variable `TURNS` names.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// The number of cores that the machines with these tests have at least.
const CORES: usize = 2;

static FREE: Mutex<usize> = Mutex::new(CORES);
static CHANGED: Condvar = Condvar::new();

/// The right to run a guest, which is given back on drop.
#[derive(Debug)]
pub struct Turn {
    cores: usize,
    began: Instant,
}

impl Turn {
    /// Waits until one more guest may run.
    pub fn shared() -> Self {
        Self::wait_for(1)
    }

    /// Waits until no other guest runs, and keeps others waiting.
    pub fn alone() -> Self {
        Self::wait_for(CORES)
    }

    fn wait_for(cores: usize) -> Self {
        // A test that panicked has given its turn back, so the number is right.
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = CHANGED
            .wait_while(free, |free| *free < cores)
            .unwrap_or_else(PoisonError::into_inner);
        *free -= cores;
        Self {
            cores,
            began: Instant::now(),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *FREE.lock().unwrap_or_else(PoisonError::into_inner) += self.cores;
        CHANGED.notify_all();
        if let Some(path) = std::env::var_os("TURNS") {
            let line = format!(
                "{:.1} {}\n",
                self.began.elapsed().as_secs_f64(),
                thread::current().name().unwrap_or("?")
            );
            // In one write, so that lines of two tests do not mix. A failed write does not matter.
            let file = OpenOptions::new().create(true).append(true).open(path);
            drop(file.and_then(|mut file| file.write_all(line.as_bytes())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn never_more_than_the_cores_and_nothing_beside_a_measurement() {
        static RUNNING: AtomicUsize = AtomicUsize::new(0);
        thread::scope(|scope| {
            for n in 0..64 {
                scope.spawn(move || {
                    let (turn, cores) = if n % 8 == 0 {
                        (Turn::alone(), CORES)
                    } else {
                        (Turn::shared(), 1)
                    };
                    let running = RUNNING.fetch_add(cores, Ordering::SeqCst) + cores;
                    assert!(running <= CORES, "{running}");
                    thread::yield_now();
                    RUNNING.fetch_sub(cores, Ordering::SeqCst);
                    drop(turn);
                });
            }
        });
        assert_eq!(RUNNING.load(Ordering::SeqCst), 0);
    }
}
