//! Runs every query of the dashboards, which must be answered for every image.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use tests::measure::report;

use crate::dashboard::{Language, Query, annotations, queries};
use crate::database::{Asked, RANGE, Series};
use crate::guest::{Image, Transport};
use crate::pipeline::Pipeline;
use crate::server::until;
use crate::stored::own_until;

/// The step of the queries, in seconds, for images that send every second.
const STEP: u64 = 2;

fn seconds_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs()
}

fn ask(pipeline: &Pipeline, language: Language, query: &Query, vm: &str) -> Vec<Series> {
    let now = seconds_now();
    let asked = Asked {
        vm,
        from: now - RANGE.as_secs(),
        to: now,
        step: STEP,
    };
    let text = asked.fill(&query.text);
    match language {
        Language::InfluxQl => pipeline.influx.ask(&text),
        Language::MetricsQl => pipeline.victoria.ask(&text, &asked, query.instant),
    }
}

/// Returns the images that have points in an answer.
fn images(series: &[Series]) -> BTreeSet<String> {
    let with_points = series.iter().filter(|series| !series.values.is_empty());
    with_points
        .filter_map(|series| series.labels.get("vm").cloned())
        .collect()
}

/// Asks until all of these images are in the answer, and returns the number of its points.
fn answered(
    pipeline: &Pipeline,
    language: Language,
    query: &Query,
    vm: &str,
    expected: &[&str],
) -> usize {
    // Telegraf's own series do not belong to an image.
    let own = !query.text.contains("$vm");
    until(
        &format!("{language:?} {}: {}", query.of, query.text),
        || {
            let series = ask(pipeline, language, query, vm);
            let points = series.iter().map(|series| series.values.len()).sum();
            let found = images(&series);
            let right = if own {
                points > 0
            } else {
                found.iter().eq(expected)
            };
            if right {
                Ok(points)
            } else {
                Err(format!("{points} points of {found:?}"))
            }
        },
    )
}

#[test]
fn every_query_of_every_panel_and_variable_and_annotation_is_answered() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    // Booted twice, so that there is a mark for the second boot, which is in another second than the first.
    let mut first = Image::boot("alpha", Transport::Udp, pipeline.port, "--interval 500ms");
    own_until(&pipeline.influx, "alpha", |own| {
        own.integer("uptime_us") > 1_500_000
    });
    first.kill();
    // A guest's date lags by up to two seconds, and no point of the second boot may be dated before one of the first.
    let killed = seconds_now();
    until("a later date", || match seconds_now() - killed {
        0..=2 => Err("too early".to_owned()),
        _ => Ok(()),
    });
    let _alpha = Image::boot("alpha", Transport::Udp, pipeline.port, "--interval 1s");
    let _beta = Image::boot("beta", Transport::Tcp, pipeline.port, "--interval 1s");

    let both = ["alpha", "beta"];
    let mut asked = 0;
    for language in Language::ALL {
        let dashboard = language.dashboard();
        for query in queries(&dashboard) {
            asked += answered(&pipeline, language, &query, ".+", &both).min(1);
            // The variable selects the image.
            answered(&pipeline, language, &query, "beta", &["beta"]);
        }
        report(&format!(
            "{language:?}: {} queries of panels",
            queries(&dashboard).len()
        ));
    }
    assert!(asked > 80, "{asked} queries");

    variables(&pipeline);
    marks(&pipeline);
}

fn variables(pipeline: &Pipeline) {
    let of = |language: Language| {
        language.dashboard()["templating"]["list"][0]["query"]
            .as_str()
            .expect("a query")
            .to_owned()
    };
    let influxql = pipeline.influx.ask(&of(Language::InfluxQl));
    let rows = influxql.iter().flat_map(|series| &series.values);
    let names: BTreeSet<&str> = rows.filter_map(|row| row[1].as_str()).collect();
    assert_eq!(names, BTreeSet::from(["alpha", "beta"]));

    let text = of(Language::MetricsQl);
    let inner = text
        .strip_prefix("label_values(")
        .and_then(|rest| rest.strip_suffix(')'));
    let (metric, label) = inner
        .and_then(|inner| inner.split_once(", "))
        .expect("label_values(metric, label)");
    until("the values of the variable", || {
        let names = pipeline.victoria.label_values(metric, label);
        let names: BTreeSet<String> = names.into_iter().collect();
        if names.iter().eq(["alpha", "beta"]) {
            Ok(())
        } else {
            Err(format!("{names:?}"))
        }
    });
}

/// Checks the marks of three boots: two of alpha and one of beta.
fn marks(pipeline: &Pipeline) {
    let expected = [("alpha", 2), ("beta", 1)];
    let influxql = until("the marks of InfluxDB", || {
        let queries = annotations(&Language::InfluxQl.dashboard());
        let series = queries
            .iter()
            .flat_map(|query| ask(pipeline, Language::InfluxQl, query, ".+"));
        // Time, value, image.
        let marks: Vec<String> = series
            .flat_map(|series| series.values)
            .map(|row| row[2].as_str().unwrap_or_default().to_owned())
            .collect();
        if marks.len() >= 3 {
            Ok(marks)
        } else {
            Err(format!("{marks:?}"))
        }
    });
    for (vm, boots) in expected {
        assert_eq!(
            influxql.iter().filter(|of| *of == vm).count(),
            boots,
            "{influxql:?}"
        );
    }

    let query = &annotations(&Language::MetricsQl.dashboard())[0];
    for (vm, boots) in expected {
        // Grafana draws a mark at each value; equal ones count once.
        let times = until(&format!("the marks of {vm}"), || {
            let series = ask(pipeline, Language::MetricsQl, query, vm);
            let values = series.iter().flat_map(|series| &series.values);
            let times = values.filter_map(|value| value[1].as_str().map(str::to_owned));
            let times: BTreeSet<String> = times.collect();
            if times.len() >= boots {
                Ok(times)
            } else {
                Err(format!("{times:?}"))
            }
        });
        assert_eq!(times.len(), boots, "{vm}: {times:?}");
        let (now, range) = (seconds_now() as f64 * 1e3, RANGE.as_secs_f64() * 1e3);
        for time in times {
            let time: f64 = time.parse().expect("a number");
            assert!(
                (now - range..now + 5_000.0).contains(&time),
                "{vm} booted at {time}, now is {now}"
            );
        }
    }
}
