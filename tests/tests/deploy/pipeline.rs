//! Checks that all lines from images arrive in both databases.

use std::path::PathBuf;

use tests::gate::Turn;
use tests::measure::report;

use crate::database::{InfluxDb, VictoriaMetrics};
use crate::guest::{Image, Transport};
use crate::programs::need;
use crate::server::{free_port, until};
use crate::stored::{Account, complete, own, own_until, the_same};
use crate::telegraf::{Telegraf, shipped, with_output};

/// Telegraf and the two databases that it writes to.
pub struct Pipeline {
    pub influx: InfluxDb,
    pub victoria: VictoriaMetrics,
    pub telegraf: Telegraf,
    pub port: u16,
    program: PathBuf,
    _turn: Turn,
}

impl Pipeline {
    /// Starts them. Returns `None` if a program is missing; then the test is skipped.
    pub fn start() -> Option<Self> {
        let [program, influx, victoria] = need(["telegraf", "influxd", "victoria-metrics"])?;
        let turn = Turn::alone();
        let (influx, victoria) = (InfluxDb::start(&influx), VictoriaMetrics::start(&victoria));
        let port = free_port();
        let telegraf = start(&program, port, &influx, &victoria);
        Some(Self {
            influx,
            victoria,
            telegraf,
            port,
            program,
            _turn: turn,
        })
    }

    /// Starts Telegraf again on the same port.
    fn restart(&mut self) {
        self.telegraf = start(&self.program, self.port, &self.influx, &self.victoria);
    }
}

fn start(
    program: &std::path::Path,
    port: u16,
    influx: &InfluxDb,
    victoria: &VictoriaMetrics,
) -> Telegraf {
    let config = with_output(&shipped(), "VictoriaMetrics");
    let addresses = [
        ("INFLUXDB_URL", influx.url()),
        ("VICTORIAMETRICS_URL", victoria.url()),
    ];
    Telegraf::start(program, &config, port, &addresses)
}

fn every_line_arrives(transport: Transport) {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let mut image = Image::boot("one", transport, pipeline.port, "--interval 500ms");
    own_until(&pipeline.influx, "one", |own| {
        own.integer("lines_sent") >= 60
    });
    image.kill();
    let account = complete(&pipeline.influx, "one");
    let numbers = the_same(&pipeline.influx, &pipeline.victoria, "one");
    let points = own(&pipeline.influx, "one");
    // Skip the first interval, in which some sources have no points yet.
    let (first, last) = (&points[1], &points[points.len() - 1]);
    let intervals = points.len() as i64 - 2;
    let mean = |field: &str| (last.integer(field) - first.integer(field)) / intervals;
    let (lines, bytes) = (mean("lines_sent"), mean("sent_bytes"));
    report(&format!(
        "by {transport}: {lines} lines of {bytes} bytes together in an interval; {} of {} lines stored, {numbers} numbers in both databases",
        account.stored,
        account.told(),
    ));
    // docs/SCALING.md calculates with these figures.
    assert!((9..=16).contains(&lines) && (1_000..3_000).contains(&bytes));
}

#[test]
fn every_line_sent_by_udp_is_in_both_databases() {
    every_line_arrives(Transport::Udp);
}

#[test]
fn every_line_sent_by_tcp_is_in_both_databases() {
    every_line_arrives(Transport::Tcp);
}

#[test]
fn four_images_at_once_arrive_complete() {
    let Some(pipeline) = Pipeline::start() else {
        return;
    };
    let images = [
        ("a", Transport::Udp),
        ("b", Transport::Tcp),
        ("c", Transport::Udp),
        ("d", Transport::Tcp),
    ];
    let mut images = images.map(|(name, transport)| {
        Image::boot(
            name,
            transport,
            pipeline.port,
            "--interval 500ms --workload churn",
        )
    });
    let mut all = 0;
    for image in &mut images {
        own_until(&pipeline.influx, &image.name, |own| {
            own.integer("lines_sent") >= 60
        });
        image.kill();
        let account = complete(&pipeline.influx, &image.name);
        the_same(&pipeline.influx, &pipeline.victoria, &image.name);
        all += account.stored;
    }
    report(&format!("four images at once: {all} lines, none missing"));
    let mut names = pipeline.victoria.label_values("uptime_seconds", "vm");
    names.sort();
    assert_eq!(names, ["a", "b", "c", "d"]);
}

#[test]
fn a_restart_of_telegraf_loses_no_line_by_tcp_that_is_not_counted() {
    let Some(mut pipeline) = Pipeline::start() else {
        return;
    };
    let mut image = Image::boot("steady", Transport::Tcp, pipeline.port, "--interval 500ms");
    let before = own_until(&pipeline.influx, "steady", |own| {
        own.integer("lines_sent") >= 20
    });
    assert_eq!(
        (
            before.integer("connections"),
            before.integer("connections_lost")
        ),
        (1, 0)
    );

    pipeline.telegraf.server.stop();
    image.wait_for("monitoring: connection to tcp://");
    image.wait_for("monitoring: cannot connect to tcp://");
    pipeline.restart();
    let back = own_until(&pipeline.influx, "steady", |own| {
        own.integer("connections") == 2
    });
    assert_eq!(back.integer("connections_lost"), 1);
    assert!(back.integer("connect_failures") >= 1);
    // Wait until the waiting lines are sent.
    own_until(&pipeline.influx, "steady", |own| {
        own.time > back.time && own.integer("lines_waiting") == 0
    });
    image.kill();

    let allowed = |account: &Account| {
        account.last.integer("lines_lost") + account.last.integer("lines_in_doubt")
    };
    let account = until("the lines of the outage", || {
        let account = Account::of(&pipeline.influx, "steady").ok_or("none")?;
        let missing = account.told() + account.last.integer("lines_lost") - account.stored;
        if (0..=allowed(&account)).contains(&missing) {
            Ok(account)
        } else {
            Err(format!("{missing} missing: {account:?}"))
        }
    });
    let points = own(&pipeline.influx, "steady");
    let outage: Vec<i64> = points
        .windows(2)
        .map(|pair| (pair[1].time - pair[0].time) / 1_000_000)
        .collect();
    report(&format!(
        "restart of Telegraf: {} of {} lines stored; counted as lost {}, in doubt {}, sent again {}; the longest gap in the source monitoring is {} ms",
        account.stored,
        account.told(),
        account.last.integer("lines_lost"),
        account.last.integer("lines_in_doubt"),
        account.last.integer("lines_resent"),
        outage.iter().max().expect("two points"),
    ));
}
