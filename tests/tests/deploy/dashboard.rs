//! Reads the committed dashboards as Grafana does.

use serde_json::Value;

use crate::programs::text;

/// The query language of a dashboard's database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    InfluxQl,
    MetricsQl,
}

impl Language {
    pub const ALL: [Self; 2] = [Self::InfluxQl, Self::MetricsQl];

    fn name(self) -> &'static str {
        match self {
            Self::InfluxQl => "influxdb",
            Self::MetricsQl => "victoriametrics",
        }
    }

    /// Returns the data source's type and identity.
    pub fn datasource(self) -> (&'static str, String) {
        let kind = match self {
            Self::InfluxQl => "influxdb",
            Self::MetricsQl => "prometheus",
        };
        (kind, format!("hermit-{}", self.name()))
    }

    /// Returns the name of the dashboard's file.
    pub fn file(self) -> String {
        format!("hermit-{}.json", self.name())
    }

    /// Returns the text of the data source's file.
    pub fn provisioning(self) -> String {
        text(&format!(
            "deploy/grafana/provisioning/datasources/hermit-{}.yaml",
            self.name()
        ))
    }

    /// # Panics
    /// Panics if it is not JSON.
    pub fn dashboard(self) -> Value {
        let text = text(&format!("deploy/grafana/dashboards/{}", self.file()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", self.file()))
    }
}

/// A query of a dashboard.
#[derive(Debug, Clone)]
pub struct Query {
    /// The panel's or annotation's name, and the letter.
    pub of: String,
    pub text: String,
    /// True if it asks for one value, not for a range.
    pub instant: bool,
}

/// Returns the panels, without the headings of rows.
pub fn panels(dashboard: &Value) -> Vec<Value> {
    let panels = dashboard["panels"].as_array().expect("panels");
    panels
        .iter()
        .filter(|panel| panel["type"] != "row")
        .cloned()
        .collect()
}

fn query(of: &str, target: &Value) -> Query {
    let text = target["expr"].as_str().or_else(|| target["query"].as_str());
    Query {
        of: format!("{of} {}", target["refId"].as_str().unwrap_or("?")),
        text: text.unwrap_or_else(|| panic!("{of}: {target}")).to_owned(),
        instant: target["instant"] == true,
    }
}

/// Returns every query of every panel.
pub fn queries(dashboard: &Value) -> Vec<Query> {
    let mut out = Vec::new();
    for panel in panels(dashboard) {
        let title = panel["title"].as_str().expect("a title");
        for target in panel["targets"].as_array().expect("targets") {
            out.push(query(title, target));
        }
    }
    out
}

/// Returns the queries of the annotations.
pub fn annotations(dashboard: &Value) -> Vec<Query> {
    let list = dashboard["annotations"]["list"]
        .as_array()
        .expect("annotations");
    list.iter()
        .map(|annotation| {
            query(
                annotation["name"].as_str().expect("a name"),
                &annotation["target"],
            )
        })
        .collect()
}
