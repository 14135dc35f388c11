//! The page of `hermon watch --web`: as a browser sees it, and for requests that are not allowed.

mod common;

use core::net::SocketAddr;
use std::fs;
use std::net::UdpSocket;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use common::Tool;
use common::browser::Browser;
use common::http::{self, OURS, ask, get};
use common::image::Image;
use tempfile::TempDir;

/// Starts a watch with a page. Returns the address on which it listens, and the page's address.
fn watch(options: &[&str]) -> (Tool, SocketAddr, String) {
    let fixed = [
        "watch",
        "--plain",
        "--listen=127.0.0.1:0",
        "--web=127.0.0.1:0",
    ];
    let tool = Tool::start(fixed.iter().chain(options));
    let line = tool.line_with("listening on");
    let address = line.split_whitespace().nth(3).unwrap().parse().unwrap();
    let line = tool.line_with("the page is at ");
    let page = line.rsplit_once(' ').unwrap().1.to_owned();
    (tool, address, page)
}

/// The time when the machines were booted, a minute ago.
static BOOT: LazyLock<u64> = LazyLock::new(|| {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_nanos() as u64 - 60_000_000_000
});

/// Sends the lines of one second.
fn feed(address: SocketAddr, count: u64) {
    let time = *BOOT + count * 1_000_000_000;
    let lines = format!(
        "memory,vm=web-1 allocations={}i,live_bytes={}i {time}\n\
         log,vm=web-1 errors=0i,infos={count}i {time}\n\
         monitoring,vm=web-1 lines_lost={}i {time}\n\
         uptime,vm=web-2 seconds={count}i {time}\n",
        count * 1_000,
        1_048_576 + (count % 3) * 65_536,
        count / 20,
    );
    send(address, &lines);
}

fn send(address: SocketAddr, lines: &str) {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.send_to(lines.as_bytes(), address).unwrap();
}

const CARD: &str = "document.querySelector('[data-field=\"memory allocations\"]')";

