//! Keeps all processes on one core.

use std::io;

/// Keeps this process, and those that it starts from now on, on its present core. Otherwise the system would wake every
/// other process on another core. If that core is shared with a neighbour, every other row would be slow.
///
/// # Errors
/// Those of the system.
#[expect(unsafe_code, reason = "asks the C library")]
pub fn to_this_core() -> io::Result<()> {
    // SAFETY: a set of zeros is an empty set; `CPU_SET` checks its index; the set outlives the call and has the given
    // size.
    let status = unsafe {
        let mut cores: libc::cpu_set_t = core::mem::zeroed();
        let Ok(this) = usize::try_from(libc::sched_getcpu()) else {
            return Err(io::Error::last_os_error());
        };
        libc::CPU_SET(this, &mut cores);
        libc::sched_setaffinity(0, size_of_val(&cores), &raw const cores)
    };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
