//! Boots the images under QEMU and uses them as a person would. Run `scripts/build.sh` first, for both heaps.
#![deny(unsafe_code)]

mod arguments;
mod console;
mod contained;
mod control;
mod endings;
mod examples;
mod hostile;
mod image;
mod machines;
mod metrics;
mod names;
mod network;
mod odd;
mod script;
mod sources;
mod speed;
mod trace;
