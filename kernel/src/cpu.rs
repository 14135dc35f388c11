//! Reads the processor's features, its APIC id and its time stamp counter.

use core::arch::asm;

/// Returns whether the processor has RDRAND (CPUID leaf 1, ECX bit 30; Intel SDM, volume 2A, CPUID).
pub fn has_rdrand() -> bool {
    const RDRAND: u32 = 1 << 30;
    leaf_1().ecx & RDRAND != 0
}

/// Returns the initial local APIC id of this core (CPUID leaf 1, EBX bits 24-31).
pub fn local_apic_id() -> u8 {
    (leaf_1().ebx >> 24) as u8
}

/// Returns the time stamp counter.
pub fn time_stamp() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: every x86-64 processor has the counter, and the kernel runs applications in ring 0, where it may be read.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") high, options(nomem, nostack)) };
    u64::from(high) << 32 | u64::from(low)
}

struct Leaf1 {
    ebx: u32,
    ecx: u32,
}

/// Reads leaf 1 in assembly, because the intrinsic is safe in some of the supported compilers and unsafe in others.
fn leaf_1() -> Leaf1 {
    let (ebx, ecx): (u32, u32);
    // SAFETY: every x86-64 processor has CPUID with leaf 1. The compiler reserves rbx, so the code saves and restores it.
    unsafe {
        asm!(
            "mov {saved:r}, rbx",
            "cpuid",
            "xchg {saved:r}, rbx",
            saved = out(reg) ebx,
            inout("eax") 1 => _,
            out("ecx") ecx,
            out("edx") _,
            options(nomem, nostack, preserves_flags),
        );
    }
    Leaf1 { ebx, ecx }
}
