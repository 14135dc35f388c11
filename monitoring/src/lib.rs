//! Monitoring for Hermit unikernels: what a running image reports about itself.
//!
//! | to | use |
//! |---|---|
//! | count and profile the heap | [`heap::Profiled`] around the allocator |
//! | start everything | `hermit::start` with a [`config::Config`] |
//! | report counts, values and durations | the kinds of [`metrics`] |
//! | log by source, at levels that can be changed | [`logging`], [`log_source!`], [`log_to!`] |
//!
//! `examples/minimal` is a whole application; `docs/USING.md` explains it.
//!
//! # Features
//! `talc`, `linked-list`: a heap over the memory of the image. `std`: for an application with std, whose heap can be
//! `Profiled<std::alloc::System>`. Needs Rust 1.91. Of these modules, only [`heap`] runs inside the allocator.
#![no_std]
#![deny(unsafe_code)]

#[cfg(target_os = "hermit")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[cfg(target_os = "hermit")]
pub mod hermit;

pub use ::logging::{log_source, log_to};
pub use units::Micros;

/// The configuration: values with their defaults, and a parser for each.
pub mod config {
    pub use agent::config::{
        Config, Token, VmName, check_ports, parse_idle, parse_interval, parse_port, parse_rate,
        parse_sample_bytes, parse_switch, parse_token, parse_trace_bytes, parse_vm,
    };
    pub use network::{Addressing, Allow, BadValue, Target};
}

/// The heap and its counts.
pub mod heap {
    #[cfg(feature = "linked-list")]
    pub use heap_profiler::LinkedList;
    #[cfg(feature = "talc")]
    pub use heap_profiler::Talc;
    pub use heap_profiler::{Extent, HeapProfile, HeapSource, HeapStats, Profiled, Rate};
}

/// The logger, and levels by source.
pub mod logging {
    pub use ::logging::{
        Level, Levels, LevelsError, LogError, LogSource, declare, init, set_levels,
    };
}

/// Sources of metrics, which an application declares and updates.
pub mod metrics {
    pub use ::metrics::line::Value;
    pub use ::metrics::{
        Counter, FieldDef, FieldKind, FieldList, FloatGauge, Gauge, Histogram, KeyedCounter,
        Points, Polled, Timer, duration, register, registry, status,
    };
}
