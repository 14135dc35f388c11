//! System calls that the image's object exports besides the kernel's own `sys_*` functions.
//!
//! kernel/build.rs keeps `_start` and every `sys_*` symbol global and makes all others local. So the kernel's allocator, panic
//! handler, `log` and `core` cannot meet the application's.
//!
//! The functions here add what the kernel's system calls lack. They run on the caller's stack and leave the interrupt flag as they
//! found it, so they may be called with interrupts masked, except those whose purpose is to wait. The kernel's system calls switch
//! to the kernel stack and end with interrupts enabled.
//!
//! `kernel/src/sys.rs` declares the same functions: keep both in step.
#![no_std]

use core::arch::asm;
use core::ptr;

use hermit::mm::{PhysAddr, VirtAddr};

/// A deadline that never comes, for [`sys_irq_wait`].
const NEVER: u64 = u64::MAX;
/// The result of [`sys_virt_to_phys`] for an address that is not mapped.
const NOT_MAPPED: u64 = u64::MAX;

/// Claims interrupt `vector`: from now on it wakes the task in [`sys_irq_wait`].
#[unsafe(no_mangle)]
pub extern "C" fn sys_irq_claim(vector: u8) {
    hermit::wait::claim(vector);
}

/// Returns how often the vectors from `first` to `last` were raised since boot.
#[unsafe(no_mangle)]
pub extern "C" fn sys_irq_count(first: u8, last: u8) -> u64 {
    hermit::interrupts_raised(first, last)
}

/// Blocks the current task until a claimed vector is raised or until `deadline` (see [`sys_ticks_micros`]). Returns true if a
/// claimed vector was raised since the last call.
#[unsafe(no_mangle)]
pub extern "C" fn sys_irq_wait(deadline: u64) -> bool {
    hermit::wait::for_interrupt((deadline != NEVER).then_some(deadline))
}

/// Blocks the current task until `deadline` (see [`sys_ticks_micros`]); never spins.
#[unsafe(no_mangle)]
pub extern "C" fn sys_sleep_until(deadline: u64) {
    hermit::wait::until(deadline);
}

/// Returns the microseconds since the time stamp counter was zero. Monotonic.
#[unsafe(no_mangle)]
pub extern "C" fn sys_ticks_micros() -> u64 {
    hermit::time::ticks_micros()
}

/// Returns the frequency of the time stamp counter in MHz.
#[unsafe(no_mangle)]
pub extern "C" fn sys_frequency_mhz() -> u16 {
    hermit::time::frequency_mhz()
}

/// Returns the microseconds since the Unix epoch.
#[unsafe(no_mangle)]
pub extern "C" fn sys_unix_micros() -> u64 {
    hermit::time::unix_micros()
}

/// Returns whether the date at boot came from the RTC, so in whole seconds. Under uhyve it did not, and the RTC's ports must not be
/// touched there.
#[unsafe(no_mangle)]
pub extern "C" fn sys_dated_by_rtc() -> bool {
    hermit::time::dated_by_rtc()
}

/// Returns the time stamp counter ticks that the core has spent halted since boot.
#[unsafe(no_mangle)]
pub extern "C" fn sys_idle_ticks() -> u64 {
    hermit::idle::ticks()
}

