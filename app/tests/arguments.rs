//! Checks that any list of texts is either accepted or refused with one line that names the text at fault.

use app::args::{Options, Request, parse};
use app::workload::Kind;
use monitoring::Micros;
use monitoring::config::Target;
use proptest::prelude::*;

/// Keys with and without values, right and wrong.
const TOKENS: [&str; 38] = [
    "--heap-profile",
    "--sample-memory",
    "256K",
    "--influx",
    "--interval",
    "--vm",
    "--control-port",
    "--memtrace-port",
    "--sampling-rate",
    "--ipv4",
    "--gateway",
    "--log",
    "-l",
    "-linfo",
    "--workload",
    "--seed",
    "--duration",
    "--seed=7",
    "--vm=",
    "--ipv4=10.0.2.50/24",
    "--gateway=10.0.2.2",
    "--",
    "-",
    "10s",
    "7",
    "info",
    "exact",
    "10.0.2.2",
    "off",
    "--help",
    "-h",
    "--version",
    "2323",
    "--control-idle",
    "--token",
    "--token=x",
    "--allow",
    "10.0.2.0/24,10.0.3.1",
];

const KEYS: [&str; 17] = [
    "heap-profile",
    "sample-memory",
    "control-idle",
    "token",
    "allow",
    "influx",
    "interval",
    "vm",
    "control-port",
    "memtrace-port",
    "sampling-rate",
    "ipv4",
    "gateway",
    "log",
    "workload",
    "seed",
    "duration",
];

fn text() -> impl Strategy<Value = String> {
    let awkward = prop::collection::vec(
        prop::sample::select(
            ",'= \"\\\n\r\0\t-#:é漢a1l\u{301}\u{2028}"
                .chars()
                .collect::<Vec<_>>(),
        ),
        0..6,
    )
    .prop_map(String::from_iter);
    let token = prop::sample::select(TOKENS.to_vec()).prop_map(str::to_owned);
    prop_oneof![3 => token.clone(), 1 => awkward.clone(), 1 => (token, awkward).prop_map(|(a, b)| a + &b)]
}

/// Returns the texts that an error may name for a given text: all of it, its key, its value, and the log levels in the value.
fn parts(text: &str) -> Vec<String> {
    let mut parts = vec![text.to_owned()];
    if let Some((key, value)) = text.split_once('=') {
        parts.extend([key.to_owned(), value.to_owned()]);
    }
    let mut letters = text.chars();
    if let (Some('-'), Some(letter)) = (letters.next(), letters.next()) {
        parts.extend([format!("-{letter}"), letters.as_str().to_owned()]);
    }
    for at in 0..parts.len() {
        let items: Vec<String> = parts[at].split(',').map(str::to_owned).collect();
        let levels = items.iter().filter_map(|item| item.rsplit(':').next());
        let levels: Vec<String> = levels.map(str::to_owned).collect();
        parts.extend(items.into_iter().chain(levels));
    }
    parts
}

/// Returns whether `line` shows one of the texts or a part of one, as a whole word or escaped between quotes.
fn names_one(line: &str, given: &[String]) -> bool {
    let quoted = |part: &str| {
        // A key is escaped without its dashes; for a combining mark after them that makes a difference.
        let name = part
            .strip_prefix("--")
            .or(part.strip_prefix('-'))
            .unwrap_or(part);
        let dashes = &part[..part.len() - name.len()];
        line.contains(&format!("{part:?}"))
            || line.contains(&format!("\"{dashes}{}\"", name.escape_debug()))
    };
    let word = |part: &str| !part.is_empty() && line.split([' ', ':']).any(|word| word == part);
    // The reference implementation puts no quotes around an item that is not a threshold; the item is at the end of the line.
    let threshold = |part: &str| {
        let special = |c: char| {
            if c.is_control() {
                c.escape_default().to_string()
            } else {
                c.to_string()
            }
        };
        line.ends_with(&format!(
            "log threshold: {}",
            part.chars().map(special).collect::<String>()
        ))
    };
    let named = |part: &String| quoted(part) || word(part) || threshold(part);
    given.iter().any(|text| parts(text).iter().any(named))
}

