//! Values of configuration files that TOML has no type for: checked where they are read, so that errors know the line.
//!
//! Functions of the form that serde's `deserialize_with` takes, and types that can stand in a list.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use thiserror::Error;

use crate::duration;

/// A value written as a string, in the form of its [`FromStr`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text<T>(pub T);

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The parser adds the line of an item of a list only to what a visitor says.
        deserializer.deserialize_str(TextVisitor(PhantomData))
    }
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: FromStr<Err: Display>> Visitor<'_> for TextVisitor<T> {
    type Value = Text<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Text<T>, E> {
        text.parse().map(Text).map_err(E::custom)
    }
}

/// A path that means the same in every directory: absolute, or beginning with `~/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathText(String);

impl PathText {
    /// The path itself.
    pub fn resolve(&self, home: &Path) -> PathBuf {
        self.0.strip_prefix("~/").map_or_else(|| PathBuf::from(&self.0), |rest| home.join(rest))
    }
}

impl FromStr for PathText {
    type Err = PathTextError;

    fn from_str(text: &str) -> Result<Self, PathTextError> {
        // `~//etc` would join to `/etc`.
        let is_anchored =
            text.starts_with('/') || text.strip_prefix("~/").is_some_and(|rest| !rest.starts_with('/'));
        if is_anchored && !text.contains('\0') {
            Ok(Self(text.to_owned()))
        } else {
            Err(PathTextError(text.to_owned()))
        }
    }
}

/// A text that names no path, or another one in every directory. The fault of whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a path that begins with / or ~/: {0:?}")]
pub struct PathTextError(String);

/// A whole number from `MIN` to `MAX`.
///
/// # Errors
/// Whatever else it is.
pub fn count<'de, const MIN: usize, const MAX: usize, D>(deserializer: D) -> Result<usize, D::Error>
where
    D: Deserializer<'de>,
{
    let number = i128::deserialize(deserializer)?;
    usize::try_from(number)
        .ok()
        .filter(|number| (MIN..=MAX).contains(number))
        .ok_or_else(|| D::Error::custom(format_args!("{number} is not a number from {MIN} to {MAX}")))
}

/// A length of time from `MIN` to `MAX` milliseconds, as [`crate::duration`] reads it.
///
/// # Errors
/// Whatever else it is.
pub fn duration<'de, const MIN: u64, const MAX: u64, D>(deserializer: D) -> Result<Duration, D::Error>
where
    D: Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    let (min, max) = (Duration::from_millis(MIN), Duration::from_millis(MAX));
    duration::parse(&text).ok().filter(|found| (min..=max).contains(found)).ok_or_else(|| {
        let bounds = format_args!("from {} to {}", duration::shown(min), duration::shown(max));
        D::Error::custom(format_args!("{text:?} is not a time {bounds} (write 500ms, 30s, 2m, 1h)"))
    })
}

/// A list of at most `MAX` items.
///
/// # Errors
/// A longer one, or what an item's own type refuses.
pub fn list<'de, const MAX: usize, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    let items = Vec::<Text<T>>::deserialize(deserializer)?;
    if items.len() > MAX {
        return Err(D::Error::custom(format_args!("{} items, at most {MAX}", items.len())));
    }
    Ok(items.into_iter().map(|Text(item)| item).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;
    use crate::endpoint::Endpoint;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        path: Option<Text<PathText>>,
        #[serde(default, deserialize_with = "count::<1, 9, _>")]
        count: usize,
        #[serde(default, deserialize_with = "duration::<100, 60_000, _>")]
        time: Duration,
        #[serde(default, deserialize_with = "list::<3, _, _>")]
        list: Vec<Endpoint>,
    }

    fn sample(text: &str) -> Result<Sample, String> {
        parse(text, Path::new("f")).map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_what_they_say() {
        let found = sample("path = '~/a/b'\ncount = 9\ntime = '1.5s'\nlist = ['unix:/s', 'db1']").unwrap();
        assert_eq!(found.path.unwrap().0.resolve(Path::new("/h")), Path::new("/h/a/b"));
        assert_eq!((found.count, found.time), (9, Duration::from_millis(1500)));
        assert_eq!(found.list, ["unix:/s".parse().unwrap(), "db1:9000".parse().unwrap()]);
        let Text(absolute) = sample("path = '/a'").unwrap().path.unwrap();
        assert_eq!(absolute.resolve(Path::new("/h")), Path::new("/a"));
    }

    #[test]
    fn what_is_refused_is_named_with_its_line() {
        let path = |text| format!("f:2: not a path that begins with / or ~/: {text:?}");
        let time = |text| format!("f:2: {text:?} is not a time from 100ms to 1m (write 500ms, 30s, 2m, 1h)");
        let huge = "9".repeat(30);
        let rows = [
            (&*format!("count = {huge}"), format!("f:2: {huge} is not a number from 1 to 9")),
            ("path = 'a'", path("a")),
            ("path = ''", path("")),
            ("path = '~'", path("~")),
            ("path = '~ann/a'", path("~ann/a")),
            ("path = '~//etc'", path("~//etc")),
            ("path = \"/a\\u0000\"", path("/a\0")),
            ("count = 0", "f:2: 0 is not a number from 1 to 9".to_owned()),
            ("count = -1", "f:2: -1 is not a number from 1 to 9".to_owned()),
            ("count = 10", "f:2: 10 is not a number from 1 to 9".to_owned()),
            ("time = '0s'", time("0s")),
            ("time = '2h'", time("2h")),
            ("time = '5x'", time("5x")),
            ("list = ['a','b','c','d']", "f:2: 4 items, at most 3".to_owned()),
        ];
        for (text, expected) in rows {
            assert_eq!(sample(&format!("\n{text}\n")).unwrap_err(), expected);
        }
        let text = sample("list = [\n 'db1',\n 'a b',\n]").unwrap_err();
        assert!(text.starts_with("f:3: not a host: \"a b\""), "{text}");
    }
}
