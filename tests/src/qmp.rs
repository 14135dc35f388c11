//! Sends commands to QEMU itself: QMP, a line of JSON each way (QEMU documentation, "QEMU Machine Protocol").

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::DEADLINE;

/// A connection to QEMU.
#[derive(Debug)]
pub struct Qmp(BufReader<UnixStream>);

impl Qmp {
    pub(crate) fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket)
            .unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
        stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
        let mut qmp = Self(BufReader::new(stream));
        // The greeting comes first. QEMU takes other commands only after `qmp_capabilities`.
        qmp.0.read_line(&mut String::new()).expect("a greeting");
        qmp.execute("qmp_capabilities");
        qmp
    }

    /// Executes a command that has no arguments.
    ///
    /// # Panics
    /// Panics if QEMU refuses it.
    pub fn execute(&mut self, command: &str) {
        self.execute_with(command, "{}");
    }

    /// Executes a command with these arguments, a JSON object.
    ///
    /// # Panics
    /// Panics if QEMU refuses it.
    pub fn execute_with(&mut self, command: &str, arguments: &str) {
        let stream = self.0.get_mut();
        writeln!(
            stream,
            r#"{{"execute": "{command}", "arguments": {arguments}}}"#
        )
        .expect("QEMU listens");
        loop {
            let mut line = String::new();
            let len = self.0.read_line(&mut line).expect("QEMU answers");
            assert!(len > 0, "QEMU has gone at {command}");
            // Events may come before the reply.
            if line.contains(r#""return""#) {
                return;
            }
            assert!(!line.contains(r#""error""#), "{command}: {line}");
        }
    }
}