#[test]
fn values_and_charts_arrive_and_switches_and_levels_reach_the_image() {
    let folder = TempDir::new().unwrap();
    let folded = folder.path().join("heap.folded");
    fs::write(&folded, "main;work;alloc 3000\nmain;idle 1000\n").unwrap();
    let (image, control) = Image::start(&["memory", "log", "never"], &["app", "dns"]);
    let control = control.to_string();
    let (_tool, address, page) =
        watch(&["--control", &control, "--profile", folded.to_str().unwrap()]);
    for count in 0..30 {
        feed(address, count);
    }
    let Some(mut browser) = Browser::open(&page, (1200, 900)) else {
        return;
    };
    // The lines before the page was opened, and the lines after.
    browser.wait_for(&format!(
        "{CARD}.querySelector('.value').textContent.startsWith('29,000')"
    ));
    feed(address, 30);
    browser.wait_for(&format!(
        "{CARD}.querySelector('.value').textContent === '30,000 1,000/s'"
    ));
    let points = browser.value(&format!("{CARD}.querySelector('canvas').dataset.points"));
    let points: usize = points.as_str().unwrap().parse().unwrap();
    assert!((25..=30).contains(&points), "{points} points");
    browser.wait_for("document.querySelector('[data-field=\"memory live_bytes\"] .value').textContent === '1 MiB'");
    browser.wait_for("document.querySelector('[data-field=\"monitoring lines_lost\"]').classList.contains('loss')");
    browser.wait_for("/points, \\d+\\/s/.test(document.getElementById('count').textContent)");

    // The page shows the value at the pointer.
    browser.value(&format!("{CARD}.scrollIntoView()"));
    browser.value(&format!(
        "{CARD}.querySelector('canvas').dispatchEvent(new PointerEvent('pointermove', {{clientX: {CARD}.querySelector('canvas').getBoundingClientRect().right - 20}}))"
    ));
    browser.wait_for(&format!(
        "/^1,000\\/s  \\d/.test({CARD}.querySelector('canvas').dataset.hover)"
    ));

    let switch = "document.querySelector('[aria-label=\"metrics of memory\"]')";
    browser.wait_for(&format!("{switch}.getAttribute('aria-checked') === 'true'"));
    assert!(image.is_on("memory"));
    browser.value(&format!("{switch}.click()"));
    browser.wait_for(&format!(
        "{switch}.getAttribute('aria-checked') === 'false'"
    ));
    assert!(!image.is_on("memory") && image.is_on("log"));
    browser.wait_for("document.querySelector('[aria-label=\"metrics of never\"]')");

    let level = "document.querySelector('select[data-log=dns]')";
    browser.value(&format!(
        "{level}.className = 'old'; {level}.value = 'debug'; {level}.dispatchEvent(new Event('change'))"
    ));
    // After the change, the page asks for the levels again.
    browser.wait_for(&format!(
        "{level}.className === '' && {level}.value === 'debug'"
    ));
    browser.wait_for("document.getElementById('fault').hidden");
    assert_eq!(
        (image.level("dns"), image.level("app")),
        ("debug".to_owned(), "info".to_owned())
    );

    let frames = "[...document.querySelectorAll('#flame button')]";
    browser.wait_for(&format!("{frames}.map((frame) => frame.textContent).join() === 'all,main,work,alloc,idle' || {frames}.length === 5"));
    let wide = |name: &str| {
        format!("{frames}.find((frame) => frame.textContent === '{name}').offsetWidth")
    };
    let (main, work) = (browser.value(&wide("main")), browser.value(&wide("work")));
    let share = work.as_f64().unwrap() / main.as_f64().unwrap();
    assert!((0.74..0.76).contains(&share), "{share}");
    browser.value(&format!(
        "{frames}.find((frame) => frame.textContent === 'work').click()"
    ));
    browser.wait_for(&format!("{} === {}", wide("work"), wide("main")));

    browser.value("[...document.querySelectorAll('nav button')].find((button) => button.textContent.startsWith('web-2')).click()");
    browser.wait_for("document.querySelector('[data-field=\"uptime seconds\"]') && !document.querySelector('[data-field=\"memory allocations\"]')");

    assert_eq!(browser.complaints, Vec::<String>::new());
    let elsewhere: Vec<&String> = browser
        .requests
        .iter()
        .filter(|url| !url.starts_with(&page) && !url.starts_with("data:,"))
        .collect();
    assert!(
        elsewhere.is_empty() && !browser.requests.is_empty(),
        "{elsewhere:?}"
    );
}

