//! Counts and compares the data that has arrived in the databases.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::database::{InfluxDb, VictoriaMetrics};
use crate::server::until;

/// A sample: the metric's name and labels, and milliseconds since 1970.
type Key = (String, BTreeMap<String, String>, i64);

/// A point of the source `monitoring` from InfluxDB.
#[derive(Debug, Clone)]
pub struct Own {
    /// Nanoseconds since 1970.
    pub time: i64,
    fields: BTreeMap<String, Value>,
}

impl Own {
    /// # Panics
    /// Panics if there is no integer field of this name.
    pub fn integer(&self, field: &str) -> i64 {
        self.fields[field]
            .as_i64()
            .unwrap_or_else(|| panic!("field {field} of {self:?}"))
    }
}

/// Returns the points of the source `monitoring` of an image, oldest first.
pub fn own(influx: &InfluxDb, vm: &str) -> Vec<Own> {
    let tables = influx.tables(&format!(
        "SELECT * FROM \"monitoring\" WHERE \"vm\" = '{vm}'"
    ));
    let rows = tables.into_iter().flat_map(|(_, series, columns)| {
        series.values.into_iter().map(move |row| {
            let row = row.as_array().expect("a row").clone();
            columns
                .clone()
                .into_iter()
                .zip(row)
                .collect::<BTreeMap<_, _>>()
        })
    });
    // InfluxDB answers with the fields that it has so far of a point that is being written.
    rows.filter(|fields: &BTreeMap<_, Value>| !fields.values().any(Value::is_null))
        .map(|fields| Own {
            time: fields["time"].as_i64().expect("a time"),
            fields,
        })
        .collect()
}

/// Waits for a point of the source `monitoring` of an image.
///
/// # Panics
/// Panics if none comes before the deadline.
pub fn own_until(influx: &InfluxDb, vm: &str, wanted: impl Fn(&Own) -> bool) -> Own {
    until(&format!("a point of {vm}"), || {
        let points = own(influx, vm);
        let last = points.last().cloned();
        points
            .into_iter()
            .find(&wanted)
            .ok_or_else(|| format!("{last:?}"))
    })
}

/// Returns the number of an image's lines in InfluxDB before this time. A line is a point of a series.
pub fn lines_before(influx: &InfluxDb, vm: &str, time: i64) -> i64 {
    let query =
        format!("SELECT count(*) FROM /.*/ WHERE \"vm\" = '{vm}' AND time < {time} GROUP BY *");
    let series = influx.ask(&query);
    // A line of a series may lack a field, so the most frequent field counts.
    let most = series.iter().map(|series| {
        let counts = series
            .values
            .iter()
            .flat_map(|row| row.as_array().into_iter().flatten().skip(1));
        counts.filter_map(Value::as_i64).max().unwrap_or(0)
    });
    most.sum()
}

/// An image's own counts of its lines, and the number of them in InfluxDB.
#[derive(Debug, Clone)]
pub struct Account {
    pub last: Own,
    pub stored: i64,
}

impl Account {
    /// Returns the account of an image that has ended.
    pub fn of(influx: &InfluxDb, vm: &str) -> Option<Self> {
        let last = own(influx, vm).pop()?;
        let stored = lines_before(influx, vm, last.time);
        Some(Self { last, stored })
    }

    /// Returns the lines of earlier intervals that the image had sent or still held.
    pub fn told(&self) -> i64 {
        self.last.integer("lines_sent") + self.last.integer("lines_waiting")
    }
}

/// Waits until InfluxDB holds every line that an image says it sent. The image has ended, and none may be lost.
///
/// # Panics
/// Panics if one is missing at the deadline, or if there are more than were sent.
pub fn complete(influx: &InfluxDb, vm: &str) -> Account {
    let account = until(&format!("all lines of {vm}"), || {
        let account = Account::of(influx, vm).ok_or("none")?;
        if account.stored == account.told() {
            Ok(account)
        } else {
            Err(format!("{account:?}"))
        }
    });
    for field in ["lines_lost", "lines_in_doubt", "frames_dropped"] {
        assert_eq!(account.last.integer(field), 0, "{field} of {vm}");
    }
    account
}

/// Returns every number of an image in InfluxDB, under the name that VictoriaMetrics gives it.
fn numbers(influx: &InfluxDb, vm: &str) -> BTreeMap<Key, f64> {
    let mut out = BTreeMap::new();
    for (source, series, columns) in influx.tables(&format!(
        "SELECT * FROM /.*/ WHERE \"vm\" = '{vm}' GROUP BY *"
    )) {
        // InfluxDB lists the tags of all series together; an empty one does not belong to this series.
        let mut labels = series.labels;
        labels.retain(|_, value| !value.is_empty());
        for row in &series.values {
            let row = row.as_array().expect("a row");
            let time = row[0].as_i64().expect("a time") / 1_000_000;
            for (field, value) in columns.iter().zip(row).skip(1) {
                if let Some(value) = value.as_f64() {
                    out.insert((format!("{source}_{field}"), labels.clone(), time), value);
                }
            }
        }
    }
    out
}

/// Returns whether two numbers are equal. VictoriaMetrics keeps about 15 digits of a number (its documentation, "FAQ": precision).
fn alike(exact: f64, kept: f64) -> bool {
    (exact - kept).abs() <= exact.abs() * 1e-12
}

/// Waits until VictoriaMetrics holds exactly the numbers that InfluxDB holds of an image that has ended. Returns their count.
///
/// # Panics
/// Panics if they differ at the deadline.
pub fn the_same(influx: &InfluxDb, victoria: &VictoriaMetrics, vm: &str) -> usize {
    until(&format!("the same numbers of {vm}"), || {
        let expected = numbers(influx, vm);
        let mut found = BTreeMap::new();
        for (mut labels, time, value) in victoria.samples(&format!("{{vm=\"{vm}\"}}")) {
            let name = labels.remove("__name__").unwrap_or_default();
            // The database's name, which VictoriaMetrics turns into a label.
            labels.remove("db");
            found.insert((name, labels, time), value);
        }
        let same = |(key, value): &(&Key, &f64)| {
            found.get(*key).is_some_and(|found| alike(**value, *found))
        };
        if !expected.is_empty()
            && expected.len() == found.len()
            && expected.iter().all(|pair| same(&pair))
        {
            return Ok(expected.len());
        }
        let missing: Vec<_> = expected.iter().filter(|pair| !same(pair)).take(3).collect();
        Err(format!(
            "{} in InfluxDB, {} in VictoriaMetrics, such as {missing:?}",
            expected.len(),
            found.len()
        ))
    })
}
