//! Endpoints, targets, signals and job ids as people write them: what is printed parses to itself, and what is
//! wrong is refused for what is wrong with it.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::path::PathBuf;

use common::endpoint::{DEFAULT_PORT, Endpoint, EndpointError, Target};
use common::job::{JobId, JobIdError, Signal};
use proptest::prelude::*;

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let host = prop_oneof![
        // Digits alone are a port without a host.
        "[0-9]{0,3}[a-z][a-z0-9.-]{0,30}",
        any::<std::net::Ipv4Addr>().prop_map(|address| address.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|address| address.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|address| format!("{address}%eth0")),
    ];
    prop_oneof![
        3 => (host, any::<u16>()).prop_map(|(host, port)| Endpoint::Tcp { host, port }),
        1 => "/[ -~]{0,40}".prop_map(|path| Endpoint::Unix(PathBuf::from(path))),
    ]
}

fn job_id() -> impl Strategy<Value = JobId> {
    prop_oneof!["[!-~]{1,64}", "[ä-ž]{1,32}", "[\u{1F600}-\u{1F64F}]{1,16}"]
        .prop_map(|id| id.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_endpoint_parses_from_its_text(endpoint in endpoint()) {
        prop_assert_eq!(endpoint.to_string().parse::<Endpoint>(), Ok(endpoint.clone()));
    }

    #[test]
    fn every_target_parses_from_its_text(user in prop::option::of("[!-?A-~]{1,255}"), endpoint in endpoint()) {
        // A path after "unix:" may hold an @, so only a target with a user says which @ is which.
        let text = user.iter().map(|user| format!("{user}@")).chain([endpoint.to_string()]).collect::<String>();
        prop_assume!(!text.starts_with("unix:") || user.is_none());
        prop_assert_eq!(text.parse::<Target>(), Ok(Target { user, endpoint }));
    }

    #[test]
    fn every_job_id_parses_from_its_text(id in job_id()) {
        prop_assert_eq!(id.to_string().parse::<JobId>(), Ok(id.clone()));
        prop_assert_eq!(id.to_string(), id.as_str());
    }

    #[test]
    fn whatever_parses_as_an_endpoint_is_printed_as_one(text in "(unix:)?[/\\[a-f%:.0-9\\]@x+]{0,12}") {
        if let Ok(endpoint) = text.parse::<Endpoint>() {
            prop_assert_eq!(endpoint.to_string().parse::<Endpoint>(), Ok(endpoint));
        }
    }
}

#[test]
fn every_signal_parses_from_its_name_and_its_number() {
    for number in 1..=64 {
        let signal = Signal::from_number(number).unwrap();
        assert_eq!(signal.number(), number);
        for text in [signal.to_string(), number.to_string()] {
            assert_eq!(text.parse::<Signal>().unwrap(), signal, "{text}");
        }
        if number.to_string() != signal.to_string() {
            let with_prefix = format!("sig{}", signal.to_string().to_lowercase());
            assert_eq!(with_prefix.parse::<Signal>().unwrap(), signal, "{with_prefix}");
        }
    }
}

#[test]
fn short_forms_of_endpoints_mean_what_people_mean() {
    let tcp = |host: &str, port| Endpoint::Tcp { host: host.to_owned(), port };
    let table = [
        ("host", tcp("host", DEFAULT_PORT)),
        ("host:1", tcp("host", 1)),
        ("10.0.0.1:22", tcp("10.0.0.1", 22)),
        ("::1", tcp("::1", DEFAULT_PORT)),
        ("[::1]", tcp("::1", DEFAULT_PORT)),
        ("[fe80::1%eth0]:80", tcp("fe80::1%eth0", 80)),
        ("unix:/run/a@b", Endpoint::Unix("/run/a@b".into())),
    ];
    for (text, endpoint) in table {
        assert_eq!(text.parse::<Endpoint>().as_ref(), Ok(&endpoint), "{text}");
        assert_eq!(text.parse::<Target>(), Ok(Target::from(endpoint)), "{text}");
    }
}

#[test]
fn texts_at_the_edge_of_what_parses_are_printed_so_that_they_parse_again() {
    for text in
        ["unix", "unix:/", "[::1%]:0", "[::1%[]:0", "a]", "a%b", "a@b", "UNIX:1", "host:0", "::ffff:1.2.3.4"]
    {
        let Ok(endpoint) = text.parse::<Endpoint>() else { continue };
        assert_eq!(endpoint.to_string().parse(), Ok(endpoint), "{text}");
    }
}

/// The error that refuses a text.
type Refusal = fn(String) -> EndpointError;

#[test]
fn bad_endpoints_are_refused_for_what_is_wrong_with_them() {
    let host = |text: String| EndpointError::Host { text };
    let port = |text: String| EndpointError::Port { text };
    let user = |text: String| EndpointError::User { text };
    let path = |text: String| EndpointError::RelativePath { text };
    let no_host = |text: String| EndpointError::NoHost { text };
    let table: [(&str, Refusal); 24] = [
        ("5000", no_host),
        ("0", no_host),
        ("user@5000", |_| EndpointError::NoHost { text: "5000".to_owned() }),
        ("5000:9000", no_host),
        ("telex://db1:9000/key/token", |_| EndpointError::Invitation),
        ("", host),
        (":9000", host),
        ("a b", host),
        ("a/b:1", host),
        ("a\n", host),
        ("a\u{7f}", host),
        ("1:2:3", host),
        ("fe80::1%eth0", host),
        ("[::1", host),
        ("[::1]9000", host),
        ("[host]:9000", host),
        ("host:", port),
        ("host:65536", port),
        ("host:-1", port),
        ("host:http", port),
        ("[::1]:", port),
        ("@host", user),
        ("unix:", path),
        ("unix:run/x", path),
    ];
    for (text, error) in table {
        assert_eq!(text.parse::<Target>(), Err(error(text.to_owned())), "{text:?}");
    }
    let long = format!("{}@host", "u".repeat(256));
    assert_eq!(long.parse::<Target>(), Err(user(long)));
}

#[test]
fn bad_signals_and_job_ids_are_refused() {
    for text in
        ["", "0", "65", "-9", "256", "SIG", "SIG9", "TERMINATE", "RTMIN+31", "RTMIN+", "RTMIN-1", " TERM"]
    {
        assert!(text.parse::<Signal>().is_err(), "{text:?}");
    }
    let table = [
        (String::new(), JobIdError::Length { length: 0 }),
        ("x".repeat(65), JobIdError::Length { length: 65 }),
        ("é".repeat(33), JobIdError::Length { length: 66 }),
        ("a b".into(), JobIdError::Character),
        ("a\u{a0}b".into(), JobIdError::Character),
        ("a\0".into(), JobIdError::Character),
        ("\u{85}".into(), JobIdError::Character),
    ];
    for (text, error) in table {
        assert_eq!(text.parse::<JobId>(), Err(error), "{text:?}");
    }
    assert_ne!(JobId::random().unwrap(), JobId::random().unwrap());
}
