//! The 64-bit half of the stub: reads the machine's description and enters the kernel.
//!
//! It runs before anything is set up: no heap, no interrupts, and only the bare serial port as console. It unmaps the first 2 MiB
//! at the end and must not touch them afterwards; the start info lies there.

use core::arch::{asm, global_asm};
use core::fmt::Write;
use core::{ptr, slice};

use super::fdt::{self, Machine};
use super::info::{BootInfo, Platform, Tls};
use crate::image;

const SERIAL_PORT: u16 = 0x3f8;
const DEBUG_EXIT_PORT: u16 = 0xf4;
/// The kernel demands this size. It takes the base of its stack, not the top: it adds the size itself.
const KERNEL_STACK_BYTES: usize = 0x8000;
/// The stack of `boot_main` only, which makes no deep calls.
const BOOT_STACK_BYTES: usize = 0x4000;
/// Room for the device tree: some ten memory regions of about 80 bytes, and a command line. QEMU's own limit is of the same order.
const TREE_BYTES: usize = 0x4000;
/// Must equal the value that image.ld asserts.
const TLS_ALIGN: u64 = 64;
/// PML4, PDPT, four page directories, the page table of the first 2 MiB.
const TABLES: usize = 7;
const FIRST_2_MIB: usize = 6;

const PAGE_BYTES: usize = 4096;
/// The ACPI root pointer, revision 2 (ACPI 6.5, 5.2.5.3).
const RSDP_BYTES: usize = 36;

const START_INFO_MAGIC: u32 = 0x336e_c578;
const MEMORY_RAM: u32 = 1;

#[repr(C, align(4096))]
struct Pages<const BYTES: usize>([u8; BYTES]);

static mut BOOT_STACK: Pages<BOOT_STACK_BYTES> = Pages([0; BOOT_STACK_BYTES]);
static mut KERNEL_STACK: Pages<KERNEL_STACK_BYTES> = Pages([0; KERNEL_STACK_BYTES]);
static mut PAGE_TABLES: Pages<{ TABLES * 4096 }> = Pages([0; TABLES * 4096]);
static mut TREE: Pages<TREE_BYTES> = Pages([0; TREE_BYTES]);
static mut BOOT_INFO: Option<BootInfo> = None;

global_asm!(
    include_str!("entry.s"),
    entry = sym pvh_entry,
    stack = sym BOOT_STACK,
    stack_size = const BOOT_STACK_BYTES,
    tables = sym PAGE_TABLES,
    gdt = sym boot_gdt,
    gdt_pointer = sym boot_gdt_pointer,
    main = sym boot_main,
);

unsafe extern "C" {
    // Defined in entry.s.
    fn pvh_entry();
    static boot_gdt: u8;
    static boot_gdt_pointer: u8;
    // Defined in image.ld: only their addresses have a meaning.
    static __image_start: u8;
    static __tls_start: u8;
    static __tls_file_end: u8;
    static __tls_end: u8;
    // The kernel's entry point.
    fn _start(info: *const BootInfo, cpu: u32) -> !;
}

/// `hvm_start_info`, version 1. Source: Xen, xen/include/public/arch-x86/hvm/start_info.h.
#[repr(C)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    module_count: u32,
    modules: u64,
    command_line: u64,
    rsdp: u64,
    memory_map: u64,
    memory_map_entries: u32,
    reserved: u32,
}

/// `hvm_memmap_table_entry`.
#[repr(C)]
struct MemoryMapEntry {
    start: u64,
    bytes: u64,
    kind: u32,
    reserved: u32,
}

