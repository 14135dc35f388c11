//! Stacks that are not ordinary: deeper than is recorded, and of tasks that preempt each other in the allocator.

use std::time::Instant;

use hermon_machine::qemu::Machine;
use tests::DEADLINE;
use tests::boot::Boot;
use tests::trace::Block;

use super::boot_with;

/// Frames that a stack has at most.
const FRAMES_MAX: usize = 128;
const MARK: &str = "[outer frames dropped]";

/// A stack that is cut: the mark, then the innermost frames.
fn is_cut(block: &Block) -> bool {
    let inner = block.stack.len() - 1;
    let mut functions = block.functions();
    functions.next() == Some(MARK)
        && inner == FRAMES_MAX
        && functions
            .next()
            .is_some_and(|name| name.ends_with("::deep"))
        && block.passes("bottom")
}

#[test]
fn of_a_deep_recursion_the_outermost_frames_are_dropped_and_a_frame_says_so() {
    let boot = Boot::new(Machine::Q35).doing("deep");
    let (_guest, ports) = boot_with(boot, "--influx off --sampling-rate 1");
    let mut client = ports.trace();
    client.read_to(5_000);
    let profile = client.finish();
    let mut deep = profile.of("bottom").peekable();
    assert!(deep.peek().is_some());
    for block in deep {
        assert!(is_cut(block), "{:#?}", block.stack);
    }
}

#[test]
fn what_is_alive_of_a_deep_recursion_says_so_too() {
    let boot = Boot::new(Machine::Q35).doing("deep");
    let (_guest, ports) = boot_with(boot, "--influx off --sampling-rate 1 --heap-profile on");
    let mut control = ports.control.connect();
    let deadline = Instant::now() + DEADLINE;
    while !control.ask("H").contains("guest::image::bottom ") {
        assert!(Instant::now() < deadline);
    }
    let mut client = ports.trace();
    client.read_to(5_000);
    let profile = client.finish();
    let mut alive = profile
        .of("bottom")
        .filter(|block| block.at == 0)
        .peekable();
    assert!(alive.peek().is_some(), "nothing was alive");
    for block in alive {
        assert!(is_cut(block), "{:#?}", block.stack);
    }
}

#[test]
fn tasks_that_preempt_each_other_in_the_allocator_have_stacks_of_their_own() {
    let boot = Boot::new(Machine::Q35).doing("preempt");
    let (_guest, ports) = boot_with(boot, "--influx off --sampling-rate 1 --sample-memory 4M");
    let mut client = ports.trace();
    client.read_to(1 << 20);
    let profile = client.finish();
    let (mut low, mut high) = (0, 0);
    for block in &profile.blocks {
        let outermost = block.functions().next().expect("a frame");
        assert!(outermost.ends_with("::task_entry"), "{:#?}", block.stack);
        match (block.passes("busy"), block.passes("urgent")) {
            (true, false) => low += 1,
            (false, true) => high += 1,
            _ => panic!("{:#?}", block.stack),
        }
    }
    assert!(low > 1000 && high > 100, "{low} and {high} blocks");
}
