//! The choice of the fields that are sent, each key once.

use super::escape::same_key;
use super::{Field, Value};

/// Returns `true` if the protocol can express the field.
#[inline(always)]
pub(super) fn is_sendable(field: &Field<'_>) -> bool {
    let is_number = !matches!(field.value, Value::F64(value) if !value.is_finite());
    is_number && !field.key.is_empty()
}

/// Returns `true` if `others` contain a field that can be written and whose key parsers read as that of `field`.
pub(super) fn is_among(field: &Field<'_>, others: &[Field<'_>]) -> bool {
    others
        .iter()
        .any(|other| is_sendable(other) && same_key(field.key, other.key))
}

/// Returns `true` if two fields that can be written have keys that parsers read as the same. Compares all pairs.
#[cold]
pub(super) fn a_key_is_repeated(fields: &[Field<'_>]) -> bool {
    let repeated = |(index, field): (usize, &Field<'_>)| {
        is_sendable(field) && is_among(field, &fields[..index])
    };
    fields.iter().enumerate().any(repeated)
}

/// Returns `true` if two keys are equal byte by byte, sendable or not. It is quick, and true only for a caller's
/// mistake: most pairs differ in length, most others in the last byte.
#[inline(always)]
pub(super) fn a_key_comes_twice(fields: &[Field<'_>]) -> bool {
    fields.iter().enumerate().any(|(index, field)| {
        let key = field.key;
        fields[..index]
            .iter()
            .any(|other| other.key.len() == key.len() && same_bytes(other.key, key))
    })
}

fn same_bytes(left: &str, right: &str) -> bool {
    left.bytes().next_back() == right.bytes().next_back() && left == right
}