#[test]
fn a_level_is_shown_as_it_is_also_one_that_the_page_does_not_know() {
    let (image, control) = Image::start(&[], &["a", "b", "c"]);
    image.set_level("a", "trace");
    image.set_level("b", "app");
    image.set_level("c", "verbose");
    let (_tool, address, page) = watch(&["--control", &control.to_string()]);
    let states = http::json(&get(&page, "/control.json?vm=web-1"));
    let levels = states["levels"].as_array().unwrap();
    assert!(levels.contains(&"trace".into()) && levels.contains(&"app".into()));
    feed(address, 1);
    let Some(mut browser) = Browser::open(&page, (800, 600)) else {
        return;
    };
    let select = |name: &str| format!("document.querySelector('select[data-log={name}]')");
    for (name, level) in [("a", "trace"), ("b", "app"), ("c", "verbose")] {
        browser.wait_for(&format!("{}?.value === '{level}'", select(name)));
    }
    // Both levels can be set. After a change, the page asks for the levels again.
    for level in ["trace", "app"] {
        browser.value(&format!(
            "{0}.className = 'old'; {0}.value = '{level}'; {0}.dispatchEvent(new Event('change'))",
            select("c")
        ));
        browser.wait_for(&format!(
            "{0}.className === '' && {0}.options.length === 7 && {0}.value === '{level}'",
            select("c")
        ));
        image.wait_for_level("c", level);
    }
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[test]
fn the_page_writes_numbers_as_the_rest_of_hermon() {
    let (_tool, _, page) = watch(&[]);
    let Some(mut browser) = Browser::open(&page, (800, 600)) else {
        return;
    };
    browser.wait_for("human");
    for exponent in -4..20 {
        for digits in [1.0, 1.004, 2.5, 9.994, 9.996, 1.023_4, 1.024, 1.199] {
            let number = digits * 10_f64.powi(exponent);
            for (unit, want) in [
                ("bytes", hermon_amounts::bytes(number)),
                ("ns", hermon_amounts::time(number)),
                ("percent", hermon_amounts::percent(number)),
                ("", hermon_amounts::short(number)),
            ] {
                let shown = browser.value(&format!("human({number:?}, '{unit}')"));
                // Only the page writes powers of ten.
                if !want.contains('e') {
                    assert_eq!(shown, want, "{number:?} {unit}");
                }
            }
        }
    }
}

#[test]
fn names_from_outside_are_text_and_the_page_fits_a_phone_in_light_and_dark() {
    let (_tool, address, page) = watch(&[]);
    let name = "<img\\ src\\=x\\ onerror\\=document.title\\=1>";
    send(
        address,
        &format!(
            "{name},vm={name},a={name} {name}=1,text=\"<b>{}</b>\"\n",
            "w".repeat(200)
        ),
    );
    let Some(mut browser) = Browser::open(&page, (390, 800)) else {
        return;
    };
    browser.wait_for("document.querySelector('article h3')?.textContent === '<img src=x onerror=document.title=1>'");
    assert_eq!(
        browser.value("document.images.length + document.querySelectorAll('b').length"),
        0
    );
    let width = browser.value("document.scrollingElement.scrollWidth");
    assert!(width.as_u64().unwrap() <= 390, "{width}");
    let mut back = |dark| {
        browser.dark(dark);
        browser.value("getComputedStyle(document.body).backgroundColor")
    };
    assert_ne!(back(false), back(true));
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[test]
fn the_page_says_when_hermon_is_gone() {
    let (tool, address, page) = watch(&[]);
    feed(address, 1);
    let Some(mut browser) = Browser::open(&page, (800, 600)) else {
        return;
    };
    browser.wait_for("document.querySelector('article')");
    drop(tool);
    browser.wait_for("document.getElementById('state').textContent.includes('does not answer')");
}

fn post(page: &str, headers: &str, body: &str) -> String {
    http::post(page, "/control?vm=a", headers, body)
}

#[test]
fn every_answer_has_the_policy_and_other_names_are_refused() {
    let (_tool, _, page) = watch(&[]);
    for path in ["/", "/heap.js", "/nowhere", "/profile.json"] {
        let answer = get(&page, path);
        assert!(
            answer.contains("content-security-policy: default-src 'none'; script-src 'self'"),
            "{answer}"
        );
        assert!(answer.contains("cache-control: no-store"), "{answer}");
    }
    assert!(get(&page, "/profile.json").ends_with("\r\n\r\nnull"));
    let rebound = ask(
        &page,
        "GET / HTTP/1.1\nHost: evil.example\nConnection: close\n\n",
    );
    assert!(rebound.starts_with("HTTP/1.1 403 "), "{rebound}");
}

#[test]
fn nothing_changes_by_get_or_for_another_sites_page() {
    let (image, control) = Image::start(&["memory"], &[]);
    let (_tool, _, page) = watch(&["--control", &format!("a={control}")]);
    let off = r#"{"metric": "memory", "on": false}"#;
    assert!(get(&page, "/control?vm=a").starts_with("HTTP/1.1 405 "));
    for headers in [
        "Content-Type: application/json",
        "X-Hermon: 1\nContent-Type: text/plain",
        "X-Hermon: 1\nContent-Type: application/json\nOrigin: http://evil.example",
        "X-Hermon: 1\nContent-Type: application/json\nSec-Fetch-Site: cross-site",
    ] {
        let answer = post(&page, headers, off);
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    }
    assert!(image.is_on("memory"));
    let answer = post(&page, OURS, off);
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && !image.is_on("memory"),
        "{answer}"
    );
    let answer = post(&page, OURS, r#"{"metric": "nobody", "on": true}"#);
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("unknown source: nobody\n"),
        "{answer}"
    );
    let answer = post(
        &page,
        OURS,
        r#"{"metric": "memory", "on": true, "level": "info"}"#,
    );
    assert!(answer.starts_with("HTTP/1.1 422 "), "{answer}");
    assert!(get(&page, "/control.json?vm=b").contains("no control port is known"));
}

#[test]
fn an_image_that_does_not_answer_is_an_error_that_names_its_port() {
    let (_tool, _, page) = watch(&["--control", "127.0.0.1:1"]);
    let answer = get(&page, "/control.json?vm=a");
    assert!(
        answer.starts_with("HTTP/1.1 502 ")
            && answer.contains("the control port 127.0.0.1:1 does not answer"),
        "{answer}"
    );
}

#[test]
fn a_taken_address_and_a_profile_that_is_none_are_one_line_each() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut tool = Tool::start([
        "watch",
        "--plain",
        "--listen=127.0.0.1:0",
        "--web",
        &address,
    ]);
    let line = tool.line();
    assert!(
        line.starts_with(&format!("hermon: cannot serve a page at {address}: ")),
        "{line}"
    );
    assert_eq!(tool.wait().code(), Some(3));
    let arguments = [
        "watch",
        "--plain",
        "--listen=127.0.0.1:0",
        "--web=0",
        "--profile=Cargo.toml",
    ];
    let mut tool = Tool::start(arguments);
    assert_eq!(
        tool.line(),
        "hermon: line 1 is no folded stack: \"[package]\""
    );
    assert_eq!(tool.wait().code(), Some(3));
}

