//! The images, booted under QEMU and used as a person would. `scripts/build.sh` must have built both heaps' images.
#![deny(unsafe_code)]

mod arguments;
mod control;
mod endings;
mod examples;
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
