//! A panic: message, location and backtrace on the console, then exit with failure.
//!
//! ```text
//! panic: app/src/main.rs:12:5: index out of bounds: the len is 3 but the index is 7
//! backtrace: 0x2041c3 0x203f10 0x2012ab
//! ```
//! The addresses are return addresses inside the image: one less lies in the call. An address is resolved by
//! `addr2line -fie target/hermit/app.elf ADDRESS`; the test harness does so by itself.

use core::arch::asm;
use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::{backtrace, memory, sync, sys};

static PANICKING: AtomicBool = AtomicBool::new(false);

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // Nobody runs any more: neither a task that waits for a lock that the panicking one holds, nor one that prints in between.
    sync::mask();
    // A panic inside this handler, in a `Display` of the message say, must not start over.
    if PANICKING.swap(true, Ordering::Relaxed) {
        let _ = Emergency.write_str("\npanic: while panicking\n");
        sys::sys_panic_exit();
    }
    let _ = match info.location() {
        Some(location) => writeln!(Emergency, "panic: {location}: {}", info.message()),
        None => writeln!(Emergency, "panic: {}", info.message()),
    };
    let frame: usize;
    // SAFETY: reads a register; with frame pointers it is this function's frame.
    unsafe { asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags)) };
    let _ = Emergency.write_str("backtrace:");
    for address in backtrace::walk(frame, is_code, read) {
        let _ = write!(Emergency, " {address:#x}");
    }
    let _ = Emergency.write_str("\n");
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

fn is_code(address: usize) -> bool {
    unsafe extern "C" {
        // Defined in image.ld: only their addresses mean something.
        static __text_start: u8;
        static __text_end: u8;
    }
    ((&raw const __text_start).addr()..(&raw const __text_end).addr()).contains(&address)
}

/// A word of memory, if it is mapped.
fn read(address: usize) -> Option<usize> {
    memory::physical(address)?;
    memory::physical(address.checked_add(size_of::<usize>() - 1)?)?;
    // SAFETY: mapped, and `backtrace::walk` keeps addresses aligned; any word may be read as a number.
    Some(unsafe { core::ptr::with_exposed_provenance::<usize>(address).read_volatile() })
}
