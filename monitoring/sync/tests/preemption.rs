//! Counters under preemption. Threads that share one core are switched only between instructions, as the tasks of an
//! image are. An update of more than one instruction would lose counts here.
#![cfg(target_os = "linux")]

use core::time::Duration;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use sync::Counter;

/// The duration of a run, enough for dozens of involuntary switches between the threads.
const RUN: Duration = Duration::from_millis(400);

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

/// Runs `work` on three threads of one core for a while. Returns their results.
fn on_one_core(work: impl Fn() -> u64 + Sync) -> Vec<u64> {
    let start = Barrier::new(3);
    thread::scope(|scope| {
        let run = || {
            bind_to_one_core();
            start.wait();
            let (mut done, end) = (0, Instant::now() + RUN);
            while Instant::now() < end || preemptions() < 5 {
                for _ in 0..10_000 {
                    done += work();
                }
            }
            done
        };
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(run)).collect();
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
