//! Prints text on the console, the machine's first serial port.
//!
//! A line printed by one call is passed to the kernel in one piece, so lines of different tasks do not mix. Do not print inside the
//! allocator or with interrupts masked: the kernel's system calls end with interrupts enabled. Printing is slow: each byte is an
//! exit to the virtual machine monitor, and the kernel masks interrupts for it.

use core::fmt::{self, Write};

use crate::sys;

const STDOUT: i32 = 1;
/// The longest line that a program parses is the last one of `--workload exact`, with 1.6 KB. A longer line is passed on in parts.
const LINE_BYTES: usize = 2048;

/// Prints formatted text. It allocates nothing.
pub fn print(text: fmt::Arguments<'_>) {
    let mut line = Line {
        bytes: [0; LINE_BYTES],
        length: 0,
    };
    let _ = line.write_fmt(text);
    line.flush();
}

/// A line that is collected on the stack, to pass it to the kernel in one piece.
struct Line {
    bytes: [u8; LINE_BYTES],
    length: usize,
}

impl Line {
    fn flush(&mut self) {
        // SAFETY: the first `length` bytes are initialised and live through the call.
        unsafe { sys::sys_write(STDOUT, self.bytes.as_ptr(), self.length) };
        self.length = 0;
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            if self.length == LINE_BYTES {
                self.flush();
            }
            let taken = rest.len().min(LINE_BYTES - self.length);
            self.bytes[self.length..][..taken].copy_from_slice(&rest[..taken]);
            self.length += taken;
            rest = &rest[taken..];
        }
        Ok(())
    }
}

/// Prints a line on the console.
#[macro_export]
macro_rules! println {
    () => { $crate::console::print(::core::format_args!("\n")) };
    ($($argument:tt)*) => {
        $crate::console::print(::core::format_args!("{}\n", ::core::format_args!($($argument)*)))
    };
}

/// Sets the most verbose level of the kernel's own log, which is warning at boot. It is one store, so it may be called with
/// interrupts masked.
pub fn set_kernel_log_level(level: log::LevelFilter) {
    // The order of `sys_set_log_level`'s levels, from 0 for off.
    sys::sys_set_log_level(level as u8);
}
