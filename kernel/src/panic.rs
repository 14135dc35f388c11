//! Handles a panic: prints message, location and backtrace on the console, then exits with failure.
//!
//! ```text
//! panic: app/src/main.rs:12:5: index out of bounds: the len is 3 but the index is 7
//! backtrace: 0x2041c3 0x203f10 0x2012ab
//! ```
//! The addresses are return addresses inside the image: subtract one to get an address in the call.
//! `addr2line -fie target/hermit/app.elf ADDRESS` resolves one; the test harness does so itself. A program that can print more sets
//! a [`Report`].

use core::arch::asm;
use core::fmt::{self, Display, Write};
use core::panic::Location;
#[cfg(not(feature = "std"))]
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use spin::Once;

use crate::{backtrace, image, memory, sync, sys};

/// A function that prints more about a panic, with the return addresses of the panicking task, innermost first. Interrupts are
/// masked, no other task runs any more, and any lock may be held: the function must neither wait for a lock nor allocate. A panic
/// inside it ends the machine.
pub type Report = fn(&mut dyn Write, &[usize]);

static REPORT: Once<Report> = Once::new();

/// Makes every panic call `report`. Only the first call has an effect.
pub fn set_report(report: Report) {
    REPORT.call_once(|| report);
}

static PANICKING: AtomicBool = AtomicBool::new(false);

#[cfg(not(feature = "std"))]
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    end(info.location(), &info.message())
}

/// Makes std's panics end in the same way.
#[cfg(feature = "std")]
pub(crate) fn take_over() {
    std::panic::set_hook(std::boxed::Box::new(|info| {
        let message = info.payload_as_str().unwrap_or("no message");
        end(info.location(), &message)
    }));
}

fn end(location: Option<&Location<'_>>, message: &dyn Display) -> ! {
    // From here on no other task runs: neither one that waits for a lock of the panicking task, nor one that prints in between.
    sync::mask();
    // A panic inside this handler must not start it again; the `Display` of the message may panic, for example.
    if PANICKING.swap(true, Ordering::Relaxed) {
        let _ = Emergency.write_str("\npanic: while panicking\n");
        sys::sys_panic_exit();
    }
    let _ = match location {
        Some(location) => writeln!(Emergency, "panic: {location}: {message}"),
        None => writeln!(Emergency, "panic: {message}"),
    };
    let frame: usize;
    // SAFETY: reads a register. The image is built with frame pointers, so it holds this function's frame.
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

/// Returns a word of memory, if it is mapped.
fn read(address: usize) -> Option<usize> {
    memory::physical(address)?;
    memory::physical(address.checked_add(size_of::<usize>() - 1)?)?;
    // SAFETY: both ends are mapped, and `backtrace::walk` keeps addresses aligned; any word may be read as a number.
    Some(unsafe { core::ptr::with_exposed_provenance::<usize>(address).read_volatile() })
}
