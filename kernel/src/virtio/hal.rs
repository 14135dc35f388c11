//! What `virtio-drivers` needs of the machine: DMA memory, physical addresses, device registers.

use core::ptr::{self, NonNull};

use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

use crate::{memory, sys};

/// Hermit's memory for `virtio-drivers`.
pub struct HermitHal;

/// What `dma_alloc` returns where there is no memory; the crate makes an error of it.
const FAILED: (PhysAddr, NonNull<u8>) = (0, NonNull::dangling());

/// Contiguous pages of the kernel's heap, zeroed. The heap is mapped with 2 MiB pages, so a block that is aligned to its own size
/// is contiguous up to 2 MiB: that is checked, not assumed.
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

/// Gives back what [`allocate`] returned for as many pages.
///
/// # Safety
/// Nobody, the device included, may use the memory any more.
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

// SAFETY: `dma_alloc` returns zeroed pages of their own, aligned to at least a page; `mmio_phys_to_virt` a mapping of the device's
// registers; `share` an address the device can use.
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

    unsafe fn share(buffer: NonNull<[u8]>, direction: BufferDirection) -> PhysAddr {
        memory::contiguous(buffer).unwrap_or_else(|| {
            // SAFETY: the caller's duty: the buffer is valid and nobody else touches it now.
            unsafe { bounce::lend(buffer, direction) }
        })
    }

    unsafe fn unshare(physical: PhysAddr, buffer: NonNull<[u8]>, direction: BufferDirection) {
        if memory::contiguous(buffer) != Some(physical) {
            // SAFETY: the caller's duty, as above, and the device is done with the copy.
            unsafe { bounce::take_back(physical, buffer, direction) };
        }
    }
}

/// Copies of buffers that cross pages which are not neighbours in physical memory, for the time the device has them. The rings of
/// this crate hold each of their buffers in one page, so this is for others who put buffers into a virtqueue.
mod bounce {
    use super::{BufferDirection, NonNull, PAGE_SIZE, PhysAddr, allocate, free, ptr};
    use crate::sync::IrqLock;

    struct Lent {
        physical: PhysAddr,
        copy: NonNull<[u8]>,
    }

    // SAFETY: the pointer is to a block that the table owns.
    unsafe impl Send for Lent {}

    /// A virtqueue of this crate has 64 descriptors, and there are two of them.
    const MOST: usize = 128;
    static LENT: IrqLock<[Option<Lent>; MOST]> = IrqLock::new([const { None }; MOST]);

    /// The physical address of a copy of `buffer`.
    ///
    /// # Safety
    /// `buffer` must be valid for reads.
    pub unsafe fn lend(buffer: NonNull<[u8]>, direction: BufferDirection) -> PhysAddr {
        let (physical, copy) = allocate(buffer.len().div_ceil(PAGE_SIZE))
            .expect("virtio: no contiguous memory for a bounce buffer");
        if direction != BufferDirection::DeviceToDriver {
            // SAFETY: both are valid for the buffer's length, and the copy is a block of its own.
            unsafe { copy_bytes(buffer, copy, buffer.len()) };
        }
        let mut lent = LENT.lock();
        let free = lent.iter_mut().find(|slot| slot.is_none());
        *free.expect("virtio: more bounce buffers than descriptors") =
            Some(Lent { physical, copy });
        physical
    }

    /// Copies back what the device wrote, and frees the copy at `physical`.
    ///
    /// # Safety
    /// `buffer` must be valid for writes and the one that `lend` was given; the device must be done with the copy.
    pub unsafe fn take_back(physical: PhysAddr, buffer: NonNull<[u8]>, direction: BufferDirection) {
        let found = LENT
            .lock()
            .iter_mut()
            .find(|slot| slot.as_ref().is_some_and(|lent| lent.physical == physical))
            .and_then(Option::take);
        let Some(Lent { copy, .. }) = found else {
            return;
        };
        // SAFETY: both are valid for the buffer's length; the copy came from `allocate` for as many pages and nobody has it now.
        unsafe {
            if direction != BufferDirection::DriverToDevice {
                copy_bytes(copy, buffer, buffer.len());
            }
            free(copy.cast(), buffer.len().div_ceil(PAGE_SIZE));
        }
    }

    /// # Safety
    /// Both must be valid for `bytes` and must not overlap.
    unsafe fn copy_bytes(from: NonNull<[u8]>, to: NonNull<[u8]>, bytes: usize) {
        // SAFETY: the caller's duty.
        unsafe {
            ptr::copy_nonoverlapping(from.cast::<u8>().as_ptr(), to.cast::<u8>().as_ptr(), bytes);
        }
    }
}

/// The virtual address of device registers: where the boot stub's identity map has them (below 4 GiB), else a new mapping.
pub fn registers(physical: PhysAddr, bytes: usize) -> NonNull<u8> {
    let address = usize::try_from(physical).unwrap_or(usize::MAX);
    let last = address.saturating_add(bytes.saturating_sub(1));
    let is_identity = |address: usize| memory::physical(address) == Some(address as PhysAddr);
    let start = if is_identity(address) && is_identity(last) {
        address
    } else {
        let page = physical & !(PAGE_SIZE as PhysAddr - 1);
        let offset = (physical - page) as usize;
        let mapped = sys::sys_map_device(page, (offset + bytes).next_multiple_of(PAGE_SIZE));
        mapped as usize + offset
    };
    NonNull::new(ptr::with_exposed_provenance_mut(start))
        .expect("device registers are never at address 0")
}
