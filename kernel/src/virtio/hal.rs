//! Gives `virtio-drivers` what it needs from the machine: DMA memory, physical addresses, device registers.

use core::ptr::{self, NonNull};

use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

use crate::{memory, sys};

/// The implementation of `virtio-drivers`' [`Hal`] on Hermit.
pub struct HermitHal;

/// The result of `dma_alloc` where there is no memory; `virtio-drivers` turns it into an error.
const FAILED: (PhysAddr, NonNull<u8>) = (0, NonNull::dangling());

/// Returns contiguous, zeroed pages of the kernel's heap. The heap is mapped with 2 MiB pages, so a block that is aligned to its
/// own size is contiguous up to 2 MiB. The function checks this.
pub fn allocate(pages: usize) -> Option<(PhysAddr, NonNull<[u8]>)> {
    let (bytes, align) = layout(pages)?;
    let start = NonNull::new(sys::sys_malloc(bytes, align))?;
    let block = NonNull::slice_from_raw_parts(start, bytes);
    let Some(physical) = memory::contiguous(block) else {
        // SAFETY: just allocated with this size and alignment.
        unsafe { sys::sys_free(start.as_ptr(), bytes, align) };
        return None;
    };
    // SAFETY: just allocated, `bytes` long.
    unsafe { start.write_bytes(0, bytes) };
    Some((physical, block))
}

/// Frees a block that [`allocate`] returned for the same number of pages.
///
/// # Safety
/// Neither the device nor any code may use the memory afterwards.
unsafe fn free(start: NonNull<u8>, pages: usize) {
    if let Some((bytes, align)) = layout(pages) {
        // SAFETY: `allocate` used the same size and alignment.
        unsafe { sys::sys_free(start.as_ptr(), bytes, align) };
    }
}

fn layout(pages: usize) -> Option<(usize, usize)> {
    let bytes = pages.checked_mul(PAGE_SIZE)?;
    Some((bytes, bytes.checked_next_power_of_two()?))
}

// SAFETY: `dma_alloc` returns zeroed pages that nothing else uses, aligned to at least a page. `mmio_phys_to_virt` returns a
// mapping of the device's registers, and `share` an address that the device can use.
unsafe impl Hal for HermitHal {
    fn dma_alloc(pages: usize, _direction: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        allocate(pages).map_or(FAILED, |(physical, block)| (physical, block.cast()))
    }

    unsafe fn dma_dealloc(_physical: PhysAddr, start: NonNull<u8>, pages: usize) -> i32 {
        // SAFETY: the caller's duty.
        unsafe { free(start, pages) };
        0
    }

    unsafe fn mmio_phys_to_virt(physical: PhysAddr, bytes: usize) -> NonNull<u8> {
        registers(physical, bytes)
    }

    unsafe fn share(buffer: NonNull<[u8]>, _direction: BufferDirection) -> PhysAddr {
        // No bounce buffer is needed: the driver composes frames in the rings' buffers and copies them out of those. Each buffer
        // lies in one page.
        memory::contiguous(buffer).expect("the rings' buffers lie in one page each")
    }

    unsafe fn unshare(_physical: PhysAddr, _buffer: NonNull<[u8]>, _direction: BufferDirection) {}
}

/// Returns the virtual address of device registers: in the boot stub's identity map if they lie there (below 4 GiB), else in a new
/// mapping.
pub fn registers(physical: PhysAddr, bytes: usize) -> NonNull<u8> {
    let address = usize::try_from(physical).unwrap_or(usize::MAX);
    let last = address.saturating_add(bytes.saturating_sub(1));
    let is_identity = |address: usize| memory::physical(address) == Some(address as PhysAddr);
    let start = if is_identity(address) && is_identity(last) {
        address
    } else {
        let page = physical & !(PAGE_SIZE as PhysAddr - 1);
        let offset = (physical - page) as usize;
        // SAFETY: callers name registers of a device that they drive: from a BAR, or from a description that was checked.
        let mapped =
            unsafe { sys::sys_map_device(page, (offset + bytes).next_multiple_of(PAGE_SIZE)) };
        mapped as usize + offset
    };
    NonNull::new(ptr::with_exposed_provenance_mut(start))
        .expect("device registers are never at address 0")
}
