//! Fields: the declaration of each, and the values of one point.

use core::time::Duration;

use sync::Counter;

use crate::line::{Field, Value};

/// The most fields of one source: two lines at about 35 bytes per field.
pub const FIELDS_MAX: usize = 48;

/// The type of a field. It never changes: InfluxDB fixes it at a field's first value.
///
/// ```
/// use metrics::FieldKind;
/// use metrics::line::Value;
/// assert!(FieldKind::U64.takes(&Value::U64(1)) && !FieldKind::U64.takes(&Value::I64(1)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A signed integer.
    I64,
    /// An unsigned integer. Values above 2^63 - 1 are sent as 2^63 - 1.
    U64,
    /// A floating-point number; NaN and the infinities are left out.
    F64,
    /// True or false.
    Bool,
    /// Text.
    Text,
    /// A span in nanoseconds, sent as an integer; see [`duration`].
    DurationNs,
    /// `ok` or `error`, sent as text; see [`status`].
    Status,
}

impl FieldKind {
    /// Returns `true` if a value has this type.
    #[must_use]
    pub const fn takes(self, value: &Value<'_>) -> bool {
        matches!(
            (self, value),
            (Self::I64, Value::I64(_))
                | (Self::U64 | Self::DurationNs, Value::U64(_))
                | (Self::F64, Value::F64(_))
                | (Self::Bool, Value::Bool(_))
                | (Self::Text | Self::Status, Value::Str(_))
        )
    }

    /// Returns the type's name in documentation.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::I64 => "i64",
            Self::U64 => "u64",
            Self::F64 => "f64",
            Self::Bool => "bool",
            Self::Text => "text",
            Self::DurationNs => "duration",
            Self::Status => "ok or error",
        }
    }
}

/// The declaration of one field.
///
/// ```
/// use metrics::{FieldDef, FieldKind};
/// let field = FieldDef::u64("jobs", "jobs", "jobs that wait");
/// assert_eq!((field.name, field.kind), ("jobs", FieldKind::U64));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldDef {
    /// The key on the line.
    pub name: &'static str,
    /// The type.
    pub kind: FieldKind,
    /// The unit, in the plural; empty if the field has no unit.
    pub unit: &'static str,
    /// The meaning, in one sentence without a full stop.
    pub doc: &'static str,
}

impl FieldDef {
    /// Creates a field of this type.
    #[must_use]
    pub const fn new(
        name: &'static str,
        kind: FieldKind,
        unit: &'static str,
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            kind,
            unit,
            doc,
        }
    }

    /// Creates a field of unsigned integers.
    #[must_use]
    pub const fn u64(name: &'static str, unit: &'static str, doc: &'static str) -> Self {
        Self::new(name, FieldKind::U64, unit, doc)
    }
}

/// Returns the value of a [`FieldKind::DurationNs`]. Saturates after 584 years.
///
/// ```
/// use core::time::Duration;
/// use metrics::line::Value;
/// assert_eq!(metrics::duration(Duration::from_micros(3)), Value::U64(3_000));
/// ```
#[must_use]
pub fn duration(span: Duration) -> Value<'static> {
    Value::U64(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
}

/// Returns the value of a [`FieldKind::Status`].
///
/// ```
/// use metrics::line::Value;
/// assert_eq!(metrics::status(true), Value::Str("ok"));
/// ```
#[must_use]
pub const fn status(ok: bool) -> Value<'static> {
    Value::Str(if ok { "ok" } else { "error" })
}

static LEFT_OUT: Counter = Counter::new();

/// Returns the number of fields that exceeded the [`FIELDS_MAX`] of their source, since boot.
#[must_use]
pub fn fields_left_out() -> u64 {
    LEFT_OUT.get()
}

/// The fields of one point, in fixed memory: 40 bytes each.
///
/// ```
/// use metrics::FieldList;
/// use metrics::line::Value;
/// let mut fields = FieldList::new();
/// fields.add("jobs", Value::U64(3));
/// assert_eq!(fields.as_slice().len(), 1);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FieldList<'a> {
    fields: [Field<'a>; FIELDS_MAX],
    len: usize,
}

impl<'a> FieldList<'a> {
    /// Creates an empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            fields: [const {
                Field {
                    key: "",
                    value: Value::Bool(false),
                }
            }; FIELDS_MAX],
            len: 0,
        }
    }

    /// Adds a field. A field beyond [`FIELDS_MAX`] is left out and counted.
    pub fn add(&mut self, key: &'a str, value: Value<'a>) {
        if let Some(field) = self.fields.get_mut(self.len) {
            *field = Field { key, value };
            self.len += 1;
        } else {
            LEFT_OUT.add(1);
        }
    }

    /// Adds a value for every declared field, in their order.
    pub fn add_all<const N: usize>(&mut self, fields: &[FieldDef; N], values: [Value<'a>; N]) {
        for (field, value) in fields.iter().zip(values) {
            debug_assert!(field.kind.takes(&value), "{}: {value:?}", field.name);
            self.add(field.name, value);
        }
    }

    /// Returns the fields, in the order in which they were added.
    #[must_use]
    pub fn as_slice(&self) -> &[Field<'a>] {
        &self.fields[..self.len]
    }
}

impl Default for FieldList<'_> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_takes_its_own_values_only() {
        let values = [
            (FieldKind::I64, Value::I64(-1)),
            (FieldKind::U64, Value::U64(1)),
            (FieldKind::F64, Value::F64(0.5)),
            (FieldKind::Bool, Value::Bool(true)),
            (FieldKind::Text, Value::Str("a")),
        ];
        for (kind, _) in values {
            for (other, value) in values {
                assert_eq!(kind.takes(&value), kind == other, "{kind:?} {value:?}");
            }
        }
        assert!(FieldKind::DurationNs.takes(&duration(Duration::from_micros(3))));
        assert!(FieldKind::Status.takes(&status(false)) && status(true) == Value::Str("ok"));
        assert_eq!(duration(Duration::from_micros(3)), Value::U64(3_000));
        assert_eq!(duration(Duration::MAX), Value::U64(u64::MAX));
    }

    #[test]
    fn a_field_without_room_is_left_out_and_counted() {
        let before = fields_left_out();
        let mut fields = FieldList::new();
        for n in 0..FIELDS_MAX as u64 + 3 {
            fields.add("n", Value::U64(n));
        }
        assert_eq!(fields.as_slice().len(), FIELDS_MAX);
        assert_eq!(fields_left_out() - before, 3);
    }
}
