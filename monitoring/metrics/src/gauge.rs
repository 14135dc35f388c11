//! A value that goes up and down.

use core::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::fields::{FieldDef, FieldKind};
use super::registry::{Metric, Source, setters};
use crate::line::{Field, Value};

/// The present value of a whole number, in the field `value`.
///
/// ```
/// use metrics::Gauge;
/// static QUEUE: Gauge = Gauge::new("queue", "jobs that wait").unit("jobs");
/// QUEUE.set(3);
/// QUEUE.add(-1);
/// assert_eq!(QUEUE.get(), 2);
/// ```
#[derive(Debug)]
pub struct Gauge {
    source: Source,
    fields: [FieldDef; 1],
    value: AtomicI64,
}

impl Gauge {
    /// Creates a gauge at 0.
    #[must_use]
    pub const fn new(name: &'static str, doc: &'static str) -> Self {
        Self {
            source: Source::new(name, doc),
            fields: [FieldDef::new("value", FieldKind::I64, "", "the value now")],
            value: AtomicI64::new(0),
        }
    }

    setters!(unit: "Names the unit, in the plural.");

    /// Sets the value while the source is on. One load and one store.
    #[inline]
    pub fn set(&'static self, value: i64) {
        if self.source.is_active(self) {
            self.value.store(value, Ordering::Relaxed);
        }
    }

    /// Adds to the value, or subtracts from it, even if the source is off: a gauge that missed one of two opposite
    /// changes would stay wrong. Wraps around. One load and one atomic addition.
    #[inline]
    pub fn add(&'static self, change: i64) {
        self.source.is_active(self);
        self.value.fetch_add(change, Ordering::Relaxed);
    }

    /// Returns the value.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.value.load(Ordering::Relaxed)
    }
}

impl Metric for Gauge {
    fn source(&self) -> &Source {
        &self.source
    }

    fn fields(&self) -> &[FieldDef] {
        &self.fields
    }

    fn sample(&self, line: &mut dyn FnMut(&[Field<'_>])) {
        line(&[Field {
            key: self.fields[0].name,
            value: Value::I64(self.get()),
        }]);
    }
}

/// The present value of a floating-point number, in the field `value`. NaN and the infinities are not sent.
///
/// ```
/// use metrics::FloatGauge;
/// static LOAD: FloatGauge = FloatGauge::new("load", "share of workers that are busy");
/// LOAD.set(0.75);
/// assert_eq!(LOAD.get(), 0.75);
/// ```
#[derive(Debug)]
pub struct FloatGauge {
    source: Source,
    fields: [FieldDef; 1],
    bits: AtomicU64,
}

impl FloatGauge {
    /// Creates a gauge at 0.
    #[must_use]
    pub const fn new(name: &'static str, doc: &'static str) -> Self {
        Self {
            source: Source::new(name, doc),
            fields: [FieldDef::new("value", FieldKind::F64, "", "the value now")],
            bits: AtomicU64::new(0),
        }
    }

    setters!(unit: "Names the unit, in the plural.");

    /// Sets the value while the source is on. One load and one store.
    #[inline]
    pub fn set(&'static self, value: f64) {
        if self.source.is_active(self) {
            self.bits.store(value.to_bits(), Ordering::Relaxed);
        }
    }

    /// Returns the value.
    #[must_use]
    pub fn get(&self) -> f64 {
        f64::from_bits(self.bits.load(Ordering::Relaxed))
    }
}

impl Metric for FloatGauge {
    fn source(&self) -> &Source {
        &self.source
    }

    fn fields(&self) -> &[FieldDef] {
        &self.fields
    }

    fn sample(&self, line: &mut dyn FnMut(&[Field<'_>])) {
        line(&[Field {
            key: self.fields[0].name,
            value: Value::F64(self.get()),
        }]);
    }
}
