//! Tells which memory is mapped and at which physical address, for devices with DMA and for walks over stacks.

use core::ptr::NonNull;

use crate::sys;

/// The size of the pages that the kernel maps stacks with. Bytes inside one page are contiguous in physical memory.
pub const PAGE_BYTES: usize = 4096;

/// Returns the physical address of a virtual one, or `None` if it is not mapped. Walks the page tables: some 100 ns.
pub fn physical(address: usize) -> Option<u64> {
    let physical = sys::sys_virt_to_phys(address as u64);
    (physical != u64::MAX).then_some(physical)
}

/// Returns whether an address can be read. May be called in any context. Walks the page tables: some 100 ns.
#[must_use]
pub fn is_mapped(address: usize) -> bool {
    physical(address).is_some()
}

/// Returns the physical address of a buffer that is contiguous in physical memory, or `None` if it is not contiguous or not mapped.
pub fn contiguous(buffer: NonNull<[u8]>) -> Option<u64> {
    let start = buffer.cast::<u8>().addr().get();
    let first = physical(start)?;
    let mut page = (start + 1).next_multiple_of(PAGE_BYTES);
    while page < start + buffer.len() {
        if physical(page)? != first + (page - start) as u64 {
            return None;
        }
        page += PAGE_BYTES;
    }
    Some(first)
}
