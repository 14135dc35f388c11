//! One target of libFuzzer for each reader of bytes from outside. `TARGET` in the environment chooses it.
//!
//! The models and oracles are those of the tests, so a target is what is left: bytes to a call.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

#[path = "../../../monitoring/network/tests/forged/attack.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod attack;
#[path = "../../../monitoring/agent/tests/control/fixture.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod fixture;
#[path = "../../../monitoring/network/tests/forged/frames.rs"]
mod frames;
mod memory;
#[path = "../../../monitoring/agent/tests/control/oracle.rs"]
mod oracle;
#[path = "../../../hermon/src/point.rs"]
#[expect(dead_code, reason = "the tool uses more of it")]
mod point;
#[path = "../../../crates/symbol-table/tests/sealed/mod.rs"]
mod sealed;
#[path = "../../../monitoring/network/tests/forged/states.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod states;
#[path = "../../../monitoring/agent/tests/net/stream.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod stream;
mod targets;
#[path = "../../../monitoring/network/tests/forged/world.rs"]
mod world;

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 9] = [
    ("arguments", targets::guest::arguments),
    ("control", targets::guest::control),
    ("stack", targets::guest::stack),
    ("elf", targets::host::elf),
    ("flame", targets::host::flame),
    ("line", targets::host::line),
    ("symbol_table", targets::host::symbol_table),
    ("trace", targets::host::trace),
    ("writer", targets::host::writer),
];

fn target() -> Target {
    static TARGET: OnceLock<Target> = OnceLock::new();
    *TARGET.get_or_init(|| {
        let name = std::env::var("TARGET").unwrap_or_default();
        let found = TARGETS.iter().find(|target| target.0 == name);
        let names = TARGETS.map(|target| target.0).join(", ");
        found
            .unwrap_or_else(|| panic!("TARGET={name:?} is none of {names}"))
            .1
    })
}

fuzz_target!(|bytes: &[u8]| target()(bytes));
