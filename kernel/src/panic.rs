//! A panic: message, location and backtrace on the console, then exit with failure.
//!
//! ```text
//! panic: app/src/main.rs:12:5: index out of bounds: the len is 3 but the index is 7
//! backtrace: 0x2041c3 0x203f10 0x2012ab
//! ```
//! The addresses are return addresses inside the image: one less lies in the call. An address is resolved by
//! `addr2line -fie target/hermit/app.elf ADDRESS`; the test harness does so by itself. Whoever can say more sets a [`Report`].

use core::arch::asm;
use core::fmt::{self, Display, Write};
use core::panic::Location;
#[cfg(not(feature = "std"))]
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use spin::Once;

use crate::{backtrace, image, memory, sync, sys};

/// What else is printed at a panic: to the console, with the return addresses of the panicking task, innermost first. Interrupts are
/// masked, nobody else runs any more, and any lock may be held: it must not wait for one, nor allocate. A panic in it
/// ends the machine.
pub type Report = fn(&mut dyn Write, &[usize]);

static REPORT: Once<Report> = Once::new();

/// Has every panic print more. The first call counts.
pub fn set_report(report: Report) {
    REPORT.call_once(|| report);
}

static PANICKING: AtomicBool = AtomicBool::new(false);

#[cfg(not(feature = "std"))]
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    end(info.location(), &info.message())
}

/// Has std's panics end like this, too.
#[cfg(feature = "std")]
pub(crate) fn take_over() {
    std::panic::set_hook(std::boxed::Box::new(|info| {
        let message = info.payload_as_str().unwrap_or("no message");
        end(info.location(), &message)
    }));
}

fn end(location: Option<&Location<'_>>, message: &dyn Display) -> ! {
    // Nobody runs any more: neither a task that waits for a lock that the panicking one holds, nor one that prints in between.
    sync::mask();
    // A panic inside this handler, in a `Display` of the message say, must not start over.
    if PANICKING.swap(true, Ordering::Relaxed) {
        let _ = Emergency.write_str("\npanic: while panicking\n");
        sys::sys_panic_exit();
    }
    let _ = match location {
        Some(location) => writeln!(Emergency, "panic: {location}: {message}"),
        None => writeln!(Emergency, "panic: {message}"),
    };
    let frame: usize;
    // SAFETY: reads a register; with frame pointers it is this function's frame.
    unsafe { asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags)) };
    let (mut addresses, mut count) = ([0; backtrace::MAX_FRAMES], 0);
    let _ = Emergency.write_str("backtrace:");
    for address in backtrace::walk(frame, |address| image::code().contains(&address), read) {
        let _ = write!(Emergency, " {address:#x}");
        addresses[count] = address;
        count += 1;
    }
    let _ = Emergency.write_str("\n");
    if let Some(report) = REPORT.get() {
        report(&mut Emergency, &addresses[..count]);
    }
    sys::sys_panic_exit()
}

/// The console without its lock, which the panicking code may hold.
struct Emergency;

impl Write for Emergency {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: the text lives through the call.
        unsafe { sys::sys_panic_print(text.as_ptr(), text.len()) };
        Ok(())
    }
}

/// A word of memory, if it is mapped.
fn read(address: usize) -> Option<usize> {
    memory::physical(address)?;
    memory::physical(address.checked_add(size_of::<usize>() - 1)?)?;
    // SAFETY: mapped, and `backtrace::walk` keeps addresses aligned; any word may be read as a number.
    Some(unsafe { core::ptr::with_exposed_provenance::<usize>(address).read_volatile() })
}
