use super::*;
use crate::live::{Inside, Live};
use crate::point::UnixMicros;
use crate::receive::{Arrival, Transport, What};
use crate::said::{Origin, Said};
use crate::tally::Told;
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;
use snapshot::{MAX_SPARK, Row};
use state::Mode;
use std::sync::LazyLock;

#[path = "../../heap/tests/traces/golden.rs"]
mod golden;

const NOW: UnixMicros = UnixMicros(1_700_000_100_000_000);

/// Returns two machines, one of them silent for long, with the image's own sources.
fn live() -> Live {
    let live = Live::new(None).unwrap();
    for n in 0..20_i64 {
        let time = 1_700_000_000_000_000_000 + n * 5_000_000_000;
        let arrived = UnixMicros(time / 1_000 + 4_000_000);
        let wave = (n % 7) * 100_000;
        for line in [
            format!(
                "memory,vm=hermit allocations={}i,live_bytes={}i,failed_allocations=0i {time}",
                n * n * 500,
                700_000 + wave
            ),
            format!(
                "uptime,vm=hermit seconds={n}i,boot_time_s=1700000000i,version=\"0.1.0\" {time}"
            ),
            format!(
                "monitoring,vm=hermit lines_sent={}i,lines_lost={}i {time}",
                n * 9,
                n / 10
            ),
            format!(
                "net-virtio,interface=net0,vm=hermit received_bytes={}i {time}",
                n * 4_096
            ),
        ] {
            arrive(&live, &line, arrived);
        }
        if n == 3 {
            arrive(&live, "cpu,vm=other busy_permille=998i", arrived);
        }
    }
    live
}

/// Adds a line that arrives at this time.
fn arrive(live: &Live, line: &str, now: UnixMicros) {
    let what = What::Line(line.into());
    let told = Told::of(&what);
    let peer = "127.0.0.1:7".parse().unwrap();
    live.arrival(&Arrival::by(Transport::Udp, peer, what), told, now);
}

fn snapshot(live: &Live, machine: Option<&str>) -> Snapshot {
    let mut snapshot = live.look(|inside: &Inside| Snapshot::of(inside, machine, NOW));
    snapshot.said = [
        "starting, network card: virtio",
        "ready, address 10.0.2.15/24 by dhcp",
    ]
    .map(|text| Said {
        time: "17:02:57.112".to_owned(),
        origin: Origin::Console,
        text: text.to_owned(),
    })
    .into();
    snapshot
}

fn around() -> Around {
    Around {
        title: "127.0.0.1:8094".to_owned(),
        page: Some("http://127.0.0.1:8088".to_owned()),
        per_second: 3,
        ..Around::default()
    }
}

fn drawn(
    snapshot: &Snapshot,
    state: &mut State,
    around: &Around,
    (width, height): (u16, u16),
) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| draw(frame, snapshot, state, around))
        .unwrap();
    terminal
}

fn text(terminal: &Terminal<TestBackend>) -> String {
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let line: String = (0..buffer.area.width)
            .map(|x| buffer[(x, y)].symbol())
            .collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn press(state: &mut State, snapshot: &Snapshot, keys: &str) -> Wish {
    let mut wish = Wish::Nothing;
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\u{1b}' => KeyCode::Esc,
            '\u{8}' => KeyCode::Backspace,
            '→' => KeyCode::Right,
            '←' => KeyCode::Left,
            '↓' => KeyCode::Down,
            key => KeyCode::Char(key),
        };
        wish = state.key(KeyEvent::new(code, KeyModifiers::NONE), snapshot);
    }
    wish
}

#[test]
fn the_picture_is_as_accepted() {
    let (live, mut state) = (live(), State::default());
    let snapshot = snapshot(&live, None);
    state.row = 2;
    golden::compare(
        "view.txt",
        &text(&drawn(&snapshot, &mut state, &around(), (100, 24))),
    );
}

#[test]
fn the_picture_in_a_small_terminal_is_as_accepted() {
    let (live, mut state) = (live(), State::default());
    let snapshot = snapshot(&live, None);
    golden::compare(
        "view-small.txt",
        &text(&drawn(&snapshot, &mut state, &around(), (48, 10))),
    );
}

#[test]
fn the_help_is_as_accepted() {
    let (live, mut state) = (live(), State::default());
    let snapshot = snapshot(&live, None);
    press(&mut state, &snapshot, "?");
    golden::compare(
        "view-help.txt",
        &text(&drawn(&snapshot, &mut state, &around(), (80, 16))),
    );
}

#[test]
fn losses_of_the_guest_and_our_own_are_red_and_nothing_else_is() {
    let (live, mut state) = (live(), State::default());
    let snapshot = snapshot(&live, None);
    let around = Around {
        losses: vec![(1_234, "lines lost here")],
        ..around()
    };
    let terminal = drawn(&snapshot, &mut state, &around, (100, 24));
    let buffer = terminal.backend().buffer();
    let red: Vec<String> = text(&terminal)
        .lines()
        .enumerate()
        .filter(|(y, _)| (0..100).any(|x| buffer[(x, *y as u16)].fg == Color::Red))
        .map(|(_, line)| line.trim().chars().take(24).collect())
        .collect();
    assert_eq!(red.len(), 3, "{red:#?}");
    assert_eq!(red[0], "1,234 lines lost here");
    assert!(red[1].starts_with("hermit "), "the machine: {red:?}");
    assert!(red[2].starts_with("lines_lost "), "{red:?}");
}

