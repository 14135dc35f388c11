//! The trace encoder against a reader that shares no code with it.

mod boundaries;
mod golden;
mod peer;
mod program;
mod properties;
mod real;
mod size;
mod tracer;
