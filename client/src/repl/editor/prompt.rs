//! What stands to the left of the line. Pure: what it is made of goes in, a text for the terminal comes out. Whatever
//! the server has said is escaped.

use std::env;
use std::time::Duration;

use common::escape::escape;

use crate::config::{Part, PromptFormat, Value};

/// A command that took no longer needs no word about it.
const LONG: Duration = Duration::from_secs(2);

/// Most characters of a directory; of a longer one the end is shown.
const DIRECTORY_MAX: usize = 200;

/// What is known of a session at the prompt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PromptData {
    /// Who the commands run as; `None` if that is not known.
    pub(crate) user: Option<String>,
    /// What the local user calls the server.
    pub(crate) host: String,
    /// The directory on the server, as the system there names it.
    pub(crate) directory: Vec<u8>,
    /// What is shown as `~`, if that is known.
    pub(crate) home: Option<Vec<u8>>,
    /// Exit code of the last command.
    pub(crate) status: u8,
    /// How long the last command took, if there was one.
    pub(crate) took: Option<Duration>,
    /// Whether there is no connection now.
    pub(crate) is_down: bool,
}

/// Whether the terminal may get colours, and other things than text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    /// Colours.
    pub(crate) colour: bool,
    /// A terminal that is only written to: no suggestions, no colours.
    pub(crate) dumb: bool,
}

impl Style {
    /// What the user's settings and environment allow: `NO_COLOR`, `TERM`.
    pub(crate) fn choose(wanted: bool) -> Self {
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_none_or(|kind| kind.is_empty() || kind == "dumb");
        Self { colour: wanted && !refused && !dumb, dumb }
    }
}

/// The prompt.
pub(crate) fn render(data: &PromptData, format: &PromptFormat, style: &Style) -> String {
    let mut prompt = String::new();
    let mut is_behind_nobody = false;
    for part in format.parts() {
        match part {
            // A user that is not known takes the sign behind along.
            Part::Text(text) if is_behind_nobody => prompt.push_str(text.strip_prefix('@').unwrap_or(text)),
            Part::Text(text) => prompt.push_str(text),
            Part::Value(value) => push(&mut prompt, *value, data, *style),
        }
        is_behind_nobody = *part == Part::Value(Value::User) && data.user.is_none();
    }
    prompt
}

fn push(prompt: &mut String, value: Value, data: &PromptData, style: Style) {
    let colour = match value {
        Value::User | Value::Host => "36",
        Value::Directory => "34",
        Value::Status => "31",
        Value::Time | Value::Line => "33",
        Value::Notes => return push_notes(prompt, data, style),
        Value::Sign if data.status == 0 => "32",
        Value::Sign => "31",
    };
    paint(prompt, colour, &text(value, data), style);
}

/// What is worth a word, in brackets.
fn push_notes(prompt: &mut String, data: &PromptData, style: Style) {
    let mut begin = "[";
    for value in [Value::Status, Value::Time, Value::Line] {
        if !text(value, data).is_empty() {
            prompt.push_str(begin);
            push(prompt, value, data, style);
            begin = ", ";
        }
    }
    if begin != "[" {
        prompt.push_str("] ");
    }
}

fn text(value: Value, data: &PromptData) -> String {
    match value {
        Value::User => escape(data.user.as_deref().unwrap_or_default()).into_owned(),
        Value::Host => escape(&data.host).into_owned(),
        Value::Directory => directory(data),
        Value::Status if data.status != 0 => data.status.to_string(),
        Value::Time => data.took.filter(|took| *took > LONG).map(time).unwrap_or_default(),
        Value::Line if data.is_down => "line down".to_owned(),
        Value::Sign => "$".to_owned(),
        Value::Status | Value::Line | Value::Notes => String::new(),
    }
}

fn paint(prompt: &mut String, colour: &str, text: &str, style: Style) {
    if style.colour && !text.is_empty() {
        prompt.extend(["\x1b[", colour, "m", text, "\x1b[0m"]);
    } else {
        prompt.push_str(text);
    }
}

