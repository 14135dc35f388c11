//! Builds the Hermit kernel and hands it to the linker as one object.
//!
//! 1. `kernel/hermit` names the kernel and locks its crates; cargo tells where the kernel's source is.
//! 2. The source is copied below `OUT_DIR`, with `kernel/src/lines.rs` as a module of its own, and `kernel/patches/*.patch` are
//!    applied to the copy.
//! 3. The copy is built for `x86_64-unknown-none` with frame pointers, as a static library.
//! 4. The library is reduced to one object whose only global symbols are `_start` and `sys_*`. The kernel's allocator, panic
//!    handler and `log` would collide with the application's.
//!
//! For targets other than Hermit this script builds nothing: only the crate's portable parts are compiled there, for their tests.

use core::fmt::Display;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

use cargo_metadata::MetadataCommand;

const KERNEL: &str = "hermit-kernel";
const KERNEL_TARGET: &str = "x86_64-unknown-none";
/// The level of the kernel's log until the application sets one. At `info` the kernel prints a screenful at each boot.
const BOOT_LOG_LEVEL: &str = "warn";

/// The file that becomes a module of the kernel: the console's buffer. It is here, and not in a patch, so that its tests run.
const MODULE: &str = "src/lines.rs";

fn main() {
    for input in ["build.rs", "hermit", "patches", "image.ld", MODULE] {
        println!("cargo::rerun-if-changed={input}");
    }
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("hermit") {
        return;
    }
    if let Err(message) = build() {
        println!("cargo::error={message}");
        exit(1);
    }
}

fn build() -> Result<(), String> {
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);

    // Everything is assembled in a staging folder, and only files that differ are copied on. Otherwise a changed linker script, for
    // example, would make the inner cargo build the kernel again.
    let staging = out.join("staging");
    if staging.exists() {
        fs::remove_dir_all(&staging).map_err(|error| failed(&staging, &error))?;
    }
    let (graph, kernel) = (staging.join("hermit"), staging.join(KERNEL));
    copy_tree(&here.join("hermit"), &graph)?;
    copy_tree(&kernel_source(&here.join("hermit"))?, &kernel)?;
    copy_file(&here.join(MODULE), &kernel.join(MODULE))?;
    for patch in files_in(&here.join("patches"), "patch")? {
        apply(&patch, &kernel)?;
    }
    let manifest = graph.join("Cargo.toml");
    let patched = format!("\n[patch.crates-io]\n{KERNEL} = {{ path = \"../{KERNEL}\" }}\n");
    write(&manifest, read(&manifest)? + &patched)?;

    let sources = out.join("sources");
    copy_tree(&staging, &sources)?;
    let library = compile(&sources.join("hermit"))?;
    localise(&library, &out)?;

    let script = "image.ld";
    copy_file(&here.join(script), &out.join(script))?;
    println!("cargo::rustc-link-search=native={}", out.display());
    println!("cargo::rustc-link-lib=static=hermit");
    Ok(())
}

/// Returns the folder of the kernel's source. Cargo has checked it against the checksum in the lock file.
fn kernel_source(graph: &Path) -> Result<PathBuf, String> {
    let metadata = MetadataCommand::new()
        .manifest_path(graph.join("Cargo.toml"))
        .other_options(vec!["--locked".into()])
        .exec()
        .map_err(|error| format!("cargo metadata of {}: {error}", graph.display()))?;
    let kernel = metadata
        .packages
        .iter()
        .find(|package| package.name.as_str() == KERNEL)
        .ok_or_else(|| format!("{KERNEL} is not a dependency of {}", graph.display()))?;
    println!("cargo::rustc-env=HERMIT_VERSION={}", kernel.version);
    let manifest = kernel.manifest_path.as_std_path();
    Ok(manifest.parent().unwrap_or(manifest).to_path_buf())
}

