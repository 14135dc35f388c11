//! The manual and the completions name everything that the tool accepts.

use std::fs;

use super::common::Tool;

#[test]
fn there_is_a_page_for_every_subcommand() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut tool = Tool::start(["man", folder.path().join("man1").to_str().unwrap()]);
    assert_eq!(tool.wait().code(), Some(0));
    let mut names: Vec<String> = fs::read_dir(folder.path().join("man1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in [
        "hermon.1",
        "hermon-run.1",
        "hermon-watch.1",
        "hermon-trace.1",
        "hermon-report.1",
        "hermon-convert.1",
        "hermon-ctl.1",
    ] {
        assert!(
            names.iter().any(|found| found == name),
            "{name} in {names:?}"
        );
    }
    let page = fs::read_to_string(folder.path().join("man1/hermon-report.1")).unwrap();
    assert!(
        page.starts_with(".ie") && page.contains("\\-\\-temporary") && page.contains("Exit codes"),
        "{page}"
    );
}

#[test]
fn shells_get_completions() {
    for (shell, part) in [
        ("bash", "complete -F _hermon"),
        ("zsh", "#compdef hermon"),
        ("fish", "complete -c hermon"),
    ] {
        let mut tool = Tool::start(["completions", shell]);
        assert_eq!(tool.wait().code(), Some(0));
        let text: Vec<String> = tool.lines.iter().collect();
        assert!(text.iter().any(|line| line.contains(part)), "{shell}");
    }
}
