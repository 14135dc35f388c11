//! Every machine, processor and amount of memory that is promised: the image boots and its metrics arrive.

use hermon_machine::qemu::{Machine, Nic};
use tests::boot::Boot;
use tests::control::Port;
use tests::image::Heap;
use tests::metrics::{Receive, Udp};

/// Boots, asks the control port, and receives both sources. Gives the heap's size in bytes.
fn works(boot: impl FnOnce(Boot) -> Boot, machine: Machine) -> i64 {
    let mut udp = Udp::open();
    let port = Port::free();
    let network = Nic::Default(port.network());
    let mut guest = boot(Boot::new(machine).nic(network))
        .arguments("--interval 500ms --workload mixed")
        .argument(udp.target())
        .start();
    guest.ready();
    let memory = udp.until(|point| point.measurement == "memory");
    udp.until(|point| point.measurement == "monitoring");
    let reply = port.connect().ask("s");
    assert!(reply.starts_with("ok: "), "{reply}");
    assert!(memory.integer("live_bytes") > 0);
    memory.integer("heap_size_bytes")
}

#[test]
fn a_pc_boots() {
    works(|boot| boot, Machine::Pc);
}

#[test]
fn the_oldest_processor_model_boots() {
    works(|boot| boot.cpu("qemu64"), Machine::Q35);
}

#[test]
fn a_nehalem_boots() {
    works(|boot| boot.cpu("Nehalem"), Machine::Q35);
}

#[test]
fn the_most_capable_processor_model_boots() {
    works(|boot| boot.cpu("max"), Machine::Q35);
}

#[test]
fn every_processor_model_boots_on_microvm_too() {
    for model in ["qemu64", "Nehalem", "max"] {
        works(|boot| boot.cpu(model), Machine::Microvm);
    }
}

#[test]
fn twenty_four_mebibytes_are_enough() {
    let heap = works(|boot| boot.memory(24), Machine::Q35);
    assert!(heap > 4 << 20, "a heap of {heap} bytes");
}

#[test]
fn twenty_four_mebibytes_are_enough_for_microvm() {
    let heap = works(|boot| boot.memory(24), Machine::Microvm);
    assert!(heap > 4 << 20, "a heap of {heap} bytes");
}

#[test]
fn of_eight_gibibytes_the_most_is_heap() {
    let heap = works(|boot| boot.memory(8192), Machine::Q35);
    assert!(heap > 7 << 30, "a heap of {heap} bytes");
}

#[test]
fn the_linked_list_heap_boots() {
    works(|boot| boot.heap(Heap::LinkedList), Machine::Q35);
}

#[test]
fn the_linked_list_heap_boots_in_twenty_four_mebibytes() {
    works(
        |boot| boot.heap(Heap::LinkedList).memory(24),
        Machine::Microvm,
    );
}
