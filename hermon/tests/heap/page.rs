//! Takes heap traces on the page of `hermon watch --trace`, from servers on loopback that behave like networks and
//! images.

use core::net::SocketAddr;
use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::Value;

use super::common::browser::Browser;
use super::common::http::{self, OURS, get, post, status};
use super::common::{DEADLINE, Tool};
use super::made::{HOOK, Happening, INLINED, alloc, packets, service};
use super::oracle::{Block, blocks};

const RATE: f64 = 1e-3;

/// Serves each client in turn, until the test is over.
fn serve(mut each: impl FnMut(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            client.set_read_timeout(Some(DEADLINE)).unwrap();
            each(client);
        }
    });
    address
}

/// Behaves like an image: sends most of the trace at once, and the rest when the client has closed its half.
fn image(mut client: TcpStream) {
    let packets = packets(RATE, &happenings());
    let (first, last) = packets.split_at(packets.len() - 1);
    client.write_all(&first.concat()).unwrap();
    // Anything else means that the test is over and the tool was killed.
    if client.read(&mut [0]).is_ok_and(|length| length == 0) {
        client.write_all(&last.concat()).unwrap();
    }
}

/// Returns the events of the small service, with two blocks whose stacks end in the allocator's hook: once as a frame
/// and once inlined.
fn happenings() -> Vec<Happening> {
    let mut happenings = service();
    happenings.push(alloc(10_000_000, 50, 3, &[0x1000, 0x2000, HOOK]));
    happenings.push(alloc(10_000_000, 60, 4, &[0x1000, INLINED, HOOK]));
    happenings
}

fn watch(traces: &str) -> (Tool, String) {
    let tool = Tool::start([
        "watch",
        "--plain",
        "--listen=127.0.0.1:0",
        "--web=127.0.0.1:0",
        "--trace",
        traces,
    ]);
    let line = tool.line_with("the page is at ");
    let page = line.rsplit_once(' ').unwrap().1.to_owned();
    (tool, page)
}

fn take(page: &str, vm: &str) -> String {
    post(page, &format!("/trace?vm={vm}"), OURS, r#"{"seconds": 5}"#)
}

fn taken(status: &Value) -> u64 {
    status["heap"]["trace"]["taken"].as_u64().unwrap()
}

/// Waits until the trace that was begun is over.
fn over(page: &str) -> Value {
    let over = status(page, "the end of the trace", |status| {
        status["heap"]["trace"]["going"].is_null()
    });
    over["heap"]["trace"].clone()
}

/// Returns the bytes of each path of names, without the root.
fn paths(profile: &Value) -> BTreeMap<String, f64> {
    let nodes = profile["nodes"].as_array().unwrap();
    let index = |value: &Value| value.as_u64().unwrap() as usize;
    let path = |mut at: usize| {
        let mut names = Vec::new();
        while at != 0 {
            names.push(
                profile["names"][index(&nodes[at]["name"])]
                    .as_str()
                    .unwrap(),
            );
            at = index(&nodes[at]["parent"]);
        }
        names.reverse();
        names.join(";")
    };
    (1..nodes.len())
        .map(|at| (path(at), nodes[at]["value"].as_f64().unwrap()))
        .collect()
}

/// Counts the same naively.
fn naive(counts: impl Fn(&Block) -> bool) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for mut block in blocks(&happenings()).into_iter().filter(counts) {
        block.codes.retain(|&code| code != HOOK);
        let mut names: Vec<String> = block.places().into_iter().map(|(name, ..)| name).collect();
        names.retain(|name| !matches!(name.as_str(), "__rust_alloc" | "alloc"));
        names.reverse();
        for end in 1..=names.len() {
            *sums.entry(names[..end].join(";")).or_default() += block.hits as f64 / RATE * 8.0;
        }
    }
    sums
}

fn assert_same(have: &BTreeMap<String, f64>, want: &BTreeMap<String, f64>) {
    assert!(
        have.keys().eq(want.keys())
            && have
                .values()
                .zip(want.values())
                .all(|(a, b)| (a - b).abs() < 1.0),
        "{have:#?}\n{want:#?}"
    );
}

