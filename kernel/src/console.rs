//! Prints text on the console, the machine's first serial port.
//!
//! A line printed by one call is passed to the kernel in one piece, so lines of different tasks do not mix. Do not print inside the
//! allocator or with interrupts masked: the kernel's system calls end with interrupts enabled. Printing is slow: each byte is an
//! exit to the virtual machine monitor, and the kernel masks interrupts for it.
//!
//! Printing never waits for a reader. The kernel keeps output that the serial port does not take, up to 16 KiB in whole lines
//! (`lines.rs`), and passes it on from the port's interrupt. Further lines are lost. [`lost`] counts them, and once output goes on,
//! a line says how many there were. Only the end of the machine waits, for a second at most, after a panic as well.

use core::fmt::{self, Write};

use crate::sys;

const STDOUT: i32 = 1;
/// The longest line that a program parses is the last one of `--workload exact`, with 1.6 KB. A longer line is passed on in parts.
const LINE_BYTES: usize = 2048;

/// Prints formatted text. It allocates nothing.
pub fn print(text: fmt::Arguments<'_>) {
    let mut line = Line::new();
    let _ = line.write_fmt(text);
    line.flush();
}

/// A line that is collected on the stack, to pass it to the kernel in one piece.
pub(crate) struct Line {
    bytes: [u8; LINE_BYTES],
    length: usize,
}

impl Line {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; LINE_BYTES],
            length: 0,
        }
    }

    /// Passes on what was collected.
    pub(crate) fn flush(&mut self) {
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

/// Output that was lost since boot, because nobody read the console.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Lines of which at least a part was lost.
    pub lines: u64,
    /// The bytes that were lost.
    pub bytes: u64,
}

/// Returns the output that was lost since boot. It also passes on what the serial port takes now, so that a port without an
/// interrupt gets its output, too.
pub fn lost() -> Lost {
    let mut lost = [0; 2];
    // SAFETY: the array is valid for the write.
    unsafe { sys::sys_console_lost(&raw mut lost) };
    let [lines, bytes] = lost;
    Lost { lines, bytes }
}

/// Sets the most verbose level of the kernel's own log, which is warning at boot. It is one store, so it may be called with
/// interrupts masked.
pub fn set_kernel_log_level(level: log::LevelFilter) {
    // The order of `sys_set_log_level`'s levels, from 0 for off.
    sys::sys_set_log_level(level as u8);
}
