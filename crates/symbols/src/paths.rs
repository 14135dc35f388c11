//! Shortens the paths of source files, so that they are the same on every machine: relative to the package or library.
//!
//! | in DWARF | here |
//! |---|---|
//! | `WORKSPACE/app/src/main.rs` | `app/src/main.rs` |
//! | `…/registry/src/INDEX/smoltcp-0.14.0/src/lib.rs` | `smoltcp-0.14.0/src/lib.rs` |
//! | `…/git/checkouts/NAME-HASH/REVISION/src/lib.rs` | `NAME-HASH/REVISION/src/lib.rs` |
//! | `…/rustlib/src/rust/library/core/src/fmt/mod.rs`, `/rustc/HASH/library/core/…` | `core/src/fmt/mod.rs` |
//! | `/elsewhere/package/src/lib.rs` | `package/src/lib.rs` |
//! | `/elsewhere/file.c` | `file.c` |

/// Returns the path without the part that depends on the machine that built the image.
///
/// `workspace` is the folder in which the compiler ran for the image's own packages, see [`workspace`].
pub fn shorten(path: &str, workspace: Option<&str>) -> String {
    let path = resolve(path);
    if !path.starts_with('/') {
        return path;
    }
    relative(&path, workspace).to_owned()
}

/// Returns the folder in which cargo ran for the image's own packages. Of all folders in which the compiler ran, it is the first one
/// that belongs neither to the registry nor to the toolchain.
pub fn workspace<'a>(folders: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    folders.into_iter().find(|folder| {
        folder.starts_with('/')
            && *folder != "/"
            && library(&format!("{folder}/")).is_none()
            && package(folder).is_none()
    })
}

fn relative<'a>(path: &'a str, workspace: Option<&str>) -> &'a str {
    let inside = |root: &str| {
        path.strip_prefix(root.trim_end_matches('/'))?
            .strip_prefix('/')
    };
    library(path)
        .or_else(|| package(path))
        .or_else(|| inside(workspace?))
        .or_else(|| {
            // A package elsewhere: cargo's layout has its name in front of `src`.
            let source = path.rfind("/src/")?;
            path[..source]
                .rfind('/')
                .map(|package| &path[package + 1..])
        })
        .unwrap_or_else(|| path.rsplit_once('/').map_or(path, |(_, file)| file))
}

/// Returns the path inside the standard library's source.
fn library(path: &str) -> Option<&str> {
    let (before, inside) = path.split_once("/library/")?;
    let installed = before.ends_with("/rustlib/src/rust");
    let remapped = before
        .split('/')
        .any(|part| part == "rustc" || part.starts_with("rustc-"));
    (installed || remapped).then_some(inside)
}

/// Returns the path inside cargo's copy of a package, beginning with the package's name.
fn package(path: &str) -> Option<&str> {
    if let Some((_, inside)) = path.split_once("/registry/src/") {
        return inside.split_once('/').map(|(_index, inside)| inside);
    }
    path.split_once("/git/checkouts/").map(|(_, inside)| inside)
}

/// Returns the path without `.` and, where possible, without `..`.
fn resolve(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." if parts
                .last()
                .is_some_and(|&last| last != ".." && !last.is_empty()) =>
            {
                parts.pop();
            }
            // Two slashes in a row; the first of all is the root.
            "" if !parts.is_empty() => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_relative_to_what_the_file_belongs_to() {
        for (path, want) in [
            ("/w/app/src/main.rs", "app/src/main.rs"),
            (
                "/h/.cargo/registry/src/index-0123/spin-0.10.1/src/once.rs",
                "spin-0.10.1/src/once.rs",
            ),
            (
                "/h/.cargo/git/checkouts/spin-0123/abc/src/once.rs",
                "spin-0123/abc/src/once.rs",
            ),
            (
                "/usr/lib/rustlib/src/rust/library/core/src/../../stdarch/crates/x.rs",
                "stdarch/crates/x.rs",
            ),
            (
                "/rustc/0123/library/alloc/src/vec/mod.rs",
                "alloc/src/vec/mod.rs",
            ),
            (
                "/usr/src/rustc-1.96.0/library/core/src/lib.rs",
                "core/src/lib.rs",
            ),
            ("/other/library/thing/src/a.rs", "thing/src/a.rs"),
            ("/other/start.s", "start.s"),
            ("hermit-kernel/src/lib.rs", "hermit-kernel/src/lib.rs"),
            ("hermit/./src//lib.rs", "hermit/src/lib.rs"),
            ("/wider/src/a.rs", "wider/src/a.rs"),
            ("../a.rs", "../a.rs"),
            ("/../a.rs", "a.rs"),
            ("", ""),
        ] {
            assert_eq!(shorten(path, Some("/w")), want, "{path}");
        }
    }

    #[test]
    fn the_workspace_is_where_no_package_of_others_was_built() {
        let folders = [
            "hermit",
            "/usr/src/rustc-1.96.0/library/core",
            "/h/.cargo/registry/src/index-0123/log-0.4.0",
            "/home/me/project",
            "/later",
        ];
        assert_eq!(workspace(folders), Some("/home/me/project"));
        assert_eq!(workspace([]), None);
    }
}
