//! Checks `deploy/grafana` without any program, and that it equals its generator's output.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use crate::dashboard::{Language, annotations, panels, queries};
use crate::programs::{need, text};
use crate::server::Folder;

#[test]
fn every_panel_has_a_unit_a_description_and_the_data_source_that_is_provisioned() {
    for language in Language::ALL {
        let dashboard = language.dashboard();
        let (kind, uid) = language.datasource();
        let provisioned = language.provisioning();
        assert!(
            provisioned.contains(&format!("uid: {uid}\n"))
                && provisioned.contains(&format!("type: {kind}\n"))
        );
        for panel in panels(&dashboard) {
            let said =
                |value: &serde_json::Value| value.as_str().is_some_and(|text| !text.is_empty());
            assert!(said(&panel["title"]), "{panel}");
            assert!(said(&panel["description"]), "{panel}");
            assert!(said(&panel["fieldConfig"]["defaults"]["unit"]), "{panel}");
            assert_eq!(
                (
                    panel["datasource"]["type"].as_str(),
                    panel["datasource"]["uid"].as_str()
                ),
                (Some(kind), Some(&*uid))
            );
            assert!(
                panel["targets"]
                    .as_array()
                    .is_some_and(|targets| !targets.is_empty()),
                "{panel}"
            );
        }
        let all = dashboard["panels"].as_array().expect("panels").iter();
        let ids: BTreeSet<_> = all
            .clone()
            .map(|panel| panel["id"].as_u64().expect("a number"))
            .collect();
        assert_eq!(ids.len(), all.len(), "each panel has a different number");
        assert_eq!(dashboard["templating"]["list"][0]["name"], "vm");
        assert!(!annotations(&dashboard).is_empty());
    }
}

#[test]
fn panels_do_not_overlap() {
    for language in Language::ALL {
        let mut taken = BTreeMap::new();
        for panel in language.dashboard()["panels"].as_array().expect("panels") {
            let at = |name: &str| panel["gridPos"][name].as_u64().expect("a position");
            assert!(at("x") + at("w") <= 24, "{}", panel["title"]);
            for (x, y) in (at("x")..at("x") + at("w"))
                .flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
            {
                let other = taken.insert((x, y), panel["title"].clone());
                assert_eq!(other, None, "{} lies on {other:?}", panel["title"]);
            }
        }
    }
}

/// Returns the fields of each source in docs/METRICS.md.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let mut out: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut source = String::new();
    for line in text("docs/METRICS.md").lines() {
        let quoted = |line: &str| line.split('`').nth(1).map(str::to_owned);
        if line.starts_with("## ") {
            source = quoted(line).expect("a source in backticks");
        } else if line.starts_with("| `") {
            out.entry(source.clone()).or_default().extend(quoted(line));
        }
    }
    out
}

/// Returns source and field of a query, from its text.
fn asks_for(language: Language, query: &str) -> (String, String) {
    let after = |part: &str| {
        query
            .split_once(part)
            .and_then(|(_, rest)| rest.split('"').next())
            .map(str::to_owned)
    };
    match language {
        Language::InfluxQl => (
            after("FROM \"").expect("a source"),
            after("(\"").expect("a field"),
        ),
        Language::MetricsQl => {
            let name = after("__name__=\"").expect("a name");
            let source = documented()
                .into_keys()
                .find(|source| name.starts_with(&format!("{source}_")));
            let source = source.unwrap_or_else(|| "internal".to_owned());
            let field = name[source.len() + 1..].to_owned();
            (source, field)
        }
    }
}

#[test]
fn every_field_that_a_panel_asks_for_is_documented_and_every_source_is_shown() {
    let documented = documented();
    for language in Language::ALL {
        let mut shown = BTreeSet::new();
        for query in queries(&language.dashboard()) {
            let (source, field) = asks_for(language, &query.text);
            // Telegraf's own sources, which Telegraf documents.
            if source.starts_with("internal") {
                continue;
            }
            assert!(
                documented[&source].contains(&field),
                "{}: {source} has no field {field}",
                query.of
            );
            shown.insert(source);
        }
        assert_eq!(shown, documented.keys().cloned().collect());
    }
}

#[test]
fn the_committed_dashboards_are_what_the_generator_makes() {
    let Some([generator]) = need(["generate"]) else {
        return;
    };
    let folder = Folder::new("dashboards");
    // Compiled into another folder than a person's. The compiler checks the generator against the types of Grafana's SDK.
    let out = folder.path().join("out");
    let run = |command: &mut Command| {
        let output = command.current_dir(&generator).output().expect("node");
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    };
    run(Command::new("node")
        .arg("node_modules/typescript/bin/tsc")
        .arg("--outDir")
        .arg(&out));
    let modules = generator.join("node_modules");
    run(Command::new("node")
        .arg(out.join("main.js"))
        .arg(folder.path())
        .env("NODE_PATH", modules));
    for language in Language::ALL {
        let made = fs::read_to_string(folder.path().join(language.file())).expect("a dashboard");
        let committed = text(&format!("deploy/grafana/dashboards/{}", language.file()));
        assert!(
            made == committed,
            "{}: run npm run generate in deploy/grafana/generate",
            language.file()
        );
    }
}
