//! A control port without an image: it keeps states and levels, and answers as an image does.

use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use super::DEADLINE;

#[derive(Default)]
struct States {
    metrics: BTreeMap<String, bool>,
    levels: BTreeMap<String, String>,
    asked: Vec<String>,
}

#[derive(Clone)]
pub struct Image(Arc<Mutex<States>>);

impl Image {
    pub fn start(metrics: &[&str], logs: &[&str]) -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let image = Self(Arc::default());
        {
            let mut states = image.0.lock().unwrap();
            for &name in metrics {
                states.metrics.insert(name.to_owned(), true);
            }
            for &name in logs {
                states.levels.insert(name.to_owned(), "info".to_owned());
            }
        }
        thread::spawn({
            let image = image.clone();
            move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    image.serve(&stream);
                }
            }
        });
        (image, address)
    }

    fn serve(&self, mut stream: &TcpStream) {
        for command in BufReader::new(stream.try_clone().unwrap()).lines() {
            let Ok(command) = command else { return };
            let answer = self.answer(&command);
            if stream.write_all(format!("{answer}\n").as_bytes()).is_err() {
                return;
            }
        }
    }

    fn answer(&self, command: &str) -> String {
        let mut states = self.0.lock().unwrap();
        states.asked.push(command.to_owned());
        let (letter, rest) = command.split_at_checked(1).unwrap_or_default();
        match (letter, rest) {
            ("m", "*") => {
                let state = |on| if on { "enabled" } else { "disabled" };
                let all = states.metrics.iter();
                let all: Vec<String> = all
                    .map(|(name, &on)| format!("{name}:{}", state(on)))
                    .collect();
                format!("ok: *:enabled,{}", all.join(","))
            }
            ("l", "*") => {
                let all = states.levels.iter();
                let all: Vec<String> = all.map(|(name, level)| format!("{name}:{level}")).collect();
                format!("ok: *:info,{}", all.join(","))
            }
            ("M" | "L", item) => {
                let (name, value) = item.rsplit_once(':').unwrap_or_default();
                let name = name.strip_prefix("src:").unwrap_or(name).to_owned();
                let known = if letter == "M" {
                    states.metrics.contains_key(&name)
                } else {
                    states.levels.contains_key(&name)
                };
                if !known {
                    return format!("error: unknown source: {name}");
                }
                if letter == "M" {
                    states.metrics.insert(name, value == "on");
                } else {
                    states.levels.insert(name, value.to_owned());
                }
                "ok".to_owned()
            }
            _ => "error: unknown command".to_owned(),
        }
    }

    pub fn is_on(&self, name: &str) -> bool {
        self.0.lock().unwrap().metrics[name]
    }

    pub fn set_level(&self, name: &str, level: &str) {
        let mut states = self.0.lock().unwrap();
        states.levels.insert(name.to_owned(), level.to_owned());
    }

    /// Waits until a client has set this level.
    pub fn wait_for_level(&self, name: &str, level: &str) {
        let until = Instant::now() + DEADLINE;
        while self.level(name) != level {
            assert!(Instant::now() < until, "{name} is not {level}");
            thread::yield_now();
        }
    }

    pub fn level(&self, name: &str) -> String {
        self.0.lock().unwrap().levels[name].clone()
    }
}
