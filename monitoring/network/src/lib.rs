//! The network: one interface with bounded connections, and queues of lines to send. Services see only bytes and time.
//!
//! ```text
//!  control ── Stream ──┐
//!  push ───── Link ────┤ tcp.rs ┐
//!  datagram ─ Datagrams┴────────┴ stack.rs ── smoltcp ── a device
//! ```
//!
//! | to | use |
//! |---|---|
//! | serve connections | [`Service`], which sees a [`Stream`] |
//! | send lines, over UDP or TCP | [`outbox::Outbox`], [`datagram::DatagramPush`], [`push::StreamPush`] |
//! | have an interface with an address | [`stack::Stack`] over a smoltcp `phy::Device` |
//! | read the values of arguments | [`Target`], [`Addressing`], [`Allow`] |
//!
//! Only `tcp.rs` and `stack.rs` name smoltcp: a backend over other sockets implements only the three traits of this
//! file. Time is an argument, the caller gives the memory, and nothing allocates. No features. Needs Rust 1.91. Nothing
//! here may run inside an allocator.

#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

mod address;
pub mod bounds;
pub mod datagram;
pub mod outbox;
pub mod push;
mod random;
pub mod ring;
pub mod stack;
mod stream;
pub mod tcp;

pub use self::address::{ALLOW_MAX, Addressing, Allow, BadValue, Cidr, Target, parse_cidr};
pub use self::random::Key;
pub use self::stream::{Closed, Datagrams, Link, LinkState, Service, Step, Stream, Unreachable};
