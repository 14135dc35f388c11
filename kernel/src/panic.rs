//! Handles a panic: prints message, location and backtrace on the console, then exits with failure.
//!
//! One task may ask for more ([`contain`]): its panic ends only what the task was doing, and the task begins again. Monitoring does so,
//! because it runs functions of the application and must not take the application with it.
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
use core::ops::Range;
use core::panic::Location;
#[cfg(not(feature = "std"))]
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use spin::Once;

use crate::console::Line;
use crate::{backtrace, image, memory, stack, sync, sys, task};

/// A function that prints more about a panic, with the return addresses of the panicking task, innermost first. Any lock may be
/// held, and unless the panic is contained, interrupts are masked and no other task runs any more: the function must neither wait
/// for a lock nor allocate. A panic inside it ends the machine.
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
    let is_open = sync::mask() && !sync::is_any_held();
    // A panic inside this handler must not start it again; the `Display` of the message may panic, for example.
    if PANICKING.swap(true, Ordering::Relaxed) {
        let _ = Emergency.write_str("\npanic: while panicking\n");
        sys::sys_panic_exit();
    }
    if let Some(contained) = CONTAINED.get().filter(|contained| is_open && contained.is_here()) {
        sync::unmask();
        let mut out = Line::new();
        describe(&mut out, location, message);
        out.flush();
        PANICKING.store(false, Ordering::Relaxed);
        contained.begin();
    }
    describe(&mut Emergency, location, message);
    sys::sys_panic_exit()
}

/// Prints message, backtrace and report.
#[inline(always)]
fn describe(out: &mut impl Write, location: Option<&Location<'_>>, message: &dyn Display) {
    let _ = match location {
        Some(location) => writeln!(out, "panic: {location}: {message}"),
        None => writeln!(out, "panic: {message}"),
    };
    let frame: usize;
    // SAFETY: reads a register. The image is built with frame pointers, so it holds this function's frame.
    unsafe { asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags)) };
    let (mut addresses, mut count) = ([0; backtrace::MAX_FRAMES], 0);
    let _ = out.write_str("backtrace:");
    for address in backtrace::walk(frame, |address| image::code().contains(&address), read) {
        let _ = write!(out, " {address:#x}");
        addresses[count] = address;
        count += 1;
    }
    let _ = out.write_str("\n");
    if let Some(report) = REPORT.get() {
        report(out, &addresses[..count]);
    }
}

/// The task whose panics end only what it was doing.
static CONTAINED: Once<Contained> = Once::new();

struct Contained {
    entry: fn(),
    /// The stack below the frame of [`contain`].
    stack: Range<usize>,
    /// The frame of [`contain`], so that backtraces end as those of other tasks do.
    frame: usize,
}

/// Runs `entry` in the calling task, which never ends. If `entry` panics, the panic is printed as always, everything that `entry` was
/// doing is abandoned, and `entry` begins again on the empty stack: no other task is disturbed, and no memory is taken. For one task
/// of an image; when `entry` returns, the task sleeps permanently.
///
/// A panic that is raised while interrupts are masked ends the machine as always: the task may hold an [`IrqLock`](sync::IrqLock),
/// and what it protects may be half changed. So do a panic of another task, an exception of the processor, and a panic inside this
/// handler. In an image with std, which notes each panic for itself, panics are not contained.
///
/// # Safety
/// What `entry` has put on the stack is never dropped, and its memory is used again. So nothing outside may refer to it when code that
/// `entry` calls panics: no scoped thread, no intrusive list. Locks other than [`IrqLock`](sync::IrqLock) stay taken: `entry` must
/// find them out when it begins again.
pub unsafe fn contain(entry: fn()) -> ! {
    let (base, _) = stack::own();
    let (top, frame): (usize, usize);
    // SAFETY: reads two registers.
    unsafe { asm!("mov {}, rsp", "mov {}, rbp", out(reg) top, out(reg) frame, options(nomem, nostack, preserves_flags)) };
    let contained = Contained {
        entry,
        stack: base..top,
        frame,
    };
    CONTAINED.call_once(|| contained).begin()
}

impl Contained {
    /// Returns whether the calling task is the one.
    fn is_here(&self) -> bool {
        let word = 0u8;
        cfg!(not(feature = "std")) && self.stack.contains(&(&raw const word).addr())
    }

    /// Empties the stack and begins again.
    fn begin(&self) -> ! {
        extern "C" fn run() -> ! {
            if let Some(contained) = CONTAINED.get() {
                (contained.entry)();
            }
            loop {
                task::sleep_until(u64::MAX);
            }
        }
        // SAFETY: `contain` never returns, so its frame lies unchanged above the new stack pointer; what lies below is abandoned, as
        // its caller allows. The stack is aligned as the calling convention wants it.
        unsafe {
            asm!(
                "mov rsp, {top}",
                "and rsp, -16",
                "mov rbp, {frame}",
                "call {run}",
                "ud2",
                top = in(reg) self.stack.end,
                frame = in(reg) self.frame,
                run = sym run,
                options(noreturn)
            )
        }
    }
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
