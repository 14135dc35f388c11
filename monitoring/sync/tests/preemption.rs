//! Counters under preemption. Threads that share one core are switched only between instructions, as the tasks of an
//! image are. An update of more than one instruction would lose counts here.
#![cfg(target_os = "linux")]

use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use sync::Counter;

/// How often each thread is preempted in a run. A slice is a few milliseconds on a quiet machine.
const PREEMPTIONS: i64 = 20;
/// The end of a run on a machine that never preempts. Only then the test fails by time.
const DEADLINE: Duration = Duration::from_secs(900);
const THREADS: usize = 3;

/// Binds the calling thread to the first core it may run on.
#[expect(
    unsafe_code,
    reason = "the standard library cannot bind a thread to a core"
)]
fn bind_to_one_core() {
    // SAFETY: `cpu_set_t` is a plain bit set, for which all zeros are valid. Both calls get its true size and act only
    // on the calling thread.
    unsafe {
        let mut allowed: libc::cpu_set_t = core::mem::zeroed();
        assert_eq!(
            libc::sched_getaffinity(0, size_of_val(&allowed), &raw mut allowed),
            0
        );
        let core = (0..libc::CPU_SETSIZE as usize)
            .find(|core| libc::CPU_ISSET(*core, &allowed))
            .expect("a core to run on");
        let mut one: libc::cpu_set_t = core::mem::zeroed();
        libc::CPU_SET(core, &mut one);
        assert_eq!(
            libc::sched_setaffinity(0, size_of_val(&one), &raw const one),
            0
        );
    }
}

/// Returns how often the calling thread was preempted.
#[expect(unsafe_code, reason = "the standard library does not report it")]
fn preemptions() -> i64 {
    // SAFETY: `rusage` consists of integers, for which zeros are valid. The call fills it.
    unsafe {
        let mut usage: libc::rusage = core::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage), 0);
        usage.ru_nivcsw
    }
}

/// Runs `work` on threads of one core until each was preempted often enough. Returns their results.
fn on_one_core(work: impl Fn() -> u64 + Sync) -> Vec<u64> {
    let (start, preempted) = (Barrier::new(THREADS), AtomicUsize::new(0));
    thread::scope(|scope| {
        let run = || {
            bind_to_one_core();
            start.wait();
            let (mut done, mut is_counted) = (0, false);
            let (before, end) = (preemptions(), Instant::now() + DEADLINE);
            // None ends before the others: alone on the core it would never be preempted.
            while preempted.load(Ordering::Relaxed) < THREADS {
                for _ in 0..10_000 {
                    done += work();
                }
                if !is_counted && preemptions() >= before + PREEMPTIONS {
                    is_counted = true;
                    preempted.fetch_add(1, Ordering::Relaxed);
                }
                assert!(Instant::now() < end, "threads are not preempted here");
            }
            done
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(run)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    })
}

#[test]
fn threads_that_preempt_each_other_lose_no_count() {
    let counter = Counter::new();
    let counted = on_one_core(|| {
        counter.add(3);
        3
    });
    assert_eq!(counter.get(), counted.iter().sum());
}
