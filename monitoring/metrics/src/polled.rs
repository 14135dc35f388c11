//! Values that a function returns on demand.

use super::fields::{FieldDef, FieldList};
use super::registry::{Metric, Source, setters};
use crate::line::Field;

/// A function that the monitoring task calls once per interval while the source is on.
///
/// The function does bounded work of some µs, allocates nothing, and takes no lock that a task of lower priority may
/// hold. It adds the declared fields, each with its type. It leaves out a field that has no value now.
///
/// ```
/// use metrics::line::Value;
/// use metrics::{self, FieldDef, Polled};
/// # fn files() -> u64 { 3 }
/// static FIELDS: [FieldDef; 1] = [FieldDef::u64("open", "files", "open files")];
/// static FILES: Polled = Polled::new("files", "the table of files", &FIELDS, |fields| {
///     fields.add("open", Value::U64(files()));
/// });
/// metrics::register(&FILES).unwrap();
/// ```
#[derive(Debug)]
pub struct Polled {
    source: Source,
    fields: &'static [FieldDef],
    read: fn(&mut FieldList<'_>),
}

impl Polled {
    /// Creates a source whose values `read` adds. It has no first use, so it must be [registered](super::register).
    #[must_use]
    pub const fn new(
        name: &'static str,
        doc: &'static str,
        fields: &'static [FieldDef],
        read: fn(&mut FieldList<'_>),
    ) -> Self {
        Self {
            source: Source::new(name, doc),
            fields,
            read,
        }
    }

    setters!();
}

impl Metric for Polled {
    fn source(&self) -> &Source {
        &self.source
    }

    fn fields(&self) -> &[FieldDef] {
        self.fields
    }

    fn sample(&self, line: &mut dyn FnMut(&[Field<'_>])) {
        let mut fields = FieldList::new();
        (self.read)(&mut fields);
        line(fields.as_slice());
    }
}
