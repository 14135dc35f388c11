use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

use monitoring::config::{Allow, Target, parse_token};

use super::table::parse_duration;
use monitoring::heap::Rate;

use super::*;

fn options<'a>(args: &[&'a str]) -> Options<'a> {
    match parse(args.iter().copied()) {
        Ok(Request::Run(options)) => options,
        other => panic!("{args:?}: {other:?}"),
    }
}

fn error(args: &[&str]) -> String {
    parse(args.iter().copied()).unwrap_err().to_string()
}

#[test]
fn every_default_is_the_one_of_the_design() {
    let Options {
        config,
        log,
        workload,
        seed,
        duration,
    } = options(&[]);
    assert_eq!(
        config.target,
        Target::Udp(SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 2), 8094))
    );
    assert_eq!(config.interval, Micros::from_secs(10));
    assert_eq!(config.vm.as_str(), "hermit");
    assert_eq!(config.control_port, Some(2323));
    assert_eq!(config.control_idle, Micros::from_secs(60));
    assert_eq!((config.token, config.allow), (None, Allow::ALL));
    assert_eq!(config.memtrace_port, Some(4242));
    assert_eq!(config.sampling_rate.get(), 1e-4);
    assert_eq!(config.addressing, Addressing::Dhcp);
    assert_eq!(log, "*:info");
    assert_eq!(workload, Kind::Mixed);
    assert_eq!(seed, 1);
    assert_eq!(duration, None);
}

#[test]
fn the_defaults_that_help_shows_are_the_defaults() {
    let mut without = Vec::new();
    for argument in &ARGUMENTS {
        if let Some(default) = argument.default {
            assert_eq!(
                options(&[&format!("--{}", argument.name), default]),
                Options::default(),
                "{}",
                argument.name
            );
        } else {
            without.push(argument.name);
        }
    }
    assert_eq!(
        without,
        ["token", "gateway", "duration"],
        "arguments without a default: name a new one here, app/src/args/tests.rs"
    );
}

#[test]
fn every_argument_sets_its_value_in_both_styles() {
    let gateway = Addressing::parse("10.0.2.50/24", Some("10.0.2.2")).unwrap();
    let config = Options::default().config;
    let default = Options::default();
    let with = |config| Options { config, ..default };
    let table = [
        (
            &["--influx", "tcp://192.0.2.1:1"][..],
            with(Config {
                target: Target::parse("tcp://192.0.2.1:1").unwrap(),
                ..config
            }),
        ),
        (
            &["--influx", "off"],
            with(Config {
                target: Target::Off,
                ..config
            }),
        ),
        (
            &["--interval", "250ms"],
            with(Config {
                interval: Micros::from_millis(250),
                ..config
            }),
        ),
        (
            &["--vm", "a b"],
            with(Config {
                vm: config::parse_vm("a b").unwrap(),
                ..config
            }),
        ),
        (
            &["--control-port", "0"],
            with(Config {
                control_port: None,
                ..config
            }),
        ),
        (
            &["--memtrace-port", "1"],
            with(Config {
                memtrace_port: Some(1),
                ..config
            }),
        ),
        (
            &["--sampling-rate", "0.5"],
            with(Config {
                sampling_rate: Rate::new(0.5).expect("a rate"),
                ..config
            }),
        ),
        (
            &["--heap-profile", "on"],
            with(Config {
                heap_profile: true,
                ..config
            }),
        ),
        (
            &["--sample-memory", "1M"],
            with(Config {
                sample_bytes: 1 << 20,
                ..config
            }),
        ),
        (
            &["--trace-buffer", "100K"],
            with(Config {
                trace_bytes: 100 << 10,
                ..config
            }),
        ),
        (
            &["--ipv4", "10.0.2.50/24", "--gateway", "10.0.2.2"],
            with(Config {
                addressing: gateway,
                ..config
            }),
        ),
        (
            &["--gateway", "10.0.2.2", "--ipv4", "10.0.2.50/24"],
            with(Config {
                addressing: gateway,
                ..config
            }),
        ),
        (
            &["--control-idle", "5m"],
            with(Config {
                control_idle: Micros::from_secs(300),
                ..config
            }),
        ),
        (
            &["--token", "sesame"],
            with(Config {
                token: Some(parse_token("sesame").unwrap()),
                ..config
            }),
        ),
        (
            &["--token-plain", "on"],
            with(Config {
                token_plain: true,
                ..config
            }),
        ),
        (
            &["--allow", "10.0.2.0/24,10.0.3.1"],
            with(Config {
                allow: Allow::parse("10.0.2.0/24,10.0.3.1").unwrap(),
                ..config
            }),
        ),
        (
            &["--log", "*:debug"],
            Options {
                log: "*:debug",
                ..default
            },
        ),
        (
            &["--workload", "churn"],
            Options {
                workload: Kind::Churn,
                ..default
            },
        ),
        (
            &["--seed", "18446744073709551615"],
            Options {
                seed: u64::MAX,
                ..default
            },
        ),
        (
            &["--duration", "20s"],
            Options {
                duration: Some(Micros::from_secs(20)),
                ..default
            },
        ),
    ];
    for (args, expected) in table {
        assert_eq!(options(args), expected, "{args:?}");
        let joined: Vec<String> = args.chunks(2).map(|pair| pair.join("=")).collect();
        let joined: Vec<&str> = joined.iter().map(String::as_str).collect();
        assert_eq!(
            format!("{:?}", options(&joined)),
            format!("{expected:?}"),
            "{joined:?}"
        );
    }
    for argument in &ARGUMENTS {
        let key = format!("--{}", argument.name);
        assert!(
            table.iter().any(|(args, _)| args[0] == key),
            "{key} has no row in the table of this test: app/src/args/tests.rs"
        );
    }
}

