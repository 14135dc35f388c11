//! The program's logger, as an application sees it. One test, because a program has one logger.

use std::sync::Mutex;

use logging::Level;
use logging::{self, LogError};
use units::Micros;

logging::log_source!(DECLARED = "app::declared", "a source of the test");
logging::log_source!(SAME_NAME = "app::declared", "another");

static CONSOLE: Mutex<String> = Mutex::new(String::new());

fn print(line: core::fmt::Arguments<'_>) {
    *CONSOLE.lock().unwrap() += &line.to_string();
}

#[test]
fn levels_decide_what_reaches_the_console_and_can_be_changed() {
    let init = |levels| logging::init(print, || Micros(1_000_002), levels);
    assert!(matches!(init("shout"), Err(LogError::Parse(_))));
    assert_eq!(
        log::max_level(),
        log::LevelFilter::Off,
        "a wrong text leaves logging off"
    );

    init("warning,app::cache:debug").unwrap();
    assert_eq!(log::max_level(), log::LevelFilter::Debug);
    log::info!(target: "app", "not shown");
    log::warn!(target: "app", "disk {}", "full");
    log::debug!(target: "app::cache::lru", "evicted");
    assert!(!log::log_enabled!(target: "app", log::Level::Info));

    assert_eq!(
        logging::set_levels("app::cash:info")
            .unwrap_err()
            .to_string(),
        "unknown source: app::cash"
    );
    logging::set_levels("app:info,app::cache:quiet").unwrap();
    assert_eq!(log::max_level(), log::LevelFilter::Info);
    log::info!(target: "app", "shown");
    log::error!(target: "app::cache::lru", "not shown");
    assert_eq!(logging::levels().level("app::cache"), Level::Quiet);

    assert!(matches!(
        logging::set_levels("app:info,:"),
        Err(LogError::Parse(_))
    ));
    logging::set_levels("quiet").unwrap();
    log::error!(target: "app", "not shown");

    // A declared source decides about its records, whatever the module's path is.
    logging::set_levels("error,app:quiet").unwrap();
    log::error!(logger: DECLARED, "not shown");
    assert!(
        logging::levels().has("app::declared"),
        "known since its first record"
    );
    logging::set_levels("app::declared:debug").unwrap();
    assert_eq!(log::max_level(), log::LevelFilter::Debug);
    log::debug!(logger: DECLARED, "shown {}", "too");
    log::trace!(logger: DECLARED, "not shown");
    assert!(log::log_enabled!(logger: DECLARED, log::Level::Debug));
    assert!(!log::log_enabled!(logger: DECLARED, log::Level::Trace));

    // A second source of the same name is looked up.
    log::debug!(logger: SAME_NAME, "and this");
    assert_eq!(
        logging::levels()
            .sources()
            .filter(|known| known.declared)
            .count(),
        1
    );

    let expected = "[    1.000002 WARN  app] disk full\n\
                    [    1.000002 DEBUG app::cache::lru] evicted\n\
                    [    1.000002 INFO  app] shown\n\
                    [    1.000002 DEBUG app::declared] shown too\n\
                    [    1.000002 DEBUG app::declared] and this\n";
    assert_eq!(*CONSOLE.lock().unwrap(), expected);
    let lines = logging::lines();
    assert_eq!(
        (lines.errors, lines.warnings, lines.infos, lines.debugs),
        (0, 1, 1, 3)
    );
    assert_eq!(init("info"), Err(LogError::Taken));
}
