//! The documentation names everything that the tool accepts.

use std::process::Command;

const PAGE: &str = include_str!("../../docs/HERMON.md");

fn help(subcommand: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_hermon"))
        .args([subcommand, "--help"])
        .output()
        .expect("the tool runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Returns the values of `--to`: `- NAME: MEANING`, a line each below the option.
fn formats() -> Vec<String> {
    let help = help("convert");
    let lines = help.lines().map(str::trim_start);
    let below = lines.skip_while(|line| !line.starts_with("--to "));
    let values = below
        .skip(1)
        .take_while(|line| !line.starts_with('-') || line.starts_with("- "));
    let name = |line: &str| Some(line.strip_prefix("- ")?.split(':').next()?.to_owned());
    values.filter_map(name).collect()
}

#[test]
fn every_format_of_convert_is_in_the_documentation() {
    let formats = formats();
    assert!(formats.len() >= 7, "{formats:?}");
    for format in formats {
        assert!(
            PAGE.contains(&format!("\n| `{format}` |")),
            "{format}: the table of `convert` in docs/HERMON.md has no row for it"
        );
    }
}