#[test]
fn a_trace_is_taken_and_becomes_the_tree_that_a_naive_count_makes() {
    let (_tool, page) = watch(&serve(image).to_string());
    let before = status(&page, "a status", |_| true);
    assert_eq!(
        before["heap"]["trace"]["machines"],
        serde_json::json!([""]),
        "one without a name, nothing else is known"
    );
    let answer = take(&page, "");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let going = status(&page, "samples", |status| {
        status["heap"]["trace"]["going"]["samples"].as_u64() > Some(0)
    });
    assert!(going["heap"]["trace"]["going"]["bytes"].as_u64() > Some(0));
    // The first trace is still going on. The image would refuse a second client.
    let second = take(&page, "");
    assert!(
        second.starts_with("HTTP/1.1 409 ") && second.ends_with("one at a time\n"),
        "{second}"
    );
    let trace = over(&page);
    assert_eq!(
        (&trace["taken"], &trace["fault"]),
        (&1.into(), &Value::Null)
    );
    let allocated = http::json(&get(&page, "/profile.json?value=allocated"));
    assert_same(&paths(&allocated), &naive(|_| true));
    let live = http::json(&get(&page, "/profile.json?value=live"));
    assert_same(&paths(&live), &naive(Block::is_live_at_end));
    assert_ne!(allocated["nodes"][0], live["nodes"][0]);
    let name = allocated["name"].as_str().unwrap();
    let sampled = blocks(&happenings()).len();
    assert!(
        name.starts_with("bytes allocated, estimated from ")
            && name.contains(&format!(
                " {sampled} sampled blocks in 10 s at the rate 0.001, 95 % sure between "
            )),
        "{name}"
    );
    // The place is free again.
    assert!(take(&page, "").starts_with("HTTP/1.1 200 "));
}

#[test]
fn what_goes_wrong_is_one_line_and_the_profile_before_it_stays() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let closed = closed.unwrap();
    let second = serve(drop);
    let other = serve(|mut client| {
        client
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
    });
    let cut = serve(|mut client| {
        let trace = packets(RATE, &happenings()).concat();
        client.write_all(&trace[..trace.len() - 5]).unwrap();
    });
    let (_tool, page) = watch(&format!(
        "closed={closed},second={second},other={other},cut={cut}"
    ));
    let machines = &status(&page, "a status", |_| true)["heap"]["trace"]["machines"];
    assert_eq!(
        *machines,
        serde_json::json!(["closed", "cut", "other", "second"])
    );
    for (vm, taken, want) in [
        ("closed", 0, format!("cannot connect to {closed}: ")),
        (
            "cut",
            1,
            "the trace of \"cut\" is not whole, what came of it is shown: the image ended the trace, and ".to_owned(),
        ),
        (
            "second",
            1,
            format!("{second} closed the connection without a trace: it serves one client at a time"),
        ),
        ("other", 1, format!("{other} sends no trace: ")),
    ] {
        let answer = take(&page, vm);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let trace = over(&page);
        let fault = trace["fault"].as_str().unwrap_or_default();
        assert!(fault.starts_with(&want) && !fault.contains('\n'), "{fault}");
        assert_eq!(trace["taken"], taken, "{vm}");
    }
    let profile = http::json(&get(&page, "/profile.json"));
    assert!(profile["name"].as_str().unwrap().starts_with("cut: bytes"));
}

