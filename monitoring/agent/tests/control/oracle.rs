//! A second control port, written in the slow and obvious way: strings, maps, and the whole input at once.

use std::collections::BTreeMap;

use agent::control::COMMANDS;
use hmac::{Hmac, KeyInit as _, Mac as _};
use network::bounds::{COMMAND_MAX, REPLY_MAX};
use sha2::Sha256;

use crate::fixture::{KEY, LOG_SOURCES, METRICS, status_reply};

/// The state of an image, as after boot.
pub struct Oracle {
    token: Option<String>,
    default: &'static str,
    levels: Vec<(String, Option<&'static str>)>,
    all: bool,
    /// Tags by place. A tag that is switched off leaves a gap, which the next tag fills.
    tags: Vec<Option<String>>,
    single: BTreeMap<String, bool>,
    challenges: u64,
    /// The last challenge.
    challenge: String,
}

/// Returns the hexadecimal HMAC-SHA-256.
fn hmac(key: &[u8], text: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key");
    mac.update(text);
    let bytes = mac.finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns `true` for the first line of a request, also if it is cut.
fn is_request(line: &[u8]) -> bool {
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let letters = |word: &[u8]| {
        word.iter()
            .all(|byte| byte.is_ascii_alphabetic() || *byte == b'-')
    };
    if words.len() < 2 || words[0].is_empty() || words[0].len() > 16 || !letters(words[0]) {
        return false;
    }
    let target = words[1];
    let version = words.len() > 2 && words[words.len() - 1].starts_with(b"HTTP/");
    let path =
        target.starts_with(b"/") || target.starts_with(b"http:") || target.starts_with(b"https:");
    version || path || target == b"*"
}

type Outcome = Result<String, String>;

impl Oracle {
    pub fn new(token: Option<&str>) -> Self {
        Self {
            token: token.map(str::to_string),
            default: "warning",
            levels: LOG_SOURCES.map(|name| (name.to_string(), None)).to_vec(),
            all: true,
            tags: Vec::new(),
            single: BTreeMap::new(),
            challenges: 0,
            challenge: String::new(),
        }
    }

    /// Returns what a client must read that sends `input` and closes its half.
    pub fn converse(&mut self, input: &[u8]) -> String {
        let mut replies = String::new();
        let mut trusted = self.token.is_none();
        for command in input.split(|&byte| byte == b'\n' || byte == b'\0') {
            let command = match command {
                [command @ .., b'\r'] if command.len() <= COMMAND_MAX => command,
                command => command,
            };
            if command.is_empty() {
                continue;
            }
            if command.starts_with(&[0x16, 3]) {
                return replies + "error: this port speaks lines of text and no TLS\n";
            }
            let too_long = command.len() > COMMAND_MAX;
            if is_request(&command[..command.len().min(COMMAND_MAX)]) {
                replies += "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n";
                replies += "error: this is the control port of a Hermit image, ";
                return replies + "which speaks lines of text and no HTTP: see hermon ctl\n";
            }
            if !trusted {
                let token = self.token.as_deref().unwrap();
                if command == b"auth" {
                    self.challenges += 1;
                    let number = self.challenges.to_le_bytes();
                    let hash = hmac(&KEY, &[b"control", &number[..]].concat());
                    self.challenge = format!("control {}", &hash[..32]);
                    replies += &format!("ok: {}\n", self.challenge);
                    continue;
                }
                let proof = hmac(token.as_bytes(), self.challenge.as_bytes());
                let offered = command.strip_prefix(b"auth ").unwrap_or_default();
                let offered = String::from_utf8_lossy(offered);
                if offered == token
                    || (!self.challenge.is_empty() && offered.to_lowercase() == proof)
                {
                    trusted = true;
                    replies += "ok\n";
                    continue;
                }
                replies += if !too_long && command.starts_with(b"auth ") {
                    "error: wrong token\n"
                } else {
                    "error: the first line must be auth and the token\n"
                };
                return replies;
            }
            let outcome = if too_long {
                Err("command too long".to_string())
            } else {
                self.command(command)
            };
            replies += &match outcome {
                Ok(text) if text.is_empty() => "ok\n".to_string(),
                Ok(text) => format!("ok: {text}\n"),
                Err(text) => cut(format!("error: {text}")) + "\n",
            };
        }
        replies
    }

    fn command(&mut self, command: &[u8]) -> Outcome {
        let unknown = || Err("unknown command".to_string());
        match command {
            b"?" => {
                let forms = COMMANDS.map(|(form, meaning)| form.to_string() + " " + meaning);
                return Ok(forms.join("; ") + "; protocol 1");
            }
            b"s" => return Ok(status_reply()["ok: ".len()..].to_string()),
            b"S" => return Ok(self.sources()),
            b"H" | b"T" | b"Tstop" => return Err("the heap profiler is off".to_string()),
            _ if !b"lLmMT".contains(&command[0]) => return unknown(),
            _ => {}
        }
        let Ok(text) = String::from_utf8(command[1..].to_vec()) else {
            return Err("command is not UTF-8".to_string());
        };
        match command[0] {
            // There is no profiler here. A text that is not a rate is a different error.
            b'T' => match text.parse::<f64>() {
                Ok(rate) if (1e-12..=1.0).contains(&rate) => {
                    Err("the heap profiler is off".to_string())
                }
                _ => Err(format!(
                    "{text:?} is not a sampling rate: want a number from 1e-12 to 1"
                )),
            },
            b'l' => self.show_levels(&text),
            b'L' => self.set_levels(&text),
            b'm' => self.show_metrics(&text),
            _ => self.set_metrics(&text),
        }
    }

    fn level(&self, name: &str) -> &'static str {
        let own = |name: &str| self.levels.iter().find(|(known, _)| known == name)?.1;
        let mut path: Vec<&str> = name.split("::").collect();
        while !path.is_empty() {
            if let Some(level) = own(&path.join("::")) {
                return level;
            }
            path.pop();
        }
        self.default
    }

    fn show_levels(&self, text: &str) -> Outcome {
        let names = self.levels.iter().map(|(name, _)| name.clone());
        let all: Vec<(String, String)> = names
            .map(|name| (name.clone(), self.level(&name).to_string()))
            .collect();
        show(text, self.default, Vec::new(), all)
    }

    fn set_levels(&mut self, text: &str) -> Outcome {
        let mut items = Vec::new();
        for item in text.split(',') {
            let parts: Vec<&str> = item.split(':').collect();
            let (word, target) = parts.split_last().unwrap();
            let target = target.join(":");
            let level = match word.to_ascii_lowercase().as_str() {
                "quiet" | "off" => "quiet",
                "app" => "app",
                "error" => "error",
                "warning" | "warn" => "warning",
                "info" => "info",
                "debug" => "debug",
                "trace" => "trace",
                _ if parts.len() <= 2 => return Err(format!("{word:?}: unknown log level")),
                _ => return Err(format!("Can't parse log threshold: {}", one_line(item))),
            };
            let target = match target.strip_prefix("src:") {
                Some(name) if !name.starts_with(':') => name.to_string(),
                _ => target,
            };
            if target.is_empty() && parts.len() > 1 {
                return Err(format!("Can't parse log threshold: {}", one_line(item)));
            }
            let everyone = parts.len() == 1 || target == "*";
            items.push((if everyone { None } else { Some(target) }, level));
        }
        let mut levels = self.levels.clone();
        for name in items.iter().filter_map(|(name, _)| name.as_ref()) {
            if levels.iter().any(|(known, _)| known == name) {
                continue;
            }
            let above = format!("{name}::");
            // A source that this command names for the first time is not in the table yet.
            if !self
                .levels
                .iter()
                .any(|(known, _)| known.starts_with(&above))
            {
                return Err(format!("unknown source: {}", one_line(name)));
            }
            levels.push((name.clone(), None));
        }
        if items.iter().any(|(name, _)| name.is_none()) {
            levels.iter_mut().for_each(|(_, level)| *level = None);
        }
        for (name, level) in items {
            match name {
                None => self.default = level,
                Some(name) => {
                    let known = levels.iter_mut().find(|(known, _)| *known == name);
                    known.unwrap().1 = Some(level);
                }
            }
        }
        self.levels = levels;
        Ok(String::new())
    }

    fn is_on(&self, at: usize) -> bool {
        let (name, tags, _) = METRICS[at];
        let tag_is_on = |tag: &str| self.tags.iter().flatten().any(|on| on == tag);
        let by_rule = self.all || tags.iter().any(|(tag, _)| tag_is_on(tag));
        self.single.get(name).copied().unwrap_or(by_rule)
    }

    fn state(on: bool) -> String {
        if on { "enabled" } else { "disabled" }.to_string()
    }

    fn show_metrics(&self, text: &str) -> Outcome {
        let of = |at: usize| (METRICS[at].0.to_string(), Self::state(self.is_on(at)));
        let tags = self
            .tags
            .iter()
            .flatten()
            .map(|tag| format!("tag:{tag}:enabled"));
        let all = (0..METRICS.len()).map(of).collect();
        show(text, &Self::state(self.all), tags.collect(), all)
    }

    fn set_metrics(&mut self, text: &str) -> Outcome {
        let (mut all, mut tags, mut sources) = (None, Vec::new(), Vec::new());
        for item in text.split(',') {
            let parts: Vec<&str> = item.split(':').collect();
            let state = |word: &str| match word.to_ascii_lowercase().as_str() {
                "enable" | "on" => Ok(true),
                "disable" | "off" => Ok(false),
                other => {
                    let text = one_line(other);
                    Err(format!("couldn't decode 'enable' or 'disable': {text}"))
                }
            };
            match &parts[..] {
                [en] | ["*", en] => all = Some(state(en)?),
                [name, en] => sources.push((name.to_string(), state(en)?)),
                ["src", name @ .., en] => sources.push((name.join(":"), state(en)?)),
                ["tag", name @ .., en] => tags.push((name.join(":"), state(en)?)),
                _ => return Err(format!("couldn't decode metrics {}", one_line(item))),
            }
        }
        // The error names the first unknown item, in the order of the items.
        for item in text.split(',') {
            let name = item.rsplit_once(':').map_or("*", |(name, _)| name);
            let known = match (name.strip_prefix("src:"), name.strip_prefix("tag:")) {
                (_, Some(tag)) => METRICS
                    .iter()
                    .any(|(_, tags, _)| tags.iter().any(|t| t.0 == tag)),
                (Some(name), _) => METRICS.iter().any(|source| source.0 == name),
                _ => name == "*" || METRICS.iter().any(|source| source.0 == name),
            };
            if !known {
                // Only one prefix is removed: a source may be called `tag:a`.
                let form = ["src:", "tag:"].into_iter();
                let bare = form.filter_map(|form| name.strip_prefix(form)).next();
                let name = bare.unwrap_or(name);
                return Err(format!("unknown source: {}", one_line(name)));
            }
        }
        if let Some(on) = all {
            self.all = on;
            self.single.clear();
            if !on {
                self.tags.clear();
            }
        }
        // The last switch of each tag, in the order in which the tags first appear.
        let mut last: Vec<(String, bool)> = Vec::new();
        for (tag, on) in tags {
            match last.iter_mut().find(|(known, _)| *known == tag) {
                Some(known) => known.1 = on,
                None => last.push((tag, on)),
            }
        }
        for (tag, _) in last.iter().filter(|(_, on)| !on) {
            let place = self.tags.iter_mut().find(|on| on.as_ref() == Some(tag));
            place.into_iter().for_each(|place| *place = None);
        }
        for (tag, _) in last.into_iter().filter(|(_, on)| *on) {
            if !self.tags.contains(&Some(tag.clone())) {
                match self.tags.iter_mut().find(|place| place.is_none()) {
                    Some(gap) => *gap = Some(tag),
                    None => self.tags.push(Some(tag)),
                }
            }
        }
        self.single.extend(sources);
        Ok(String::new())
    }

    fn sources(&self) -> String {
        let one = |at: usize| {
            let (name, tags, unit) = METRICS[at];
            let tags: Vec<&str> = tags.iter().map(|(tag, _)| *tag).collect();
            let (state, tags) = (Self::state(self.is_on(at)), tags.join(","));
            format!("{name}:{state} tags={tags} fields=count:u64:{unit}")
        };
        let all: Vec<String> = (0..METRICS.len()).map(one).collect();
        all.join(";")
    }
}

fn show(text: &str, default: &str, tags: Vec<String>, all: Vec<(String, String)>) -> Outcome {
    let mut shown = Vec::new();
    let wanted: Vec<&str> = text.split(',').collect();
    match text {
        "" => shown.push(format!("*:{default}")),
        "*" => {
            shown.push(format!("*:{default}"));
            shown.extend(tags);
        }
        _ => {
            for name in &wanted {
                if !all.iter().any(|(known, _)| known == name) {
                    return Err(format!("unknown source: {}", one_line(name)));
                }
            }
        }
    }
    for (name, value) in all {
        if match text {
            "" => value != default,
            "*" => true,
            _ => wanted.contains(&name.as_str()),
        } {
            shown.push(format!("{name}:{value}"));
        }
    }
    Ok(shown.join(","))
}

/// Cuts a text that is too long for a reply.
fn cut(mut text: String) -> String {
    const CUT: &str = "…";
    let room = REPLY_MAX - CUT.len() - 1;
    if text.len() > room {
        while text.len() > room {
            text.pop();
        }
        text += CUT;
    }
    text
}

/// Escapes control characters as Rust does, and nothing else.
fn one_line(text: &str) -> String {
    let mut shown = String::new();
    for char in text.chars() {
        if char.is_control() {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    shown
}
