//! The one place where the tool looks at the wall clock for the time of a point.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::point::UnixMicros;

/// Now, by this host's clock.
pub fn unix_now() -> UnixMicros {
    let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |us| -us),
    };
    UnixMicros(micros)
}
