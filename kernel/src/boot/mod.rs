//! The boot stub: from QEMU's `-kernel` to Hermit's `_start` in one ELF.
//!
//! ```text
//!  QEMU -kernel ──(Xen note)──▶ entry.s ──▶ boot_main ──┐   32-bit, paging off ──▶ 64-bit, 0..4 GiB mapped ──▶ device tree
//!  uhyve, hermit-loader ──(ELF entry point)─────────────┴─▶ _start, the Hermit kernel
//! ```

pub mod fdt;
pub mod info;
#[cfg(target_os = "hermit")]
mod pvh;
