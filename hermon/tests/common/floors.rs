//! The floors of a crate: a list of its modules, from low to high, and a check that no module uses one above it.

use std::fs;
use std::path::Path;

/// Reads the modules below `src` and returns a line for each `crate::NAME` that does not name a module below the one it stands in.
/// A name that is not a module, a module that is not in the list, and what a module's inner file takes from the module itself are such
/// lines, too. Comments and tests are not looked at.
pub fn arrows_up(src: &Path, floors: &[&str]) -> Vec<String> {
    let floor = |module: &str| floors.iter().position(|known| *known == module);
    let mut found = Vec::new();
    let mut folders = vec![src.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let inner = path.strip_prefix(src).unwrap().with_extension("");
            let module = inner.iter().next().unwrap().to_str().unwrap();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if ["lib", "main"].contains(&module) || path.ends_with("tests.rs") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
            for (number, line) in code.lines().map(str::trim_start).enumerate() {
                let named = |by| line.split(by).skip(1).flat_map(names);
                // In a file directly below `src`, `super` is the crate; below that, only a module beside it may be meant.
                let is_flat = inner.components().count() == 1;
                let is_up = |named: &str| match floor(named) {
                    Some(other) => Some(other) >= floor(module) && !(is_flat && named == module),
                    None => true,
                };
                let is_parent = |named: &str| !folder.join(named).with_extension("rs").exists();
                let up = named("crate::").any(is_up)
                    || named("super::").any(|named| {
                        if is_flat {
                            is_up(named)
                        } else {
                            is_parent(named)
                        }
                    });
                if up && !line.starts_with("//") {
                    found.push(format!("{}:{}: {line}", path.display(), number + 1));
                }
            }
            if floor(module).is_none() {
                found.push(format!("{}: has no floor", path.display()));
            }
        }
    }
    found
}

/// Returns the modules that are named after `crate::`: one, or those of a list.
fn names(part: &str) -> impl Iterator<Item = &str> {
    let list = part.strip_prefix('{').and_then(|list| list.split_once('}'));
    let names = list.map_or(part, |(list, _)| list).split(", ");
    names
        .take(if list.is_some() { usize::MAX } else { 1 })
        .map(|name| {
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
            &name[..end.unwrap_or(name.len())]
        })
}