#[test]
fn the_readme_lists_every_argument() {
    let readme = include_str!("../../../README.md");
    for argument in &ARGUMENTS {
        let name = argument.name;
        // Alone, or with its value: `--gateway A.B.C.D` stands beside `--ipv4`.
        let forms = ['`', ' '].map(|end| format!("`--{name}{end}"));
        let row =
            |line: &str| line.starts_with("| `-") && forms.iter().any(|form| line.contains(form));
        assert!(
            readme.lines().any(row),
            "--{name} has no row in the table of arguments, README.md"
        );
    }
}

#[test]
fn the_short_form_of_log_takes_its_value_attached_or_not() {
    for args in [&["-l", "debug"][..], &["-ldebug"], &["--log=debug"]] {
        assert_eq!(options(args).log, "debug");
    }
}

#[test]
fn the_last_of_two_counts() {
    assert_eq!(options(&["--seed=2", "--seed", "3"]).seed, 3);
    assert_eq!(options(&["-l", "debug", "--log=error"]).log, "error");
}

#[test]
fn a_value_with_two_dashes_needs_the_equals_sign() {
    assert_eq!(options(&["--vm=--x"]).config.vm.as_str(), "--x");
    assert_eq!(error(&["--vm", "--x"]), "argument --vm needs a value");
}