#[test]
fn no_trace_begins_by_get_for_another_sites_page_or_with_a_wish_that_is_none() {
    let (_tool, page) = watch("a=127.0.0.1:1");
    assert!(get(&page, "/trace?vm=a").starts_with("HTTP/1.1 405 "));
    let five = r#"{"seconds": 5}"#;
    for headers in [
        "Content-Type: application/json",
        "X-Hermon: 1\nContent-Type: text/plain",
        "X-Hermon: 1\nContent-Type: application/json\nOrigin: http://evil.example",
        "X-Hermon: 1\nContent-Type: application/json\nSec-Fetch-Site: cross-site",
    ] {
        let answer = post(&page, "/trace?vm=a", headers, five);
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    }
    for (path, body, code, want) in [
        (
            "/trace?vm=b",
            five,
            404,
            "no memtrace port is known of \"b\"",
        ),
        (
            "/trace?vm=a",
            r#"{"seconds": 7}"#,
            400,
            "5, 15 or 60 seconds, not 7",
        ),
        ("/trace?vm=a", r#"{"seconds": 5, "file": "x"}"#, 422, "file"),
    ] {
        let answer = post(&page, path, OURS, body);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {code} ")) && answer.contains(want),
            "{answer}"
        );
    }
    let status = status(&page, "a status", |_| true);
    assert_eq!(
        (taken(&status), &status["heap"]["trace"]["fault"]),
        (0, &Value::Null)
    );
}

#[test]
fn a_person_takes_a_trace_on_the_page_and_sees_who_allocates_and_what_stays() {
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let refused = refused.unwrap();
    let (_tool, page) = watch(&format!("shut={refused},web-1={}", serve(image)));
    let Some(mut browser) = Browser::open(&page, (1200, 900)) else {
        return;
    };
    let button = "document.getElementById('take-trace')";
    browser.wait_for(&format!(
        "!{button}.disabled && document.getElementById('take-vm').options.length === 2"
    ));
    browser
        .wait_for("document.getElementById('profile-note').textContent.includes('take a trace')");
    assert_eq!(
        browser.value("document.getElementById('take-shown').hidden"),
        true
    );
    browser.value("document.getElementById('take-vm').value = 'shut'; document.getElementById('take-seconds').value = '5'");
    browser.value(&format!("{button}.click()"));
    let fault = "document.getElementById('take-fault')";
    browser.wait_for(&format!(
        "!{fault}.hidden && {fault}.textContent.startsWith('cannot connect to {refused}: ')"
    ));

    browser.value("document.getElementById('take-vm').value = 'web-1'");
    browser.wait_for(&format!("!{button}.disabled"));
    browser.value(&format!("{button}.click()"));
    browser.wait_for(&format!(
        "{button}.disabled && /^web-1: \\d of 5 s, .*, [1-9]\\d* samples$/.test(document.getElementById('take-state').textContent)"
    ));
    let frames = "[...document.querySelectorAll('#flame button')]";
    browser.wait_for(&format!(
        "{fault}.hidden && {frames}.some((frame) => frame.textContent === 'app::cache::insert')"
    ));
    assert_eq!(
        browser.value(&format!(
            "{frames}.filter((frame) => frame.textContent.includes('rust_alloc')).length"
        )),
        0
    );
    let note = "document.getElementById('profile-note').textContent";
    browser.wait_for(&format!("{note}.startsWith('web-1: bytes allocated, ')"));
    // The frames of the live blocks have other widths: nothing that was freed is among them.
    let walk = format!("{frames}.some((frame) => frame.textContent === 'app::walk')");
    assert_eq!(browser.value(&walk), true);
    browser.value("document.getElementById('take-value').value = 'live'; document.getElementById('take-value').dispatchEvent(new Event('change'))");
    browser.wait_for(&format!(
        "{note}.startsWith('web-1: bytes alive at the end, ') && !{walk}"
    ));
    let widths: HashMap<String, f64> = serde_json::from_value(browser.value(&format!(
        "Object.fromEntries({frames}.map((frame) => [frame.textContent, frame.offsetWidth]))"
    )))
    .unwrap();
    let live = naive(Block::is_live_at_end);
    let all: f64 = live
        .iter()
        .filter(|(path, _)| !path.contains(';'))
        .map(|(_, bytes)| bytes)
        .sum();
    let want = live["app::main"] / all;
    let have = widths["app::main"] / widths["all"];
    assert!((have - want).abs() < 0.01, "{have} instead of {want}");
    browser.wait_for(&format!("!{button}.disabled"));
    assert_eq!(browser.complaints, Vec::<String>::new());
}
