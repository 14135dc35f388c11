//! The words that can be typed. They come from the image's replies to `?` and `S`, and to `l*` for the log sources.
//!
//! ```text
//! ?    ok: FORM MEANING; …; protocol NUMBER       a form begins with its letter
//! S    ok: NAME:STATE tags=TAG,TAG fields=…;NAME:STATE …
//! l*   ok: *:LEVEL,NAME:LEVEL,NAME:LEVEL…
//! ```

use super::client::{LEVELS, OTHER_LEVELS, text};

/// The words after the colon in `M`.
const STATES: [&str; 4] = ["on", "off", "enable", "disable"];

/// All words that can be typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Words {
    /// First letters of commands, with their meanings.
    pub commands: Vec<(String, String)>,
    /// Names of metrics sources.
    pub metrics: Vec<String>,
    /// Names of tags.
    pub tags: Vec<String>,
    /// Names of log sources.
    pub logs: Vec<String>,
    /// Levels in the reply to `l*`, beside the known ones.
    levels: Vec<String>,
}

impl Words {
    /// Reads the replies to `?`, `S` and `l*`. A reply that is an error or not understood gives no words.
    pub(crate) fn of(help: &str, sources: &str, levels: &str) -> Self {
        let mut words = Self::default();
        for item in text(help).unwrap_or_default().split("; ") {
            // The protocol's version ends the reply.
            if let Some((form, meaning)) = item.split_once(' ')
                && form != "protocol"
            {
                words.commands.push((form.to_owned(), meaning.to_owned()));
            }
        }
        for source in text(sources).unwrap_or_default().split(';') {
            let Some((name, rest)) = source.split_once(" tags=") else {
                continue;
            };
            let name = name.rsplit_once(':').map_or(name, |(name, _)| name);
            words.metrics.push(name.to_owned());
            let tags = rest.split(' ').next().unwrap_or_default();
            words.tags.extend(
                tags.split(',')
                    .filter(|tag| !tag.is_empty())
                    .map(str::to_owned),
            );
        }
        for item in text(levels).unwrap_or_default().split(',') {
            if let Some((name, level)) = item.rsplit_once(':') {
                words.logs.push(name.to_owned());
                words.levels.push(level.to_owned());
            }
        }
        words.logs.retain(|name| name != "*");
        words.tags.sort_unstable();
        words.tags.dedup();
        let known = LEVELS.into_iter().chain(OTHER_LEVELS);
        words.levels.extend(known.map(str::to_owned));
        words.levels.sort_unstable();
        words.levels.dedup();
        words
    }

    /// Returns the words that can be at the end of a line, and the position at which that word begins.
    pub(crate) fn complete(&self, line: &str) -> (usize, Vec<String>) {
        let Some(letter) = line.chars().next() else {
            let letters = self.commands.iter().filter_map(|(form, _)| form.get(..1));
            let mut letters: Vec<String> = letters.map(str::to_owned).collect();
            letters.dedup();
            return (0, letters);
        };
        // A command is a letter and a list; an item of a list is a name, or a name, a colon and a value.
        let start = line.rfind(',').map_or(letter.len_utf8(), |comma| comma + 1);
        let item = &line[start..];
        let (start, begin, words): (usize, &str, Vec<&str>) = match (letter, item.rsplit_once(':'))
        {
            ('L', Some((name, value))) => (start + name.len() + 1, value, texts(&self.levels)),
            ('M', Some(("tag", value))) => (start + 4, value, texts(&self.tags)),
            ('M', Some((name, value))) => (start + name.len() + 1, value, STATES.to_vec()),
            ('L', None) => (start, item, [&["*"], &*texts(&self.logs)].concat()),
            ('l', None) => (start, item, texts(&self.logs)),
            ('M', None) => (
                start,
                item,
                [&["*", "tag:"], &*texts(&self.metrics)].concat(),
            ),
            ('m', None) => (start, item, texts(&self.metrics)),
            _ => (line.len(), "", Vec::new()),
        };
        let words = words.into_iter().filter(|word| word.starts_with(begin));
        (start, words.map(str::to_owned).collect())
    }
}

fn texts(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words {
        Words::of(
            "ok: ? this help; s status; S sources; l default log level; l* all; LA:LEVEL,*:LEVEL set log levels; m metrics; MA:on,tag:T:off,*:on switch metrics; protocol 1",
            "ok: memory:enabled tags=vm fields=live_bytes:integer:B;net-virtio:disabled tags=vm,nic fields=",
            "ok: *:info,dns:debug,http server:verbose",
        )
    }

    #[test]
    fn words_come_from_the_images_replies() {
        let words = words();
        assert_eq!(words.commands[0], ("?".to_owned(), "this help".to_owned()));
        assert_eq!(words.metrics, ["memory", "net-virtio"]);
        assert_eq!(words.tags, ["nic", "vm"]);
        assert_eq!(words.logs, ["dns", "http server"]);
    }

    #[test]
    fn the_word_at_the_end_of_the_line_is_completed() {
        let words = words();
        for (line, start, want) in [
            ("", 0, &["?", "s", "S", "l", "L", "m", "M"][..]),
            ("L", 1, &["*", "dns", "http server"]),
            ("Ld", 1, &["dns"]),
            ("Ldns:d", 5, &["debug"]),
            ("Ldns:t", 5, &["trace"]),
            ("Ldns:a", 5, &["app"]),
            ("Ldns:w", 5, &["warn", "warning"]),
            ("Ldns:v", 5, &["verbose"]),
            ("L*:info,h", 8, &["http server"]),
            ("ldns,", 5, &["dns", "http server"]),
            ("Mm", 1, &["memory"]),
            ("Mmemory:o", 8, &["on", "off"]),
            ("Mtag:n", 5, &["nic"]),
            ("Mtag:nic:of", 9, &["off"]),
            ("mn", 1, &["net-virtio"]),
            ("s", 1, &[]),
            ("é", 2, &[]),
        ] {
            let want: Vec<String> = want.iter().map(|&word| word.to_owned()).collect();
            assert_eq!(words.complete(line), (start, want), "{line:?}");
        }
    }

    #[test]
    fn replies_that_are_no_lists_give_no_words() {
        let none = Words::of("error: unknown command", "error: auth", "");
        assert!(none.commands.is_empty() && none.metrics.is_empty() && none.logs.is_empty());
    }
}