#[test]
fn help_and_version_are_answered_unless_something_before_them_is_wrong() {
    let ask = |args: &[&'static str]| parse(args.iter().copied());
    assert_eq!(ask(&["--help"]), Ok(Request::Help));
    assert_eq!(ask(&["--seed", "1", "-h", "surplus"]), Ok(Request::Help));
    assert_eq!(ask(&["--version"]), Ok(Request::Version));
    assert!(matches!(
        ask(&["--seed", "x", "--help"]),
        Err(ArgsError::Value {
            key: Key::Long("seed"),
            ..
        })
    ));
}

#[test]
fn each_error_has_its_text() {
    let hours = "want 500ms, 20s, 5m or 24h, at most 24000h";
    let table = [
        (
            &["--port", "1"][..],
            "unknown argument \"--port\", see --help",
        ),
        (&["--port=1"], "unknown argument \"--port\", see --help"),
        (
            &["---seed", "1"],
            "unknown argument \"---seed\", see --help",
        ),
        (&["--Seed", "1"], "unknown argument \"--Seed\", see --help"),
        (&["--=1"], "unknown argument \"--\", see --help"),
        (&["--a\nb"], "unknown argument \"--a\\nb\", see --help"),
        (&["-x"], "unknown argument \"-x\", see --help"),
        (&["-\n"], "unknown argument \"-\\n\", see --help"),
        (&["-L", "info"], "unknown argument \"-L\", see --help"),
        (&["mixed"], "surplus argument \"mixed\", see --help"),
        (&[""], "surplus argument \"\", see --help"),
        (&["-"], "surplus argument \"-\", see --help"),
        (&["--", "--seed"], "surplus argument \"--seed\", see --help"),
        (&["--seed", "1", "2"], "surplus argument \"2\", see --help"),
        (&["a\r\nb"], "surplus argument \"a\\r\\nb\", see --help"),
        (&["--seed"], "argument --seed needs a value"),
        (&["--seed", "--vm", "a"], "argument --seed needs a value"),
        (&["-l"], "argument -l needs a value"),
        (
            &["--help=x"],
            "argument --help takes no value, but got \"x\"",
        ),
        (&["-hx"], "argument -h takes no value, but got \"x\""),
        (
            &["--version="],
            "argument --version takes no value, but got \"\"",
        ),
        (
            &["--influx", "ftp://x"],
            "argument --influx: \"ftp://x\" is not a target: want udp://IP:PORT, tcp://IP:PORT or off",
        ),
        (
            &["--interval", "5"],
            "argument --interval: \"5\" is not an interval: want 250ms, 1s or 1m",
        ),
        (&["--vm="], "argument --vm: \"\" is not a name: empty"),
        (
            &["--control-port", "65536"],
            "argument --control-port: \"65536\" is not a port: want 0 to 65535, 0 for off",
        ),
        (
            &["--memtrace-port", "x"],
            "argument --memtrace-port: \"x\" is not a port: want 0 to 65535, 0 for off",
        ),
        (
            &["--control-port", "4242"],
            "port 4242 is given to both the control and the memtrace service",
        ),
        (
            &["--control-idle", "0s"],
            "argument --control-idle: \"0s\" is not an idle time: want 1s to 60m",
        ),
        (&["--token="], "argument --token: not a token: empty"),
        (
            &["--token", "secret\n"],
            "argument --token: not a token: holds a control character",
        ),
        (
            &["--allow", "10.0.2.0/24,lan"],
            "argument --allow: \"lan\" is not a network: want A.B.C.D/LEN or A.B.C.D, divided by commas",
        ),
        (
            &["--sampling-rate", "2"],
            "argument --sampling-rate: \"2\" is not a sampling rate: want a number from 1e-12 to 1",
        ),
        (
            &["--heap-profile", "yes"],
            "argument --heap-profile: \"yes\" is not a switch: want on or off",
        ),
        (
            &["--sample-memory", "100K"],
            "argument --sample-memory: \"100K\" is not a size for samples: want a power of two from 4K to 64M",
        ),
        (
            &["--trace-buffer", "1K"],
            "argument --trace-buffer: \"1K\" is not a size for the trace's buffer: want 4K to 4M",
        ),
        (
            &["--ipv4", "10.0.2.50"],
            "argument --ipv4: \"10.0.2.50\" is not an address: want dhcp or A.B.C.D/LEN",
        ),
        (
            &["--gateway", "10.0.2.2"],
            "argument --gateway: gateway \"10.0.2.2\" needs a static address: DHCP names its own",
        ),
        (
            &["--ipv4=10.0.2.50/24", "--gateway=x"],
            "argument --gateway: \"x\" is not a gateway: want A.B.C.D",
        ),
        (
            &["--log", "loud"],
            "argument --log: \"loud\": unknown log level",
        ),
        (
            &["-l", "a:b:c"],
            "argument -l: Can't parse log threshold: a:b:c",
        ),
        (
            &["--workload", "Mixed"],
            "argument --workload: \"Mixed\" is not a workload: want mixed, churn, leak, spin, exact or idle",
        ),
        (
            &["--seed", "-1"],
            "argument --seed: \"-1\" is not a seed: want 0 to 18446744073709551615",
        ),
        (
            &["--seed", "+1"],
            "argument --seed: \"+1\" is not a seed: want 0 to 18446744073709551615",
        ),
        (
            &["--seed", "18446744073709551616"],
            "argument --seed: \"18446744073709551616\" is not a seed: want 0 to 18446744073709551615",
        ),
        (
            &["--duration", "2"],
            &format!("argument --duration: \"2\" is not a duration: {hours}"),
        ),
        (
            &["--duration", "0s"],
            &format!("argument --duration: \"0s\" is not a duration: {hours}"),
        ),
    ];
    for (args, expected) in table {
        assert_eq!(error(args), expected, "{args:?}");
    }
}

#[test]
fn a_duration_has_a_unit_and_a_range() {
    for (text, millis) in [
        ("1ms", 1),
        ("20s", 20_000),
        ("5m", 300_000),
        ("24h", 86_400_000),
        ("24000h", 86_400_000_000),
    ] {
        assert_eq!(parse_duration(text), Ok(Micros::from_millis(millis)));
    }
    for text in [
        "",
        "s",
        "1",
        "1d",
        "1 s",
        "-1s",
        "+1s",
        "1.5s",
        "0ms",
        "24001h",
        "99999999999999999999h",
        "18446744073709551615h",
    ] {
        assert!(parse_duration(text).is_err(), "{text}");
    }
}

#[test]
fn help_names_every_argument_with_its_default_in_aligned_lines() {
    let help = Help.to_string();
    assert!(!help.ends_with('\n') && help.is_ascii());
    for argument in &ARGUMENTS {
        let key = format!("  --{}", argument.name);
        let named = |line: &&str| {
            line.strip_prefix(&key)
                .is_some_and(|rest| rest.starts_with([' ', ',']))
        };
        let line = help.lines().find(named).unwrap();
        assert_eq!(line.find(argument.meaning), Some(28), "{line}");
        assert_eq!(
            line.contains(", -l "),
            argument.short == Some('l'),
            "{line}"
        );
        match argument.default {
            Some(default) => assert!(line.ends_with(&format!(" (default {default})")), "{line}"),
            None => assert!(line.ends_with(argument.meaning), "{line}"),
        }
    }
    for flag in ["--help, -h", "--version"] {
        assert_eq!(help.matches(flag).count(), 1);
    }
}

#[test]
fn the_sentences_of_workloads_name_all_of_them() {
    let wrong = error(&["--workload", "x"]);
    let (_, wanted) = wrong.split_once(": want ").unwrap();
    let meaning = ARGUMENTS
        .iter()
        .find(|it| it.name == "workload")
        .unwrap()
        .meaning;
    for sentence in [wanted, meaning] {
        assert!(
            sentence
                .split([',', ' '])
                .filter(|word| !word.is_empty() && *word != "or")
                .eq(Kind::ALL.map(Kind::name)),
            "{sentence}"
        );
    }
}
