//! Checks `deploy/telegraf.conf` with Telegraf itself.

use core::net::Ipv4Addr;
use std::io::Write;
use std::net::UdpSocket;

use crate::database::VictoriaMetrics;
use crate::programs::need;
use crate::server::{free_port, until};
use crate::telegraf::{Telegraf, check, shipped, with_output, without_output};

#[test]
fn telegraf_accepts_the_file_and_each_output_that_is_commented_out() {
    let Some([telegraf]) = need(["telegraf"]) else {
        return;
    };
    let other = without_output(&shipped());
    for config in [
        shipped(),
        with_output(&other, "VictoriaMetrics"),
        with_output(&other, "InfluxDB 2"),
        with_output(&with_output(&shipped(), "VictoriaMetrics"), "InfluxDB 2"),
    ] {
        let output = check(&telegraf, &config);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{config}");
    }
    let misspelt = shipped().replace("service_address", "service_adress");
    assert!(
        !check(&telegraf, &misspelt).status.success(),
        "a file with a fault is refused"
    );
}

/// InfluxDB 2 itself is not in Debian. VictoriaMetrics accepts the same request, `/api/v2/write`.
#[test]
fn the_output_for_influxdb_2_delivers() {
    let Some([telegraf, victoria]) = need(["telegraf", "victoria-metrics"]) else {
        return;
    };
    let victoria = VictoriaMetrics::start(&victoria);
    let (port, config) = (
        free_port(),
        with_output(&without_output(&shipped()), "InfluxDB 2"),
    );
    let addresses = [
        ("INFLUXDB2_URL", victoria.url()),
        ("INFLUXDB2_TOKEN", "token"),
    ];
    let _telegraf = Telegraf::start(&telegraf, &config, port, &addresses);
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let mut line = Vec::new();
    writeln!(line, "uptime,vm=by-hand seconds=7i").expect("memory");
    udp.send_to(&line, (Ipv4Addr::LOCALHOST, port))
        .expect("loopback");
    let samples = until("the line", || {
        let samples = victoria.samples("{__name__=\"uptime_seconds\"}");
        if samples.is_empty() {
            Err("no sample".to_owned())
        } else {
            Ok(samples)
        }
    });
    assert_eq!(samples.len(), 1);
    assert_eq!(
        (samples[0].0["vm"].as_str(), samples[0].2),
        ("by-hand", 7.0)
    );
}
