//! The names that an application sees: few, each with an example.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The limit: an application's author can read all of them in one sitting.
const NAMES_MAX: usize = 60;

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the names after `pub use … ::{A, B}` and `pub mod` in the front page, and the public items of `hermit.rs`.
fn names() -> Vec<String> {
    let front = fs::read_to_string(folder().join("src/lib.rs")).expect("a front page");
    let code = front
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code: String = code.flat_map(|line| [line, "\n"]).collect();
    let mut names = Vec::new();
    for statement in code.split(';') {
        if let Some((_, used)) = statement.split_once("pub use ") {
            let list = used.split_once('{').map_or_else(
                || used.rsplit("::").next().unwrap_or_default(),
                |(_, list)| list.trim_end().trim_end_matches('}'),
            );
            names.extend(
                list.split(',')
                    .map(str::trim)
                    .filter(|it| !it.is_empty())
                    .map(str::to_owned),
            );
        }
        if let Some((_, module)) = statement.split_once("pub mod ") {
            names.push(
                module
                    .split([' ', '{'])
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            );
        }
    }
    let hermit = fs::read_to_string(folder().join("src/hermit.rs")).expect("the shell");
    let items = hermit.lines().filter_map(|line| line.strip_prefix("pub "));
    names.extend(items.filter_map(|item| {
        let name = item.split([' ', '<', '(', '{']).nth(1)?;
        Some(name.to_owned())
    }));
    names
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
}

/// Returns the documentation of every public item below `monitoring/`, by its name.
fn documentation() -> BTreeMap<String, Vec<String>> {
    let mut files = Vec::new();
    rust_files(folder(), &mut files);
    let mut documented = BTreeMap::<_, Vec<_>>::new();
    for file in files
        .iter()
        .filter(|file| file.components().any(|it| it.as_os_str() == "src"))
    {
        let text = fs::read_to_string(file).expect("text");
        let mut doc = String::new();
        for line in text.lines().map(str::trim_start) {
            if let Some(more) = line.strip_prefix("///") {
                doc += more;
                doc += "\n";
                continue;
            }
            let item = line.strip_prefix("pub ").unwrap_or(line);
            let words: Vec<_> = item
                .split([' ', '<', '(', '{', ';', ':', '='])
                .filter(|it| !it.is_empty())
                .collect();
            let kind = words.iter().position(|it| {
                [
                    "struct",
                    "enum",
                    "trait",
                    "fn",
                    "type",
                    "mod",
                    "macro_rules!",
                ]
                .contains(it)
            });
            if let Some(name) = kind.and_then(|at| words.get(at + 1)) {
                documented
                    .entry((*name).to_owned())
                    .or_default()
                    .push(core::mem::take(&mut doc));
            } else if !line.starts_with('#') {
                doc.clear();
            }
        }
    }
    documented
}

#[test]
fn an_application_sees_at_most_sixty_names() {
    let names = names();
    assert!(
        names.len() > 40 && names.contains(&"Profiled".to_owned()),
        "{names:?}"
    );
    assert!(names.len() <= NAMES_MAX, "{} names: {names:?}", names.len());
}

#[test]
fn every_name_has_an_example() {
    let documented = documentation();
    let has = |name: &String| {
        documented
            .get(name)
            .is_some_and(|docs| docs.iter().any(|doc| doc.contains("```")))
    };
    let modules = ["config", "heap", "hermit", "logging", "metrics"].map(str::to_owned);
    let names = names();
    let without: Vec<_> = names
        .iter()
        .filter(|name| !modules.contains(name) && !has(name))
        .collect();
    assert!(without.is_empty(), "no example: {without:?}");
}
