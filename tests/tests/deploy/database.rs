//! Starts InfluxDB 1 and VictoriaMetrics and queries them over HTTP.

use core::time::Duration;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tests::DEADLINE;
use ureq::Agent;

use crate::server::{Folder, Server, free_port, until};

/// A series in the answer to a query: values of one kind, which labels distinguish from others.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub labels: BTreeMap<String, String>,
    /// Values that are not null, without their times.
    pub values: Vec<Value>,
}

/// The variables of a dashboard, as Grafana fills them in.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// The pattern of images.
    pub vm: &'a str,
    /// The time range, in seconds since 1970.
    pub from: u64,
    pub to: u64,
    /// The width of a step, in seconds.
    pub step: u64,
}

impl Asked<'_> {
    /// Returns a query with its variables filled in.
    ///
    /// # Panics
    /// Panics if the query has a variable that no dashboard should use.
    pub fn fill(&self, query: &str) -> String {
        let (from, to, step) = (self.from, self.to, self.step);
        let filled = query
            .replace(
                "$timeFilter",
                &format!("time >= {from}000ms and time <= {to}000ms"),
            )
            .replace("$__interval", &format!("{step}s"))
            // As in Grafana: the larger of four times the data source's interval, and the step plus one interval.
            .replace("$__rate_interval", &format!("{}s", 4 * step))
            .replace("$vm", self.vm);
        let left = filled
            .split('$')
            .skip(1)
            .find(|rest| rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'));
        assert_eq!(left, None, "a variable in {query:?} that has no value");
        filled
    }
}

fn agent() -> Agent {
    let config = Agent::config_builder()
        .timeout_global(Some(DEADLINE))
        .http_status_as_error(false);
    config.build().into()
}

fn get(url: &str, pairs: &[(&str, &str)]) -> Result<String, String> {
    let request = agent().get(url).query_pairs(pairs.iter().copied());
    let mut response = request.call().map_err(|error| format!("{url}: {error}"))?;
    let status = response.status();
    let body = response
        .body_mut()
        .read_to_string()
        .map_err(|error| format!("{url}: {error}"))?;
    if status.is_success() {
        Ok(body)
    } else {
        Err(format!("{url} {pairs:?}: {status}: {body}"))
    }
}

fn json(url: &str, pairs: &[(&str, &str)]) -> Value {
    let body = get(url, pairs).unwrap_or_else(|error| panic!("{error}"));
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error} in {body}"))
}

fn strings(object: &Value) -> BTreeMap<String, String> {
    let pairs = object.as_object().into_iter().flatten();
    pairs
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect()
}

/// InfluxDB 1, with a database `hermit` as soon as Telegraf has created it.
#[derive(Debug)]
pub struct InfluxDb {
    url: String,
    _server: Server,
    _folder: Folder,
}