/// Applies a patch file: a description, then a unified diff of any number of files with the prefixes `a/` and `b/`.
fn apply(patch: &Path, tree: &Path) -> Result<(), String> {
    let text = read(patch)?;
    let failed = |what: &str, why: &dyn Display| format!("{}: {what}: {why}", patch.display());
    let mut parts = text.split("\ndiff --git ");
    if parts
        .next()
        .is_none_or(|prose| prose.starts_with("diff --git "))
    {
        return Err(failed(
            "begins without prose",
            &"say what it changes, and why",
        ));
    }
    for part in parts {
        let start = part
            .find("--- ")
            .ok_or_else(|| failed("a file's diff", &"has no `---` line"))?;
        // The split removed the end of the last line.
        let part = format!("{}\n", part[start..].trim_end_matches('\n'));
        let diff =
            diffy::Patch::from_str(&part).map_err(|error| failed("cannot be read", &error))?;
        let name = diff
            .modified()
            .and_then(|name| name.strip_prefix("b/"))
            .ok_or_else(|| failed("a file's diff", &"names no file below `b/`"))?;
        let file = tree.join(name);
        let before = match diff.original() {
            Some("/dev/null") => String::new(),
            _ => read(&file)?,
        };
        let after = diffy::apply(&before, &diff).map_err(|error| failed(name, &error))?;
        write(&file, after)?;
    }
    Ok(())
}

/// Builds the static library of the cargo graph in `graph` and returns its path.
fn compile(graph: &Path) -> Result<PathBuf, String> {
    let target = graph.join("target");
    // A panic in the kernel names its source file; the name must not contain paths of the build machine.
    let sources = graph.parent().unwrap_or(graph);
    let flags = [
        "-Cforce-frame-pointers=yes".to_owned(),
        format!("--remap-path-prefix={}/=", sources.display()),
    ];
    let mut cargo = Command::new(variable("CARGO")?);
    // The outer cargo sets these for its own build scripts; the inner cargo would mistake them for its configuration.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let is_ours = [
            "CARGO_CFG_",
            "CARGO_FEATURE_",
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BUILD_",
        ]
        .iter()
        .any(|prefix| name.starts_with(prefix));
        if is_ours || ["CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"].contains(&&*name) {
            cargo.env_remove(&*name);
        }
    }
    cargo
        .current_dir(graph)
        .args(["build", "--release", "--target", KERNEL_TARGET])
        .args([
            "-Zbuild-std=core,alloc",
            "-Zbuild-std-features=compiler-builtins-mem",
        ])
        .arg("--target-dir")
        .arg(&target)
        .env("RUSTC", variable("RUSTC")?)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("HERMIT_LOG_LEVEL_FILTER", BOOT_LOG_LEVEL)
        .env("NO_COLOR", "1");
    run(&mut cargo)?;
    Ok(target
        .join(KERNEL_TARGET)
        .join("release/libhermit_object.a"))
}

/// Reduces `library` to one object with `_start` and `sys_*` as its only global symbols, in an archive for the linker.
fn localise(library: &Path, out: &Path) -> Result<(), String> {
    let object = out.join("hermit.o");
    run(Command::new("ld")
        .args(["-r", "--whole-archive"])
        .arg(library)
        .arg("-o")
        .arg(&object))?;
    run(Command::new("objcopy")
        .args([
            "--wildcard",
            "--keep-global-symbol=_start",
            "--keep-global-symbol=sys_*",
        ])
        .arg(&object))?;
    let archive = out.join("libhermit.a");
    if archive.exists() {
        fs::remove_file(&archive).map_err(|error| failed(&archive, &error))?;
    }
    run(Command::new("ar").arg("rcs").arg(&archive).arg(&object))
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{name} cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    Err(format!(
        "{name} failed ({}); its output is above",
        output.status
    ))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}"))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| failed(path, &error))
}

fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<(), String> {
    fs::write(path, text).map_err(|error| failed(path, &error))
}

/// Returns the files in `folder` that end in `.extension`, sorted by name.
fn files_in(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, String> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .map_err(|error| failed(folder, &error))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|it| it == extension))
        .collect();
    files.sort();
    Ok(files)
}

/// Copies a file unless the copy already has the same content: a new modification time would make cargo compile it again.
fn copy_file(from: &Path, to: &Path) -> Result<(), String> {
    let bytes = fs::read(from).map_err(|error| failed(from, &error))?;
    if fs::read(to).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    write(to, bytes)
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), String> {
    fs::create_dir_all(to).map_err(|error| failed(to, &error))?;
    for entry in fs::read_dir(from).map_err(|error| failed(from, &error))? {
        let entry = entry.map_err(|error| failed(from, &error))?;
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_tree(&source, &copy)?;
        } else {
            copy_file(&source, &copy)?;
        }
    }
    Ok(())
}

fn failed(path: &Path, error: &dyn Display) -> String {
    format!("{}: {error}", path.display())
}
