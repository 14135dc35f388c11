//! Sources whose fields are declared together with the expressions of their values.

use super::fields::{FieldDef, FieldKind, FieldList};
use super::registry::{Metric, Origin, Source};
use crate::line::{Field, Tag, Value};

/// One field: its name, type, unit and meaning, and the expression that reads its value from a `T`.
#[derive(Debug)]
pub struct Row<T: 'static> {
    field: FieldDef,
    value: Expression<T>,
}

/// The expression of a value; `None` leaves the field out.
#[derive(Debug)]
enum Expression<T> {
    U64(fn(&T) -> u64),
    MaybeU64(fn(&T) -> Option<u64>),
    MaybeI64(fn(&T) -> Option<i64>),
    Text(fn(&T) -> &'static str),
}

impl<T> Clone for Row<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Row<T> {}

impl<T> Clone for Expression<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Expression<T> {}

impl<T> Row<T> {
    /// Declares an unsigned integer.
    #[must_use]
    pub const fn u64(
        name: &'static str,
        unit: &'static str,
        doc: &'static str,
        value: fn(&T) -> u64,
    ) -> Self {
        Self {
            field: FieldDef::u64(name, unit, doc),
            value: Expression::U64(value),
        }
    }

    /// Declares an unsigned integer that is not always known.
    #[must_use]
    pub const fn maybe_u64(
        name: &'static str,
        unit: &'static str,
        doc: &'static str,
        value: fn(&T) -> Option<u64>,
    ) -> Self {
        Self {
            field: FieldDef::u64(name, unit, doc),
            value: Expression::MaybeU64(value),
        }
    }

    /// Declares a signed integer that is not always known.
    #[must_use]
    pub const fn maybe_i64(
        name: &'static str,
        unit: &'static str,
        doc: &'static str,
        value: fn(&T) -> Option<i64>,
    ) -> Self {
        Self {
            field: FieldDef::new(name, FieldKind::I64, unit, doc),
            value: Expression::MaybeI64(value),
        }
    }

    /// Declares a text; an empty one is left out.
    #[must_use]
    pub const fn text(
        name: &'static str,
        doc: &'static str,
        value: fn(&T) -> &'static str,
    ) -> Self {
        Self {
            field: FieldDef::new(name, FieldKind::Text, "", doc),
            value: Expression::Text(value),
        }
    }

    /// Returns the field's declaration.
    #[must_use]
    pub const fn field(&self) -> &FieldDef {
        &self.field
    }

    /// Returns the value now; `None` if it is not known.
    pub fn value(&self, from: &T) -> Option<Value<'static>> {
        match self.value {
            Expression::U64(read) => Some(Value::U64(read(from))),
            Expression::MaybeU64(read) => read(from).map(Value::U64),
            Expression::MaybeI64(read) => read(from).map(Value::I64),
            Expression::Text(read) => Some(read(from))
                .filter(|text| !text.is_empty())
                .map(Value::Str),
        }
    }

    /// Returns the declarations of all fields, for kinds of sources that need only these.
    #[must_use]
    pub const fn fields<const N: usize>(rows: &[Self; N]) -> [FieldDef; N] {
        let mut fields = [FieldDef::u64("", "", ""); N];
        let mut at = 0;
        while at < N {
            fields[at] = rows[at].field;
            at += 1;
        }
        fields
    }
}

/// A source whose emitter reads all values from a `T` at one moment.
///
/// ```
/// use metrics::{Declared, FieldList, Row, Told};
///
/// struct Reading {
///     jobs: u64,
/// }
/// static JOBS: Declared<Reading, 1> = Declared::new(
///     "jobs",
///     "the work of the workers",
///     [Row::u64("done", "jobs", "jobs done since boot", |it: &Reading| it.jobs)],
/// );
/// let mut fields = FieldList::new();
/// JOBS.tell(&Reading { jobs: 3 }, &mut fields);
/// assert_eq!(fields.as_slice()[0].key, "done");
/// ```
#[derive(Debug)]
pub struct Declared<T: 'static, const N: usize> {
    source: Source,
    rows: [Row<T>; N],
    fields: [FieldDef; N],
}

impl<T, const N: usize> Declared<T, N> {
    /// Creates a source with these fields. More than [`FIELDS_MAX`](super::fields::FIELDS_MAX) of them do not compile.
    #[must_use]
    pub const fn new(name: &'static str, doc: &'static str, rows: [Row<T>; N]) -> Self {
        const { assert!(N <= super::fields::FIELDS_MAX, "too many fields") };
        Self {
            source: Source::new(name, doc),
            fields: Row::fields(&rows),
            rows,
        }
    }

    /// Sets the tags with their values, the same on every line.
    #[must_use]
    pub const fn tags(mut self, tags: &'static [Tag<'static>]) -> Self {
        self.source.tags = tags;
        self
    }
}

/// A [`Declared`] source with any number of fields.
pub trait Told<T>: Metric {
    /// Adds the fields whose values are known.
    fn tell(&self, from: &T, fields: &mut FieldList<'_>);
}

impl<T, const N: usize> Told<T> for Declared<T, N> {
    fn tell(&self, from: &T, fields: &mut FieldList<'_>) {
        for row in &self.rows {
            if let Some(value) = row.value(from) {
                fields.add(row.field.name, value);
            }
        }
    }
}

impl<T, const N: usize> Metric for Declared<T, N> {
    fn source(&self) -> &Source {
        &self.source
    }

    fn fields(&self) -> &[FieldDef] {
        &self.fields
    }

    fn origin(&self) -> Origin {
        Origin::Emitter
    }

    /// Does nothing: the emitter adds the values, see [`Told`].
    fn sample(&self, _: &mut dyn FnMut(&[Field<'_>])) {}
}
