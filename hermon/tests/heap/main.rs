//! Heap traces: captured from a server that misbehaves, reported on, compared, converted, taken on the page; and the control port.

#[path = "../common/mod.rs"]
mod common;

mod capture;
mod convert;
mod ctl;
mod golden;
mod large;
mod made;
mod manual;
mod oracle;
mod page;
mod report;