/// Returns the physical address of a virtual one, or `u64::MAX` if it is not mapped. It only reads. The kernel's own
/// `virtual_to_physical` logs an unmapped address under the console's lock, but the heap profiler calls this from inside an
/// allocation.
///
/// Source: Intel SDM, volume 3, 4.5, four levels of page tables.
#[unsafe(no_mangle)]
pub extern "C" fn sys_virt_to_phys(address: u64) -> u64 {
    const PRESENT: u64 = 1;
    const HUGE: u64 = 1 << 7;
    const FRAME: u64 = 0x000f_ffff_ffff_f000;
    const TOP: u32 = 39;
    if VirtAddr::try_new(address).is_err() {
        return NOT_MAPPED;
    }
    let root: u64;
    // SAFETY: reads a register; the kernel and its applications run in ring 0.
    unsafe { asm!("mov {}, cr3", out(reg) root, options(nomem, nostack, preserves_flags)) };
    let mut table = root & FRAME;
    for shift in [TOP, 30, 21, 12] {
        let place = table + 8 * (address >> shift & 511);
        // SAFETY: `place` lies in a page table of this core. The kernel maps all page tables at their physical addresses and never
        // unmaps them (`identity_mapped_page_table` in `arch/x86_64/mm/paging.rs`). It changes an entry by writing one word.
        let entry = unsafe { ptr::with_exposed_provenance::<u64>(place as usize).read_volatile() };
        if entry & PRESENT == 0 {
            return NOT_MAPPED;
        }
        if shift == 12 || (shift != TOP && entry & HUGE != 0) {
            let offset = (1 << shift) - 1;
            return entry & FRAME & !offset | address & offset;
        }
        table = entry & FRAME;
    }
    NOT_MAPPED
}

/// Maps `bytes` of device registers at a physical address, uncached and permanently, and returns the virtual address. Both
/// arguments are multiples of 4096. Panics if there is no memory for page tables.
///
/// # Safety
/// The registers must belong to a device that the caller drives; they must not be memory. The address must be below 2^52.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_map_device(physical: u64, bytes: usize) -> u64 {
    let (writable, no_execution, no_cache) = (true, true, true);
    hermit::mm::map(PhysAddr::new(physical), bytes, writable, no_execution, no_cache).as_u64()
}

/// Looks up the description of the virtio-mmio device `index` on the kernel's command line, in Linux's form `SIZE@ADDRESS:IRQ`.
/// Stores its address and returns its length in bytes, or 0 when there are no more.
///
/// # Safety
/// `text` must be valid for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_virtio_mmio(index: usize, text: *mut *const u8) -> usize {
    let Some(device) = hermit::virtio_mmio().get(index) else {
        return 0;
    };
    // SAFETY: the caller's duty.
    unsafe { text.write(device.as_ptr()) };
    device.len()
}

/// Sets the most verbose level that the kernel logs: 0 off, 1 error, 2 warning, 3 information, 4 debug, 5 and more trace.
#[unsafe(no_mangle)]
pub extern "C" fn sys_set_log_level(level: u8) {
    log::set_max_level(match level {
        0 => log::LevelFilter::Off,
        1 => log::LevelFilter::Error,
        2 => log::LevelFilter::Warn,
        3 => log::LevelFilter::Info,
        4 => log::LevelFilter::Debug,
        _ => log::LevelFilter::Trace,
    });
}

/// Passes on console output that the serial port takes now. Stores the lines and bytes of output that were lost since boot.
///
/// # Safety
/// `lost` must be valid for a write of two numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_console_lost(lost: *mut [u64; 2]) {
    // SAFETY: the caller's duty.
    unsafe { lost.write(hermit::console::lost().into()) };
}

/// Prints `length` bytes at `text` on the console without taking its lock, for a panic. Skips bytes that are not UTF-8.
///
/// # Safety
/// `text` must be valid for reads of `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sys_panic_print(text: *const u8, length: usize) {
    // SAFETY: the caller's duty.
    let bytes = unsafe { core::slice::from_raw_parts(text, length) };
    for chunk in bytes.utf8_chunks() {
        hermit::console::_panic_print(format_args!("{}", chunk.valid()));
    }
}

/// Ends the machine with failure and does not touch the interrupt flag. `sys_exit` would enable interrupts; then a task that spins
/// on a lock of the panicking task would run and never stop.
#[unsafe(no_mangle)]
pub extern "C" fn sys_panic_exit() -> ! {
    const FAILURE: i32 = 1;
    hermit::scheduler::shutdown(FAILURE)
}
