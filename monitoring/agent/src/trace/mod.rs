//! The heap's records as a trace: the way from the profile's ring to the client's connection.
//!
//! ```text
//!   inside the allocator                       │  in the monitoring task
//!  Profiled::alloc ─▶ Hot ─▶ Hook ─▶ Stack ─▶ Ring ─▶ HeapProfile::peek ─▶ Tracer ─▶ Encoder ─▶ packet ─▶ Stream::write
//!  profiled.rs      hot.rs  hook.rs  stack.rs  ring.rs  session.rs      tracer.rs  encoder.rs  packet.rs      tcp.rs
//!  └──────────────── heap-profiler ──────────────────────────────┘      └ here ┘   └ memtrace-writer ┘      └ network ┘
//! ```
//! A sample passes these ten files in this order, and none of them calls back. They use `sampler.rs` for the odds,
//! `live.rs` for the slot, [`Names`] for names, and [`LiveSites`] for the blocks alive. [`Trace`] is the service of the
//! port; it drives the second half.
//!
//! A session of the profile is a trace: it holds all samples of the session, and nothing remains when it ends. With the
//! heap profile always on there is one session since boot, and a trace begins with the blocks that are alive.
//!
//! Nothing here knows a socket or a clock; a turn does bounded work.

mod entrance;
mod event;
mod live;
mod names;
mod patience;
mod profiler;
pub mod report;
mod service;
mod tracer;

pub use event::TraceEvent;
pub use live::{Last, LiveBlock, LiveSites, Site, follow};
pub use names::Names;
pub use profiler::{Profiler, ProfilerError, ProfilerState};
pub use service::{Always, Handle, Identity, Parts, Round, Serving, Trace};
pub use tracer::{Progress, TraceCounts, Tracer};
