//! The whole application.

extern crate alloc;

use alloc::vec::Vec;
use core::time::Duration;

use kernel::sync::RawIrqLock;
use kernel::{Exit, clock, console, heap, task};
use monitoring::Micros;
use monitoring::config::Config;
use monitoring::heap::{Profiled, Talc};
use monitoring::metrics::Counter;
use monitoring::{hermit, logging};

// 1. The heap, wrapped, so that it is counted and profiled.
#[global_allocator]
static HEAP: Profiled<Talc<RawIrqLock>> = Profiled::new(Talc::new());

// 2. A source: it appears as `orders count=…` at its first use.
static ORDERS: Counter = Counter::new("orders", "orders that were taken");

kernel::entry!(main);

fn main() -> Exit {
    // 3. Memory, the log and monitoring, in one line each.
    if !heap::region().is_some_and(|region| HEAP.inner().claim(region)) {
        return Exit::Failure;
    }
    let now = || Micros(clock::micros());
    let _ = logging::init(console::print, now, "*:info");
    if let Err(error) = hermit::start(Config::default(), &HEAP) {
        log::error!("{error}");
    }

    // 4. The application.
    let mut book = Vec::new();
    loop {
        book.push([0u8; 512]);
        if book.len() > 100 {
            book.clear();
        }
        ORDERS.add(1);
        task::sleep(Duration::from_millis(10));
    }
}