#[test]
fn keys_choose_machine_filter_and_losses() {
    let (live, mut state) = (live(), State::default());
    let all = snapshot(&live, None);
    press(&mut state, &all, "/MEM live\n");
    let names = |state: &State, snapshot: &Snapshot| -> Vec<String> {
        state
            .rows(snapshot)
            .iter()
            .map(|row| match row {
                Row::Source { name, .. } => format!("# {name}"),
                Row::Field(field) => field.name.clone(),
            })
            .collect()
    };
    assert_eq!(names(&state, &all), ["# memory", "live_bytes"]);
    assert_eq!(press(&mut state, &all, "/q\u{8}\u{1b}"), Wish::Nothing);
    press(&mut state, &all, "l");
    assert_eq!(names(&state, &all), ["# monitoring", "lines_lost"]);
    press(&mut state, &all, "\u{1b}/net0\n");
    assert_eq!(
        names(&state, &all),
        ["# net-virtio", "received_bytes"],
        "by tag"
    );
    press(&mut state, &all, "→");
    assert_eq!(state.machine.as_deref(), Some("other"));
    let other = snapshot(&live, state.machine.as_deref());
    press(&mut state, &other, "\u{1b}");
    assert_eq!(names(&state, &other), ["# cpu", "busy_permille"]);
    press(&mut state, &other, "→");
    assert_eq!(state.machine.as_deref(), Some("hermit"), "around the end");
}

#[test]
fn keys_ask_for_the_end_the_help_and_a_pause() {
    let (live, mut state) = (live(), State::default());
    let snapshot = snapshot(&live, None);
    press(&mut state, &snapshot, "p?");
    assert!(state.paused && state.mode == Mode::Help);
    press(&mut state, &snapshot, "x");
    assert_eq!(state.mode, Mode::Table);
    assert_eq!(press(&mut state, &snapshot, "q"), Wish::Quit);
    assert_eq!(
        press(&mut state, &snapshot, "/q"),
        Wish::Nothing,
        "a letter"
    );
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(state.key(interrupt, &snapshot), Wish::Interrupt);
}

#[test]
fn the_marked_row_never_leaves_the_table() {
    let (live, mut state) = (live(), State::default());
    let snapshot = snapshot(&live, None);
    let rows = state.rows(&snapshot).len();
    press(&mut state, &snapshot, &"↓".repeat(rows + 9));
    assert_eq!(state.row, rows - 1);
    let last = text(&drawn(&snapshot, &mut state, &around(), (80, 8)));
    assert!(last.contains("version"), "{last}");
    press(&mut state, &snapshot, "/version\n");
    assert_eq!(state.row, 0);
}

#[test]
fn a_counter_has_a_rate_and_a_state_has_none() {
    let live = live();
    let rows = snapshot(&live, None).rows;
    let field = |name: &str| {
        rows.iter()
            .find_map(|row| match row {
                Row::Field(field) if field.name == name => Some(field),
                _ => None,
            })
            .unwrap()
    };
    let sent = field("lines_sent");
    assert_eq!((sent.value.as_str(), sent.rate.as_str()), ("171", "1.8/s"));
    assert_eq!(sent.spark, [Some(1.8); 19]);
    let live_bytes = field("live_bytes");
    assert_eq!(
        (live_bytes.rate.as_str(), live_bytes.exact.as_str()),
        ("", "1200000")
    );
    assert!(live_bytes.spark.len() <= MAX_SPARK);
    assert_eq!(field("received_bytes").rate, "819 B/s");
    assert_eq!(field("boot_time_s").value, "2023-11-14 22:13:20Z");
}

#[test]
fn names_and_texts_from_outside_cannot_drive_the_terminal() {
    let live = Live::new(None).unwrap();
    let line = "m\u{1b}[2J,vm=a\u{7} x\u{9b}=\"\u{1b}]0;t\u{7}\"";
    arrive(&live, line, NOW);
    assert_eq!(live.tally().points, 1);
    live.say(Origin::Console, "\u{1b}[31m".to_owned());
    let snapshot = live.look(|inside| Snapshot::of(inside, None, NOW));
    let mut state = State {
        row: 1,
        ..State::default()
    };
    let terminal = drawn(&snapshot, &mut state, &around(), (80, 24));
    let buffer = terminal.backend().buffer();
    for cell in buffer.content() {
        assert!(!cell.symbol().chars().any(char::is_control), "{cell:?}");
    }
}

static LIVE: LazyLock<Live> = LazyLock::new(live);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_size_and_any_keys_draw_something(
        width in 1_u16..140,
        height in 1_u16..50,
        keys in prop::collection::vec(prop::sample::select(vec!['q', '/', '?', 'l', 'p', 'c', '[', ']', '→', '←', '↓', 'G', '\n', '\u{1b}', 'a']), 0..12),
        bad in any::<bool>(),
    ) {
        let mut state = State::default();
        let around = Around {
            losses: if bad { vec![(1, "lines too long")] } else { vec![] },
            ..around()
        };
        for key in keys {
            let snapshot = snapshot(&LIVE, state.machine.as_deref());
            press(&mut state, &snapshot, &key.to_string());
            drawn(&snapshot, &mut state, &around, (width, height));
        }
        drawn(&Snapshot::default(), &mut state, &around, (width, height));
        let snapshot = snapshot(&LIVE, None);
        let text = text(&drawn(&snapshot, &mut State::default(), &around, (width, height)));
        prop_assert!(!text.trim().is_empty());
    }
}
