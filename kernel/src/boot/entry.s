// PVH entry: 32-bit protected mode, paging off, flat segments, interrupts off, ebx = physical address of the start info. (Xen,
// docs/misc/pvh.pandoc, "x86/HVM direct boot ABI".) Ends in 64-bit mode with SSE on, with a call of `boot_main(start_info)`.

.section .note.Xen, "a", @note
.align 4
    .long 4                 // size of the name
    .long 4                 // size of the descriptor
    .long 18                // XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long {entry}

.section .boot32, "ax", @progbits
.code32
.global {entry}
{entry}:
    cld
    mov esp, offset {stack} + {stack_size}

    // The tables lie in .bss, which is zero. PML4[0] -> PDPT; PDPT[0..4] -> 4 page directories; they map 0..4 GiB with 2 MiB pages.
    // 1 GiB pages would not do: the kernel cannot split those. The first 2 MiB get 4 KiB pages, because `boot_main` later unmaps
    // all of them but the page of the ACPI root pointer: the kernel itself maps what it needs there.
    mov dword ptr [{tables}], offset {tables} + 0x1000 + 3
    mov edi, offset {tables} + 0x1000
    mov eax, offset {tables} + 0x2000 + 3
    mov ecx, 4
2:  mov [edi], eax
    add edi, 8
    add eax, 0x1000
    loop 2b

    mov edi, offset {tables} + 0x2000
    mov eax, 0x83           // present, writable, large
    mov ecx, 4 * 512
3:  mov [edi], eax
    add edi, 8
    add eax, 0x200000
    loop 3b

    mov edi, offset {tables} + 0x6000
    mov dword ptr [{tables} + 0x2000], offset {tables} + 0x6000 + 3
    mov eax, 3
    mov ecx, 512
4:  mov [edi], eax
    add edi, 8
    add eax, 0x1000
    loop 4b

    mov eax, offset {tables}
    mov cr3, eax
    mov eax, cr4
    or eax, 0x620           // PAE, OSFXSR, OSXMMEXCPT
    mov cr4, eax
    mov ecx, 0xc0000080     // EFER
    rdmsr
    or eax, 0x900           // long mode, no-execute
    wrmsr
    mov eax, cr0
    and eax, 0xfffffffb     // no FPU emulation
    or eax, 0x80010003      // paging, write protect, monitor coprocessor, protected mode
    mov cr0, eax
    lgdt [{gdt_pointer}]
    // A far jump to 64-bit code: 0x08 is the code segment.
    push 0x08
    mov eax, offset .Lpvh_64
    push eax
    retf

.code64
.Lpvh_64:
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    mov edi, ebx
    xor ebp, ebp
    call {main}

.section .rodata.boot, "a", @progbits
.align 8
{gdt}:
    .quad 0
    .quad 0x00af9b000000ffff    // 64-bit code
    .quad 0x00cf93000000ffff    // data
{gdt_pointer}:
    .short 23
    .long {gdt}
