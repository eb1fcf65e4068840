//! Any text as a target, an endpoint, a signal and a job id; what was parsed is printed so that it parses again.

#![no_main]

use std::fmt::{Debug, Display};
use std::str::FromStr;

use common::endpoint::{Endpoint, Target};
use common::job::{JobId, Signal};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    print_and_parse::<Endpoint>(text);
    print_and_parse::<Signal>(text);
    print_and_parse::<JobId>(text);
    let Ok(Target { user: Some(user), endpoint }) = text.parse() else { return };
    let printed = format!("{user}@{endpoint}");
    // A path may hold an @ of its own.
    if !printed.starts_with("unix:") {
        assert_eq!(printed.parse(), Ok(Target { user: Some(user), endpoint }));
    }
});

fn print_and_parse<T: FromStr<Err: Debug + PartialEq> + Display + Debug + PartialEq>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string().parse(), Ok(value));
    }
}