/// Checks the grammar again, without the values: every text is a key with a value, or the value of the text before.
fn well_formed(given: &[String]) -> bool {
    let mut texts = given.iter().map(String::as_str).peekable();
    while let Some(text) = texts.next() {
        let attached = match text.strip_prefix("--") {
            Some("") => return texts.next().is_none(),
            Some(rest) => {
                let (key, value) = rest
                    .split_once('=')
                    .map_or((rest, None), |(key, value)| (key, Some(value)));
                if !KEYS.contains(&key) {
                    return false;
                }
                value.is_some()
            }
            None if text.starts_with("-l") => text.len() > 2,
            None => return false,
        };
        if !attached && texts.next_if(|next| !next.starts_with("--")).is_none() {
            return false;
        }
    }
    true
}

/// Returns an argument with a right value, and the options that it makes.
fn assignment() -> impl Strategy<Value = (&'static str, String, Options<'static>)> {
    let default = Options::default();
    prop_oneof![
        any::<u64>().prop_map(move |seed| ("seed", seed.to_string(), Options { seed, ..default })),
        (1..=86_400u64).prop_map(move |s| (
            "duration",
            format!("{s}s"),
            Options {
                duration: Some(Micros::from_secs(s)),
                ..default
            }
        )),
        prop::sample::select(Kind::ALL.to_vec()).prop_map(move |kind| (
            "workload",
            kind.to_string(),
            Options {
                workload: kind,
                ..default
            }
        )),
        (1..=60u64).prop_map(move |s| {
            let mut options = default;
            options.config.interval = Micros::from_secs(s);
            ("interval", format!("{s}s"), options)
        }),
        any::<u16>()
            .prop_filter("4242 is taken", |port| *port != 4242)
            .prop_map(move |port| {
                let mut options = default;
                options.config.control_port = Some(port).filter(|port| *port != 0);
                ("control-port", port.to_string(), options)
            }),
        Just(()).prop_map(move |()| {
            let mut options = default;
            options.config.target = Target::Off;
            ("influx", "off".to_owned(), options)
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_texts_are_followed_or_refused_in_one_line_that_names_one_of_them(given in prop::collection::vec(text(), 0..6)) {
        match parse(given.iter().map(String::as_str)) {
            Ok(Request::Run(_)) => prop_assert!(well_formed(&given), "accepted: {given:?}"),
            Ok(Request::Help) => prop_assert!(given.iter().any(|text| text == "--help" || text == "-h")),
            Ok(Request::Version) => prop_assert!(given.iter().any(|text| text == "--version")),
            Err(error) => {
                let line = error.to_string();
                prop_assert!(!line.chars().any(char::is_control), "not one clean line: {line:?}");
                prop_assert!(names_one(&line, &given), "{line:?} names none of {given:?}");
            }
        }
    }

    #[test]
    fn right_arguments_in_any_order_and_style_set_what_they_say(
        given in prop::collection::vec((assignment(), any::<bool>()), 0..8),
    ) {
        let mut texts = Vec::new();
        let mut expected = Options::default();
        for ((key, value, options), joined) in &given {
            if *joined {
                texts.push(format!("--{key}={value}"));
            } else {
                texts.extend([format!("--{key}"), value.clone()]);
            }
            // The last one counts, so later ones overwrite.
            match *key {
                "seed" => expected.seed = options.seed,
                "duration" => expected.duration = options.duration,
                "workload" => expected.workload = options.workload,
                "interval" => expected.config.interval = options.config.interval,
                "control-port" => expected.config.control_port = options.config.control_port,
                _ => expected.config.target = options.config.target,
            }
        }
        prop_assert_eq!(parse(texts.iter().map(String::as_str)), Ok(Request::Run(expected)));
    }
}