/// Takes the README's pictures, of a page that shows a real image: `PAGE=http://127.0.0.1:8080 cargo test -p hermon
/// --test web pictures -- --ignored`.
#[test]
#[ignore = "takes pictures of the page at $PAGE"]
fn pictures_for_the_readme() {
    let page = std::env::var("PAGE").expect("PAGE=http://…");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");
    for (name, dark, size, place) in [
        ("page-light", false, (1280, 1000), "scrollTo(0, 0)"),
        ("page-dark", true, (1280, 1000), "scrollTo(0, 0)"),
        ("page-phone", true, (390, 844), "scrollTo(0, 0)"),
    ] {
        let mut browser = Browser::open(&page, size).expect("a browser");
        browser.dark(dark);
        browser.wait_for("Number(document.querySelector('article canvas')?.dataset.points) >= 30");
        browser.value(place);
        browser.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done))))");
        fs::write(format!("{folder}/{name}.png"), browser.picture()).unwrap();
    }
}

/// Takes the README's picture of a heap trace that was taken on the page: the same command with `heap` instead of
/// `pictures`.
#[test]
#[ignore = "takes a trace and a picture of it on the page at $PAGE"]
fn heap_for_the_readme() {
    let page = std::env::var("PAGE").expect("PAGE=http://…");
    let mut browser = Browser::open(&page, (1280, 1000)).expect("a browser");
    browser.dark(false);
    browser.wait_for("!document.getElementById('take').hidden && document.querySelector('article canvas')?.dataset.points");
    browser.value("document.getElementById('take-trace').click()");
    browser.wait_for("document.querySelectorAll('#flame button').length > 10");
    browser.wait_for("document.getElementById('take-state').textContent === ''");
    browser.value("document.getElementById('profile').scrollIntoView()");
    browser
        .value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
    println!(
        "{}",
        browser.value("document.getElementById('profile').innerText")
    );
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/page-heap.png");
    fs::write(path, browser.picture()).unwrap();
}
