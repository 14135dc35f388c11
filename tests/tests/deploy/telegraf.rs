//! Runs Telegraf with the shipped configuration.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::programs::text;
use crate::server::{Folder, Server};

/// Returns `deploy/telegraf.conf`.
pub fn shipped() -> String {
    text("deploy/telegraf.conf")
}

/// Returns the file with the output under this heading uncommented, as a person would do it.
///
/// # Panics
/// Panics if there is no such heading, or no output below it to uncomment.
pub fn with_output(config: &str, heading: &str) -> String {
    let mut out = String::new();
    let (mut within, mut taken) = (false, 0);
    for line in config.lines() {
        if line.is_empty() {
            within = false;
        }
        let code = line
            .strip_prefix("# ")
            .filter(|rest| rest.starts_with("[[") || rest.starts_with("  "));
        match code {
            Some(code) if within => {
                out += code;
                taken += 1;
            }
            _ => out += line,
        }
        out.push('\n');
        within |= line.starts_with(&format!("# {heading}"));
    }
    assert!(
        taken > 1,
        "no output under {heading:?} in deploy/telegraf.conf"
    );
    out
}

/// Returns the file without its active output.
pub fn without_output(config: &str) -> String {
    let (before, rest) = config
        .split_once("\n[[outputs.influxdb]]\n")
        .expect("an output is on");
    let (_, after) = rest.split_once("\n\n").expect("others follow");
    format!("{before}\n\n{after}")
}

/// Returns Telegraf's own check of a configuration.
///
/// # Panics
/// Panics if Telegraf cannot be run.
pub fn check(program: &Path, config: &str) -> Output {
    let folder = Folder::new("check");
    let path = folder.path().join("telegraf.conf");
    fs::write(&path, config).expect("a file");
    let mut command = Command::new(program);
    command
        .args(["config", "check", "--strict-env-handling", "--config"])
        .arg(path)
        .env("INFLUXDB2_TOKEN", "token");
    command.output().expect("telegraf")
}

/// A running Telegraf that listens for both transports on one port.
#[derive(Debug)]
pub struct Telegraf {
    pub server: Server,
    _folder: Folder,
}

impl Telegraf {
    /// Starts Telegraf on this port of loopback and waits until it listens.
    ///
    /// # Panics
    /// Panics if it does not listen before the deadline.
    pub fn start(program: &Path, config: &str, port: u16, addresses: &[(&str, &str)]) -> Self {
        let folder = Folder::new("telegraf");
        let path = folder.path().join("telegraf.conf");
        fs::write(&path, config).expect("a file");
        let mut command = Command::new(program);
        command
            // This will be the default from Telegraf 1.38 on.
            .args(["--strict-env-handling", "--config"])
            .arg(path)
            .env("LISTEN", format!("127.0.0.1:{port}"))
            // Flush often, so that a test need not wait.
            .env("FLUSH_INTERVAL", "200ms")
            .envs(addresses.iter().copied());
        let mut server = Server::start(command);
        // One line for each transport, in either order.
        for _ in 0..2 {
            server.wait_for("[inputs.socket_listener] Listening on ");
        }
        Self {
            server,
            _folder: folder,
        }
    }
}
