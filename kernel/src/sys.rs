//! The kernel's functions that this crate calls, as the kernel's object exports them (`kernel/hermit/src/lib.rs` and
//! `hermit-kernel`, `src/syscalls/`). Functions that are `safe` here may be called with any arguments.

unsafe extern "C" {
    // Our functions, in kernel/hermit/src/lib.rs: they run on the caller's stack and leave the interrupt flag alone.
    pub safe fn sys_irq_claim(vector: u8);
    pub safe fn sys_irq_count(first: u8, last: u8) -> u64;
    pub safe fn sys_irq_wait(deadline: u64) -> bool;
    pub safe fn sys_sleep_until(deadline: u64);
    pub safe fn sys_ticks_micros() -> u64;
    pub safe fn sys_frequency_mhz() -> u16;
    pub safe fn sys_unix_micros() -> u64;
    pub safe fn sys_dated_by_rtc() -> bool;
    pub safe fn sys_idle_ticks() -> u64;
    pub safe fn sys_virt_to_phys(address: u64) -> u64;
    pub fn sys_map_device(physical: u64, bytes: usize) -> u64;
    pub safe fn sys_set_log_level(level: u8);
    pub fn sys_virtio_mmio(index: usize, text: *mut *const u8) -> usize;
    pub fn sys_console_lost(lost: *mut [u64; 2]);
    pub fn sys_panic_print(text: *const u8, length: usize);
    pub safe fn sys_panic_exit() -> !;

    // The kernel's functions: they switch to the kernel stack and enable interrupts. Never call them with interrupts masked.
    pub safe fn sys_yield();
    pub safe fn sys_exit(status: i32) -> !;
    pub safe fn sys_malloc(size: usize, align: usize) -> *mut u8;
    pub fn sys_free(ptr: *mut u8, size: usize, align: usize);
    pub fn sys_write(fd: i32, buf: *const u8, len: usize) -> isize;
    pub fn sys_spawn2(
        entry: unsafe extern "C" fn(usize),
        argument: usize,
        priority: u8,
        stack_bytes: usize,
        core: isize,
    ) -> i32;
}
