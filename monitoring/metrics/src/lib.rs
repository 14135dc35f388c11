//! Metrics: an application declares sources, updates them and switches them.
//!
//! It takes two lines: one declares a source, one uses it.
//!
//! ```
//! use metrics::Counter;
//! static REQUESTS: Counter = Counter::new("requests", "requests answered").unit("requests");
//! REQUESTS.add(1);
//! ```
//!
//! | to report | kind | fields |
//! |---|---|---|
//! | the number of events | [`Counter`] | `count` |
//! | a present value | [`Gauge`], [`FloatGauge`] | `value` |
//! | a distribution of values | [`Histogram`] | `count`, `sum`, `mean`, `p50`, `p90`, `p99`, `max` |
//! | the number of events by a key known at run time | [`KeyedCounter`] | the keys, `other`, `total` |
//! | the duration of work, and whether it failed | [`Timer`] | `duration_ns`, `status`, `ok`, `errors`, `p50_ns` … |
//! | values with tags: one series per set of tag values | [`Points`] | as declared |
//! | values that a function returns once per interval | [`Polled`] | as declared |
//!
//! ```text
//!  Counter, Gauge, … ─── sampled ──────────▶┐
//!  Polled ────────────── asked ────────────▶├─▶ emit: one line each per interval
//!  Points ──push──▶ SeriesCache ──▶ last ──▶┘
//!                 Registry: names, tags, on or off
//! ```
//!
//! Sources are `static`. Any task may use them, also before the monitoring task runs. They register themselves at their
//! first use; [`register`] does it earlier and reports a clash of names. Nothing here allocates. While a source is off,
//! a use costs one relaxed load.

#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

mod counter;
mod declared;
mod fields;
mod gauge;
mod histogram;
mod keyed;
pub mod line;
mod points;
mod polled;
mod registry;
mod timer;

pub use self::counter::Counter;
pub use self::declared::{Declared, Row, Told};
pub use self::fields::{
    FIELDS_MAX, FieldDef, FieldKind, FieldList, duration, fields_left_out, status,
};
pub use self::gauge::{FloatGauge, Gauge};
pub use self::histogram::{Histogram, Spread, Summary};
pub use self::keyed::{KEY_BYTES_MAX, KEYS_MAX, KeyedCounter, OTHER, TOTAL};
pub use self::points::Points;
pub use self::polled::Polled;
pub use self::registry::{
    ENABLED_TAGS_MAX, EXPIRY_DEFAULT, Entry, Look, Metric, Origin, Plan, RegisterError, Registry,
    SERIES_FIELDS_MAX, SERIES_LABELS_MAX, SERIES_MAX, SERIES_TAG_BYTES, SOURCES_MAX, SeriesCache,
    SeriesCounts, Snapshot, Source, SwitchError, register, registry,
};
pub use self::timer::Timer;