/// # Safety
/// Only entry.s may call it, once, with the address of the start info, in an identity map of 0..4 GiB.
unsafe extern "C" fn boot_main(start_info: *const StartInfo) -> ! {
    // SAFETY: the PVH boot ABI promises the address of a start info; entry.s has mapped it.
    let start = unsafe { &*start_info };
    if start.magic != START_INFO_MAGIC || start.version < 1 {
        fail(
            "boot: no PVH start info with a memory map: the loader gave none, or a long command line lies over it",
        );
    }
    // SAFETY: as above; the ABI says where the map and the zero-terminated command line are.
    let (memory_map, command_line) = unsafe {
        (
            slice::from_raw_parts(
                start.memory_map as *const MemoryMapEntry,
                start.memory_map_entries as usize,
            ),
            match start.command_line {
                0 => c"",
                address => core::ffi::CStr::from_ptr(address as *const core::ffi::c_char),
            },
        )
    };
    let ram = || memory_map.iter().filter(|entry| entry.kind == MEMORY_RAM);

    // SAFETY: nothing else runs. Only the kernel uses these statics afterwards, through the pointers below.
    let (tree, info, page_table) = unsafe {
        (
            &mut (*(&raw mut TREE)).0,
            &mut *(&raw mut BOOT_INFO),
            &mut *(&raw mut PAGE_TABLES)
                .cast::<[[u64; 512]; TABLES]>()
                .cast::<[u64; 512]>()
                .add(FIRST_2_MIB),
        )
    };
    if core::str::from_utf8(command_line.to_bytes()).is_err() {
        // The kernel would ignore all of it, and the image would run on defaults.
        fail("boot: the command line is not UTF-8");
    }
    let machine = Machine {
        memory: ram().map(|entry| (entry.start, entry.bytes)),
        bootargs: command_line.to_bytes(),
        rsdp: (start.rsdp != 0).then_some(start.rsdp),
    };
    if fdt::write(machine, tree).is_err() {
        fail(
            "boot: the command line and the memory map do not fit into 16 KiB: shorten the command line",
        );
    }
    let address = |symbol: *const u8| symbol.addr() as u64;
    let tls_start = address(&raw const __tls_start);
    let info = info.insert(BootInfo {
        memory_start: ram()
            .map(|entry| entry.start)
            .filter(|&start| start > 0)
            .min()
            .unwrap_or(0),
        memory_end: ram()
            .map(|entry| entry.start + entry.bytes)
            .max()
            .unwrap_or(0),
        serial_port: SERIAL_PORT,
        device_tree: address(tree.as_ptr()),
        image_start: address(&raw const __image_start),
        image_end: image::end() as u64,
        tls: Tls {
            start: tls_start,
            file_bytes: address(&raw const __tls_file_end) - tls_start,
            memory_bytes: address(&raw const __tls_end) - tls_start,
            align: TLS_ALIGN,
        },
        platform: Platform::FDT,
    });

    // The kernel maps pages below 2 MiB itself and panics if they are mapped already. But it reads the ACPI root pointer at the
    // given address without mapping it.
    let rsdp_pages = match start.rsdp as usize {
        0 => 0..0,
        rsdp => rsdp / PAGE_BYTES..(rsdp + RSDP_BYTES - 1) / PAGE_BYTES + 1,
    };
    for (index, entry) in page_table.iter_mut().enumerate() {
        if !rsdp_pages.contains(&index) {
            *entry = 0;
        }
    }
    // SAFETY: reloads the same page tables. All memory that is used from here on stays mapped in them, because the image lies above
    // 2 MiB. The kernel gets the base of a stack of the size that it wants, and a boot info that is never freed.
    unsafe {
        asm!(
            "mov rax, cr3",
            "mov cr3, rax",
            "mov rsp, {stack}",
            "xor esi, esi",
            "jmp {start}",
            stack = in(reg) (&raw mut KERNEL_STACK),
            start = sym _start,
            in("rdi") ptr::from_ref(info),
            options(noreturn),
        )
    }
}

/// Prints the reason on the serial port and ends the machine with failure.
fn fail(message: &str) -> ! {
    let _ = writeln!(Serial, "{message}");
    // SAFETY: QEMU's `isa-debug-exit` ends the machine here. Without that device nothing listens on the port, and the core halts
    // permanently.
    unsafe {
        asm!("out dx, eax", in("dx") DEBUG_EXIT_PORT, in("eax") 0, options(nomem, nostack));
        loop {
            asm!("cli", "hlt", options(nomem, nostack));
        }
    }
}

struct Serial;

impl Write for Serial {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for byte in text.bytes() {
            // SAFETY: a write to the data port of the first serial port; every PC has it or ignores the write.
            unsafe {
                asm!("out dx, al", in("dx") SERIAL_PORT, in("al") byte, options(nomem, nostack));
            }
        }
        Ok(())
    }
}
