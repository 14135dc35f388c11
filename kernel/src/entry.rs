//! From the kernel's entry into the application, and out again.

use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::{clock, sys};

/// How the application ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// QEMU ends with 0, or with 3 under `isa-debug-exit` at 0xf4.
    Success,
    /// QEMU ends with 1 under `isa-debug-exit` at 0xf4. Without that device nothing tells QEMU's caller of the failure but the
    /// console: `exit status 1`.
    Failure,
}

/// Ends the machine.
pub fn exit(exit: Exit) -> ! {
    sys::sys_exit(match exit {
        Exit::Success => 0,
        Exit::Failure => 1,
    })
}

/// Makes a `fn() -> Exit` the image's main function: it runs in a task of normal priority, and the machine ends when it returns.
///
/// ```ignore
/// #![no_std]
/// #![no_main]
///
/// kernel::entry!(main);
///
/// fn main() -> kernel::Exit {
///     kernel::println!("hello");
///     kernel::Exit::Success
/// }
/// ```
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        const _: () = {
            /// # Safety
            /// For the kernel, which calls it once with its own argument and environment lists.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn runtime_entry(
                argc: i32,
                argv: *const *const u8,
                environment: *const *const u8,
            ) -> ! {
                const MAIN: fn() -> $crate::Exit = $main;
                // SAFETY: the caller's duty.
                unsafe { $crate::start(argc, argv, environment, MAIN) }
            }
        };
    };
}

static ARGUMENTS: AtomicPtr<*const c_char> = AtomicPtr::new(core::ptr::null_mut());
static ARGUMENT_COUNT: AtomicUsize = AtomicUsize::new(0);
static ENVIRONMENT: AtomicPtr<*const c_char> = AtomicPtr::new(core::ptr::null_mut());

/// Runs `main` and ends the machine. For `entry!`.
#[doc(hidden)]
///
/// # Safety
/// `argv` must hold `argc` C strings and `environment` must be null or a list of C strings that ends with a null pointer, all of
/// which live for ever.
pub unsafe fn start(
    argc: i32,
    argv: *const *const u8,
    environment: *const *const u8,
    main: fn() -> Exit,
) -> ! {
    clock::init();
    ARGUMENTS.store(argv.cast_mut().cast(), Ordering::Relaxed);
    ARGUMENT_COUNT.store(usize::try_from(argc).unwrap_or(0), Ordering::Relaxed);
    ENVIRONMENT.store(environment.cast_mut().cast(), Ordering::Relaxed);
    exit(main())
}

/// Where an application with std begins: to be called first in its `main`. The entry and the arguments are std's; this starts
/// the clock, and has a panic print its backtrace and end the machine with failure.
///
/// Under a monitor that describes its virtio-mmio devices behind `--` only, they are not found: the arguments are not looked through.
#[cfg(feature = "std")]
pub fn attach() {
    clock::init();
    crate::panic::take_over();
}

/// How a virtual machine monitor describes a virtio-mmio device; it appends that to the command line, behind the application's
/// arguments, and the kernel takes it for one of them.
const MMIO: &str = "virtio_mmio.device=";

/// The application's arguments: what follows `--` on the kernel's command line, without the program's name and without the
/// descriptions of virtio-mmio devices. An argument that is not UTF-8 is given as `"\u{fffd}"`, which no option is.
pub fn args() -> impl Iterator<Item = &'static str> {
    all_args().filter(|argument| !argument.starts_with(MMIO))
}

/// Descriptions of virtio-mmio devices among the application's arguments.
pub(crate) fn mmio_arguments() -> impl Iterator<Item = &'static str> {
    all_args().filter_map(|argument| argument.strip_prefix(MMIO))
}

fn all_args() -> impl Iterator<Item = &'static str> {
    let (list, count) = (
        ARGUMENTS.load(Ordering::Relaxed),
        ARGUMENT_COUNT.load(Ordering::Relaxed),
    );
    (1..count).map(move |index| {
        // SAFETY: `start` was given this many C strings, which live for ever; the count is 0 before.
        text(unsafe { CStr::from_ptr(*list.add(index)) }).unwrap_or("\u{fffd}")
    })
}

/// The environment: `env=NAME=VALUE` on the kernel's command line, and what `-ip`, `-mask` and `-gateway` become. A variable that
/// is not UTF-8 is left out.
pub fn variables() -> impl Iterator<Item = (&'static str, &'static str)> {
    let mut next = ENVIRONMENT.load(Ordering::Relaxed);
    core::iter::from_fn(move || {
        if next.is_null() {
            return None;
        }
        // SAFETY: `start` was given a list of C strings that ends with a null pointer.
        let variable = unsafe {
            let variable = *next;
            next = next.add(1);
            (!variable.is_null()).then(|| CStr::from_ptr(variable))
        };
        if variable.is_none() {
            next = core::ptr::null_mut();
        }
        variable
    })
    .filter_map(|variable| text(variable)?.split_once('='))
}

fn text(string: &'static CStr) -> Option<&'static str> {
    string.to_str().ok()
}