fn directory(data: &PromptData) -> String {
    let home = data.home.as_deref().filter(|home| home.len() > 1);
    let below = home.and_then(|home| data.directory.strip_prefix(home));
    let shown = match below {
        Some(below) if below.is_empty() || below.starts_with(b"/") => [b"~", below].concat(),
        _ => data.directory.clone(),
    };
    let shown = String::from_utf8_lossy(&shown);
    let shown = escape(&shown);
    let length = shown.chars().count();
    if length <= DIRECTORY_MAX {
        return shown.into_owned();
    }
    let mut end: String = shown.chars().skip(length - DIRECTORY_MAX + 1).collect();
    end.insert(0, '…');
    end
}

/// A length of time as a person says it.
fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PromptSettings;

    const PLAIN: Style = Style { colour: false, dumb: false };

    fn data() -> PromptData {
        PromptData {
            user: Some("ann".to_owned()),
            host: "db1".to_owned(),
            directory: b"/home/ann/x".to_vec(),
            home: Some(b"/home/ann".to_vec()),
            ..PromptData::default()
        }
    }

    fn shown(data: &PromptData) -> String {
        render(data, &PromptSettings::default().format, &PLAIN)
    }

    #[test]
    fn it_says_who_and_where() {
        assert_eq!(shown(&data()), "ann@db1:~/x$ ");
        assert_eq!(shown(&PromptData { home: None, ..data() }), "ann@db1:/home/ann/x$ ");
        assert_eq!(shown(&PromptData { user: None, ..data() }), "db1:~/x$ ");
        for (directory, expected) in [("/home/ann", "~"), ("/home/anne", "/home/anne"), ("/", "/")] {
            let data = PromptData { directory: directory.into(), ..data() };
            assert_eq!(shown(&data), format!("ann@db1:{expected}$ "));
        }
    }

    #[test]
    fn it_says_what_is_out_of_the_ordinary() {
        let took = |ms| Some(Duration::from_millis(ms));
        assert_eq!(shown(&PromptData { status: 3, ..data() }), "[3] ann@db1:~/x$ ");
        assert_eq!(shown(&PromptData { took: took(2000), ..data() }), "ann@db1:~/x$ ");
        assert_eq!(shown(&PromptData { took: took(2140), ..data() }), "[2.1 s] ann@db1:~/x$ ");
        assert_eq!(shown(&PromptData { took: took(65_000), ..data() }), "[1 min 5 s] ann@db1:~/x$ ");
        let all = PromptData { status: 130, took: took(7_500_000), is_down: true, ..data() };
        assert_eq!(shown(&all), "[130, 2 h 5 min, line down] ann@db1:~/x$ ");
    }

    #[test]
    fn what_the_server_says_is_escaped() {
        let evil = PromptData {
            user: Some("a\x1b[2J".to_owned()),
            directory: b"/\x1b]0;x\x07\xff\n".to_vec(),
            ..data()
        };
        assert_eq!(shown(&evil), "a\\x1b[2J@db1:/\\x1b]0;x\\x07\u{fffd}\\x0a$ ");
        let long = PromptData { directory: vec![b'd'; 4096], ..data() };
        assert!(shown(&long).len() < 300);
    }

    #[test]
    fn colours_tell_the_outcome() {
        let style = Style { colour: true, dumb: false };
        let format = "{sign}{status} {directory}".parse().unwrap();
        assert_eq!(render(&data(), &format, &style), "\x1b[32m$\x1b[0m \x1b[34m~/x\x1b[0m");
        let failed = PromptData { status: 1, ..data() };
        assert_eq!(render(&failed, &format, &style), "\x1b[31m$\x1b[0m\x1b[31m1\x1b[0m \x1b[34m~/x\x1b[0m");
        assert_eq!(render(&failed, &format, &PLAIN), "$1 ~/x");
    }
}
