//! Any text as a length of time, as a path, and as a whole file of settings: values are within their bounds, and an error is
//! one line that names one of the file's.

#![no_main]

use std::path::Path;
use std::time::Duration;

use common::config::value::{PathText, Text, count, duration, list};
use common::duration::{parse, parse_limit};
use common::endpoint::Endpoint;
use common::escape::is_unsafe;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;

/// One value of each kind.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    path: Option<Text<PathText>>,
    #[serde(deserialize_with = "count::<1, 9, _>")]
    count: usize,
    #[serde(deserialize_with = "duration::<100, 60_000, _>")]
    time: Duration,
    #[serde(deserialize_with = "list::<3, _, _>")]
    list: Vec<Endpoint>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { path: None, count: 1, time: Duration::from_millis(100), list: Vec::new() }
    }
}

fuzz_target!(|text: &str| {
    if let Ok(time) = parse(text) {
        // What counts milliseconds counts these, and a limit is never 0.
        assert!(time.as_millis() <= 1 << 53);
        assert_eq!(parse(&format!("{}ms", time.as_millis())), Ok(time));
        assert_eq!(parse_limit(text).is_ok(), !time.is_zero());
    }
    if let Ok(path) = text.parse::<PathText>() {
        let found = path.resolve(Path::new("/home/ann"));
        assert!(found.is_absolute() && (text.starts_with('/') || found.starts_with("/home/ann")));
    }
    match common::config::parse::<Settings>(text, Path::new("file")) {
        Ok(settings) => {
            assert!((1..=9).contains(&settings.count) && settings.list.len() <= 3);
            assert!((Duration::from_millis(100)..=Duration::from_secs(60)).contains(&settings.time));
        }
        Err(error) => {
            let error = error.to_string();
            assert!(!error.chars().any(is_unsafe), "{error:?}");
            let rest = error.strip_prefix("file:").expect("the file comes first");
            let line: usize =
                rest.split(':').next().and_then(|line| line.parse().ok()).expect("then the line");
            assert!((1..=text.lines().count().max(1)).contains(&line), "{error}");
        }
    }
});