impl InfluxDb {
    /// Starts it and waits until it answers.
    ///
    /// # Panics
    /// Panics if it does not answer before the deadline.
    pub fn start(program: &Path) -> Self {
        let (folder, port, inner) = (Folder::new("influxdb"), free_port(), free_port());
        let path = |name: &str| folder.path().join(name);
        let mut command = Command::new(program);
        // Run without a configuration file, so not with the one that may be in /etc.
        command
            .args(["run", "-config", "/dev/null"])
            .env("INFLUXDB_REPORTING_DISABLED", "true")
            .env("INFLUXDB_BIND_ADDRESS", format!("127.0.0.1:{inner}"))
            .env("INFLUXDB_HTTP_BIND_ADDRESS", format!("127.0.0.1:{port}"))
            .env("INFLUXDB_META_DIR", path("meta"))
            .env("INFLUXDB_DATA_DIR", path("data"))
            .env("INFLUXDB_DATA_WAL_DIR", path("wal"))
            .env("INFLUXDB_MONITOR_STORE_ENABLED", "false");
        let server = Server::start(command);
        let url = format!("http://127.0.0.1:{port}");
        until("InfluxDB", || get(&format!("{url}/ping"), &[]));
        Self {
            url,
            _server: server,
            _folder: folder,
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the name, the series and the columns of each series in the answer; its values are the rows with any value. Times are
    /// nanoseconds since 1970.
    ///
    /// # Panics
    /// Panics if the query is refused.
    pub fn tables(&self, query: &str) -> Vec<(String, Series, Vec<String>)> {
        let answer = json(
            &format!("{}/query", self.url),
            &[("db", "hermit"), ("epoch", "ns"), ("q", query)],
        );
        let result = &answer["results"][0];
        assert!(
            result["error"].is_null() && answer["error"].is_null(),
            "{query}: {answer}"
        );
        let series = result["series"].as_array().into_iter().flatten();
        series
            .map(|series| {
                let columns = series["columns"].as_array().expect("columns").iter();
                let columns = columns
                    .map(|name| name.as_str().expect("a name").to_owned())
                    .collect();
                let rows = series["values"].as_array().expect("rows").iter();
                // The first column is the time.
                let rows = rows.filter(|row| {
                    row.as_array()
                        .is_some_and(|row| row[1..].iter().any(|value| !value.is_null()))
                });
                let name = series["name"].as_str().unwrap_or_default().to_owned();
                (
                    name,
                    Series {
                        labels: strings(&series["tags"]),
                        values: rows.cloned().collect(),
                    },
                    columns,
                )
            })
            .collect()
    }

    /// Returns the result of [`InfluxDb::tables`] without names and columns.
    pub fn ask(&self, query: &str) -> Vec<Series> {
        self.tables(query)
            .into_iter()
            .map(|(_, series, _)| series)
            .collect()
    }
}

/// VictoriaMetrics, single node.
#[derive(Debug)]
pub struct VictoriaMetrics {
    url: String,
    _server: Server,
    _folder: Folder,
}

impl VictoriaMetrics {
    /// Starts it and waits until it answers.
    ///
    /// # Panics
    /// Panics if it does not answer before the deadline.
    pub fn start(program: &Path) -> Self {
        let (folder, port) = (Folder::new("victoriametrics"), free_port());
        let mut command = Command::new(program);
        command
            // By default it hides samples until they are 30 s old.
            .arg("-search.latencyOffset=1s")
            .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
            .arg(format!("-storageDataPath={}", folder.path().display()));
        let server = Server::start(command);
        let url = format!("http://127.0.0.1:{port}");
        until("VictoriaMetrics", || get(&format!("{url}/health"), &[]));
        Self {
            url,
            _server: server,
            _folder: folder,
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the answer to a MetricsQL expression for one time or for a range.
    ///
    /// # Panics
    /// Panics if the query is refused.
    pub fn ask(&self, expression: &str, asked: &Asked<'_>, instant: bool) -> Vec<Series> {
        let (from, to, step) = (
            asked.from.to_string(),
            asked.to.to_string(),
            format!("{}s", asked.step),
        );
        // `nocache` shows the newest samples, which VictoriaMetrics by default hides for answers that it caches.
        let range = [
            ("query", expression),
            ("start", &from),
            ("end", &to),
            ("step", &step),
            ("nocache", "1"),
        ];
        let answer = if instant {
            json(
                &format!("{}/api/v1/query", self.url),
                &[("query", expression), ("time", &to), ("step", "5m")],
            )
        } else {
            json(&format!("{}/api/v1/query_range", self.url), &range)
        };
        let results = answer["data"]["result"].as_array().into_iter().flatten();
        results
            .map(|result| Series {
                labels: strings(&result["metric"]),
                values: match &result["values"] {
                    Value::Array(values) => values.clone(),
                    _ => vec![result["value"].clone()],
                },
            })
            .collect()
    }

    /// Returns the values of a label of a metric.
    ///
    /// # Panics
    /// Panics if the query is refused.
    pub fn label_values(&self, metric: &str, label: &str) -> Vec<String> {
        let answer = json(
            &format!("{}/api/v1/label/{label}/values", self.url),
            &[("match[]", metric)],
        );
        let values = answer["data"].as_array().into_iter().flatten();
        values
            .map(|value| value.as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Returns every sample of the series that this selector matches: name and labels of the series, time in milliseconds, value.
    ///
    /// # Panics
    /// Panics if the query is refused.
    pub fn samples(&self, selector: &str) -> Vec<(BTreeMap<String, String>, i64, f64)> {
        let url = format!("{}/api/v1/export", self.url);
        let body = get(&url, &[("match[]", selector)]).unwrap_or_else(|error| panic!("{error}"));
        let mut out = Vec::new();
        for line in body.lines() {
            let series: Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
            let labels = strings(&series["metric"]);
            let of = |name: &str| series[name].as_array().cloned().unwrap_or_default();
            for (time, value) in of("timestamps").iter().zip(of("values")) {
                out.push((
                    labels.clone(),
                    time.as_i64().expect("a time"),
                    value.as_f64().expect("a number"),
                ));
            }
        }
        out
    }
}

/// The length of the time range in the tests' queries, up to now: longer than any test takes.
pub const RANGE: Duration = Duration::from_secs(1800);

#[cfg(test)]
mod tests_of_variables {
    use super::Asked;

    const ASKED: Asked<'_> = Asked {
        vm: "(a|b)",
        from: 1,
        to: 2,
        step: 3,
    };

    #[test]
    fn variables_are_filled_in_as_grafana_does() {
        assert_eq!(
            ASKED.fill("\"vm\" =~ /^$vm$/ AND $timeFilter GROUP BY time($__interval)"),
            "\"vm\" =~ /^(a|b)$/ AND time >= 1000ms and time <= 2000ms GROUP BY time(3s)"
        );
        assert_eq!(
            ASKED.fill("rate(x{vm=~\"$vm\"}[$__rate_interval])"),
            "rate(x{vm=~\"(a|b)\"}[12s])"
        );
    }

    #[test]
    #[should_panic(expected = "has no value")]
    fn a_variable_without_a_value_fails_the_test() {
        ASKED.fill("$__range");
    }
}
