//! A program in its own terminal, seen as a person sees it: the screen, not the bytes.

use core::num::NonZero;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use super::{DEADLINE, STARTING};

pub struct Pty {
    master: OwnedFd,
    /// Kept open, so that the terminal's settings can be read after the program's end.
    slave: File,
    child: Child,
    screen: Arc<(Mutex<vt100::Parser>, Condvar)>,
}

impl Pty {
    /// Starts a program as the leader of a session that this terminal controls.
    pub fn start(program: &[&str], (columns, rows): (u16, u16)) -> Self {
        let starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = ptsname(&master, Vec::new()).unwrap();
        let slave = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path.to_str().unwrap())
            .unwrap();
        let child = Command::new("setsid")
            .arg("--ctty")
            .args(program)
            .env("TERM", "xterm-256color")
            .env("PS1", "prompt> ")
            .env_remove("QEMU")
            .env_remove("NO_COLOR")
            .stdin(slave.try_clone().unwrap())
            .stdout(slave.try_clone().unwrap())
            .stderr(slave.try_clone().unwrap())
            .spawn()
            .expect("setsid of util-linux");
        drop(starting);
        let screen = Arc::new((
            Mutex::new(vt100::Parser::new(size(rows), size(columns), 500)),
            Condvar::new(),
        ));
        let mut output = File::from(master.try_clone().unwrap());
        thread::spawn({
            let screen = Arc::clone(&screen);
            move || {
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = output.read(&mut buffer) {
                    screen.0.lock().unwrap().process(&buffer[..length]);
                    screen.1.notify_all();
                }
            }
        });
        let pty = Self {
            master,
            slave,
            child,
            screen,
        };
        pty.resize(columns, rows);
        pty
    }

    pub fn resize(&self, columns: u16, rows: u16) {
        let window = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        self.screen
            .0
            .lock()
            .unwrap()
            .screen_mut()
            .set_size(size(rows), size(columns));
        tcsetwinsize(&self.master, window).unwrap();
    }

    /// Types keys.
    pub fn keys(&self, keys: &str) {
        File::from(self.master.try_clone().unwrap())
            .write_all(keys.as_bytes())
            .unwrap();
    }

    /// Waits until the screen satisfies a condition.
    pub fn wait_for(&self, what: &str, mut so: impl FnMut(&vt100::Screen) -> bool) {
        let until = Instant::now() + DEADLINE;
        let mut parser = self.screen.0.lock().unwrap();
        while !so(parser.screen()) {
            let left = until.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "waited for {what}; the screen is\n{}",
                parser.screen().contents()
            );
            parser = self.screen.1.wait_timeout(parser, left).unwrap().0;
        }
    }

    /// Waits until this text is on the screen.
    pub fn wait_for_text(&self, text: &str) {
        self.wait_for(text, |screen| screen.contents().contains(text));
    }

    pub fn contents(&self) -> String {
        self.screen.0.lock().unwrap().screen().contents()
    }

    /// Returns the terminal's settings.
    pub fn settings(&self) -> Termios {
        tcgetattr(&self.slave).unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn end(&mut self) -> ExitStatus {
        self.child.wait().expect("the program ends")
    }
}

fn size(characters: u16) -> NonZero<u16> {
    NonZero::new(characters).expect("a size")
}

impl Drop for Pty {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
