//! Drives a headless Chromium by its DevTools protocol over a pipe: without a driver program and without a port.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{DEADLINE, STARTING};

/// The possible names of the program.
const NAMES: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    session: String,
    number: u64,
    /// The address of every request, and every complaint of the page, since it was opened.
    pub requests: Vec<String>,
    pub complaints: Vec<String>,
    _folder: TempDir,
}

/// Returns the browser, if there is one. Under `CI=true` on Debian as root there must be one, because setup installs
/// it.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .flat_map(|folder| NAMES.iter().map(move |name| folder.join(name)))
        .find(|program| program.is_file());
    if found.is_none() {
        let must = std::env::var("CI").is_ok_and(|ci| ci == "true")
            && std::path::Path::new("/etc/debian_version").exists()
            && rustix::process::geteuid().is_root();
        assert!(
            !must,
            "there is no chromium: scripts/setup.sh --tests installs it"
        );
        eprintln!("SKIPPED: there is no chromium; scripts/setup.sh --tests installs it");
    }
    found
}

impl Browser {
    /// Opens an address. Returns `None` if there is no browser here, and says so.
    pub fn open(url: &str, (width, height): (u32, u32)) -> Option<Self> {
        let program = program()?;
        let folder = TempDir::new().unwrap();
        let starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        // The browser reads commands from descriptor 3 and answers on 4.
        let mut child = Command::new("sh")
            .args([
                "-c",
                "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1",
            ])
            .arg(program)
            .args([
                "--headless=new",
                "--remote-debugging-pipe",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--no-first-run",
                "--hide-scrollbars",
            ])
            .arg(format!("--user-data-dir={}", folder.path().display()))
            .arg(format!("--window-size={width},{height}"))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromium starts");
        drop(starting);
        let to = child.stdin.take().unwrap();
        let mut answers = BufReader::new(child.stdout.take().unwrap());
        let (sender, from) = channel();
        thread::spawn(move || {
            let mut message = Vec::new();
            while answers
                .read_until(0, &mut message)
                .is_ok_and(|length| length > 0)
            {
                message.pop();
                drop(sender.send(serde_json::from_slice(&message).unwrap_or_default()));
                message.clear();
            }
        });
        let mut browser = Self {
            child,
            to,
            from,
            session: String::new(),
            number: 0,
            requests: Vec::new(),
            complaints: Vec::new(),
            _folder: folder,
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let session = browser.call(
            "Target.attachToTarget",
            json!({"targetId": target["targetId"], "flatten": true}),
        );
        browser.session = session["sessionId"].as_str().expect("a session").to_owned();
        for domain in ["Page", "Runtime", "Network", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.size(width, height);
        browser.call("Page.navigate", json!({"url": url}));
        Some(browser)
    }

    /// Sends a command of the protocol and returns its result.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let mut command = json!({"id": self.number, "method": method, "params": parameters});
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        self.to
            .write_all(format!("{command}\0").as_bytes())
            .expect("chromium listens");
        loop {
            let message = self
                .from
                .recv_timeout(DEADLINE)
                .unwrap_or_else(|_| panic!("chromium does not answer {method}"));
            if message["id"] == self.number {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.hear(&message);
        }
    }

    fn hear(&mut self, message: &Value) {
        let parameters = &message["params"];
        match message["method"].as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => {
                let url = parameters["request"]["url"].as_str().unwrap_or_default();
                self.requests.push(url.to_owned());
            }
            "Runtime.exceptionThrown" => self.complaints.push(parameters.to_string()),
            "Runtime.consoleAPICalled" if parameters["type"] == "error" => {
                self.complaints.push(parameters.to_string());
            }
            "Log.entryAdded" if parameters["entry"]["level"] == "error" => {
                self.complaints.push(parameters.to_string());
            }
            _ => {}
        }
    }

    /// Returns the value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let result = self.call(
            "Runtime.evaluate",
            json!({"expression": expression, "awaitPromise": true, "returnByValue": true}),
        );
        assert!(
            result["exceptionDetails"].is_null(),
            "{expression}: {result}"
        );
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true in the page.
    pub fn wait_for(&mut self, expression: &str) {
        let seconds = DEADLINE.as_secs() - 5;
        let found = self.value(&format!(
            "new Promise((done) => {{
                const until = Date.now() + {seconds} * 1000;
                const look = () => {{
                    let so = false;
                    try {{ so = Boolean({expression}); }} catch {{}}
                    if (so || Date.now() > until) done(so); else setTimeout(look, 20);
                }};
                look();
            }})"
        ));
        if found != true {
            let text = self.value("document.body.innerText");
            panic!(
                "waited for {expression}; the page says\n{text}\n{:#?}",
                self.complaints
            );
        }
    }

    pub fn size(&mut self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    pub fn dark(&mut self, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let feature = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", feature);
    }

    /// Returns the visible page as PNG.
    pub fn picture(&mut self) -> Vec<u8> {
        use base64::Engine;
        let picture = self.call("Page.captureScreenshot", json!({"format": "png"}));
        base64::engine::general_purpose::STANDARD
            .decode(picture["data"].as_str().expect("a picture"))
            .expect("base64")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
