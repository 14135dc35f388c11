//! Leads from the kernel's entry point into the application, and ends the machine after it.

use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::{clock, sys};

/// The result of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// QEMU ends with 0, or with 3 under `isa-debug-exit` at 0xf4.
    Success,
    /// QEMU ends with 1 under `isa-debug-exit` at 0xf4. Without that device QEMU's exit status does not tell the failure; only the
    /// console does, with `exit status 1`.
    Failure,
}

/// Ends the machine.
pub fn exit(exit: Exit) -> ! {
    sys::sys_exit(match exit {
        Exit::Success => 0,
        Exit::Failure => 1,
    })
}

/// Makes a `fn() -> Exit` the image's main function. It runs in a task of normal priority, and the machine ends when it returns.
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
            /// Only the kernel may call it, once, with its own argument and environment lists.
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
/// `argv` must hold `argc` C strings. `environment` must be null or a list of C strings that ends with a null pointer. All of them
/// must stay valid until the machine ends.
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

/// Starts monitoring's clock in an application with std and makes a panic print its backtrace and end the machine with failure.
/// Call it first in `main`; std provides the entry point and the arguments.
///
/// Some virtual machine monitors describe their virtio-mmio devices only behind `--`. Those devices are not found, because this
/// function does not search the arguments.
#[cfg(feature = "std")]
pub fn attach() {
    clock::init();
    crate::panic::take_over();
}

/// The start of a virtio-mmio device's description. Virtual machine monitors append it to the command line, behind the
/// application's arguments, and the kernel takes it for one of them.
const MMIO: &str = "virtio_mmio.device=";

/// Returns the application's arguments, which follow `--` on the kernel's command line, without the program's name and the
/// descriptions of virtio-mmio devices. An argument that is not UTF-8 is returned as `"\u{fffd}"`, which no option matches.
pub fn args() -> impl Iterator<Item = &'static str> {
    all_args().filter(|argument| !argument.starts_with(MMIO))
}

/// Returns the descriptions of virtio-mmio devices among the application's arguments.
pub(crate) fn mmio_arguments() -> impl Iterator<Item = &'static str> {
    all_args().filter_map(|argument| argument.strip_prefix(MMIO))
}

fn all_args() -> impl Iterator<Item = &'static str> {
    let (list, count) = (
        ARGUMENTS.load(Ordering::Relaxed),
        ARGUMENT_COUNT.load(Ordering::Relaxed),
    );
    (1..count).map(move |index| {
        // SAFETY: `start` was given this many C strings, which are never freed. Before `start` the count is 0.
        text(unsafe { CStr::from_ptr(*list.add(index)) }).unwrap_or("\u{fffd}")
    })
}

/// Returns the environment: `env=NAME=VALUE` on the kernel's command line, and the variables for `-ip`, `-mask` and `-gateway`.
/// Skips a variable that is not UTF-8.
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
