//! Traces that are made here, reported on and converted.

mod convert;
mod golden;
mod made;
mod oracle;
mod report;
