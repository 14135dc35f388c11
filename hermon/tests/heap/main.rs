//! Heap traces: captured from a server that misbehaves, reported on, compared, converted, taken on the page; and the control port.

#[path = "../common/mod.rs"]
mod common;

mod bombs;
mod capture;
mod convert;
mod ctl;
#[path = "../../heap/tests/traces/golden.rs"]
mod golden;
mod large;
#[path = "../../heap/tests/traces/made.rs"]
mod made;
mod manual;
#[path = "../../heap/tests/traces/oracle.rs"]
#[expect(dead_code, reason = "the reports' tests ask for more")]
mod oracle;
mod page;
mod report;
