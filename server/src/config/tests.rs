//! Settings from text, and which file counts.

use std::time::Duration;

use super::*;
use crate::logging::{LogFormat, LogLevel};

fn places() -> Places {
    Places { config: "/c/telex".into(), state: "/s/telex".into(), home: "/h".into() }
}

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("server.toml"), &places()).map_err(|error| error.to_string())
}

#[test]
fn an_empty_file_means_the_defaults() {
    let config = parse("# nothing\n").unwrap();
    assert_eq!(config, Config { file: Some("server.toml".into()), ..Config::defaults(&places()) });
    assert!(config.listen.is_empty());
    assert_eq!(config.paths.host_key, Path::new("/c/telex/host_key"));
    assert_eq!(config.paths.authorized_keys, Path::new("/c/telex/authorized_keys"));
    assert_eq!(config.paths.revoked_keys, Path::new("/c/telex/revoked_keys"));
    assert_eq!(config.paths.state_directory, Path::new("/s/telex"));
    assert_eq!(config.jobs.directory, Path::new("/s/telex/jobs"));
    assert_eq!((config.limits.unauthenticated, config.limits.unauthenticated_per_source), (256, 8));
    assert_eq!(config.penalties.violation, Duration::from_secs(30));
    assert!(config.penalties.enabled && config.audit.commands && !config.audit.sync);
    assert_eq!(config.audit.to, AuditDestination::Stderr);
    assert_eq!(config.audit.on_failure, OnFailure::Refuse);
}

#[test]
fn every_key_has_its_effect() {
    let text = r#"
        listen = ["127.0.0.1:9000", "unix:/run/telex.sock"]
        address = "db1.example"
        host_key = "/etc/telex/host_key"
        authorized_keys = "~/keys"
        revoked_keys = "~/revoked"
        state_directory = "/var/lib/telex"

        [limits]
        unauthenticated = 1
        unauthenticated_per_source = 2
        connections = 65536
        client_hello_timeout = "500ms"
        login_timeout = "2m"
        exempt = ["192.0.2.0/24", "::1"]

        [penalties]
        enabled = false
        auth_failure = "0s"
        no_authentication = "2s"
        timeout = "3s"
        violation = "10m"

        [jobs]
        directory = "~/jobs"
        max_grace = "10s"
        keep = false
        max_time = "1h"
        administrators = ["local"]

        [log]
        format = "json"
        level = "debug"

        [audit]
        to = "~/audit.log"
        commands = false
        on_failure = "continue"
        sync = true
    "#;
    let expected = Config {
        file: Some("server.toml".into()),
        listen: vec!["127.0.0.1:9000".parse().unwrap(), "unix:/run/telex.sock".parse().unwrap()],
        address: Some("db1.example:9000".parse().unwrap()),
        paths: Paths {
            host_key: "/etc/telex/host_key".into(),
            authorized_keys: "/h/keys".into(),
            revoked_keys: "/h/revoked".into(),
            revoked_keys_named: true,
            state_directory: "/var/lib/telex".into(),
        },
        limits: LimitSettings {
            unauthenticated: 1,
            unauthenticated_per_source: 2,
            connections: 65_536,
            client_hello_timeout: Duration::from_millis(500),
            login_timeout: Duration::from_secs(120),
            exempt: vec!["192.0.2.0/24".parse().unwrap(), "::1".parse().unwrap()],
        },
        penalties: PenaltySettings {
            enabled: false,
            auth_failure: Duration::ZERO,
            no_authentication: Duration::from_secs(2),
            timeout: Duration::from_secs(3),
            violation: Duration::from_secs(600),
        },
        jobs: JobSettings {
            directory: "/h/jobs".into(),
            max_grace: Duration::from_secs(10),
            keep: false,
            max_time: Some(Duration::from_secs(3600)),
            administrators: vec!["local".parse().unwrap()],
        },
        log: LogSettings { format: LogFormat::Json, level: LogLevel::Debug },
        audit: AuditSettings {
            to: AuditDestination::File("/h/audit.log".into()),
            commands: false,
            on_failure: OnFailure::Continue,
            sync: true,
        },
    };
    assert_eq!(parse(text), Ok(expected));
}

#[test]
fn jobs_follow_the_state_directory_unless_they_have_their_own() {
    let directory = |text: &str| parse(text).unwrap().jobs.directory;
    assert_eq!(directory("state_directory = '/var/lib/telex'"), Path::new("/var/lib/telex/jobs"));
    let both = "state_directory = '/var/lib/telex'\njobs.directory = '/srv/jobs'";
    assert_eq!(directory(both), Path::new("/srv/jobs"));
    let changed = parse(both).unwrap();
    let keys: Vec<_> = changed.fixed_changes(&parse("").unwrap()).collect();
    assert_eq!(keys, ["state_directory", "[jobs] directory"]);
}

#[test]
fn what_is_wrong_is_said_with_file_and_line() {
    let rows = [
        ("lisen = []", "unknown key `lisen`; did you mean `listen`?"),
        ("[limit]", "unknown key `limit`; did you mean `limits`?"),
        ("limits.conections = 1", "unknown key `conections`; did you mean `connections`?"),
        (
            "listen = 'db1'",
            "listen: \"db1\" is not a list in brackets; \
             for example: listen = [\"127.0.0.1:9000\", \"unix:/run/user/1000/telex.sock\"]",
        ),
        ("address = 5", "address: 5 is not a string in quotes; for example: address = \"db1.example:9000\""),
        (
            "host_key = 'key'",
            "host_key: not a path that begins with / or ~/: \"key\"; \
             for example: host_key = \"/etc/telex/host_key\"",
        ),
        ("limits = 5", "limits: 5 is not a table of keys; for example: [limits]"),
        (
            "[limits]\nconnections = 0",
            "limits.connections: 0 is not a number from 1 to 65536; for example: connections = 16384",
        ),
        (
            "[limits]\nconnections = '1'",
            "limits.connections: \"1\" is not a whole number; for example: connections = 16384",
        ),
        (
            "[limits]\nlogin_timeout = '0s'",
            "limits.login_timeout: \"0s\" is not a time from 100ms to 1h (write 500ms, 30s, 2m, 1h); \
             for example: login_timeout = \"30s\"",
        ),
        (
            "[limits]\nlogin_timeout = 5",
            "limits.login_timeout: 5 is not a string in quotes; for example: login_timeout = \"30s\"",
        ),
        (
            "[limits]\nexempt = ['192.0.2.1/24']",
            "limits.exempt: 192.0.2.1/24 has bits set behind its prefix (write 192.0.2.0/24, or 192.0.2.1 for \
             one address); for example: exempt = [\"192.0.2.0/24\", \"2001:db8::/32\"]",
        ),
        (
            "[penalties]\ntimeout = '11m'",
            "penalties.timeout: \"11m\" is not a time from 0s to 10m (write 500ms, 30s, 2m, 1h); \
             for example: timeout = \"10s\"",
        ),
        (
            "[penalties]\nenabled = 1",
            "penalties.enabled: 1 is not true or false; for example: enabled = true",
        ),
        (
            "[jobs]\nadministrators = ['ann']",
            "jobs.administrators: neither \"local\" nor a key's fingerprint, as `server keys` prints it; \
             for example: administrators = [\"local\", \"SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU\"]",
        ),
        (
            "[log]\nformat = 'jsn'",
            "log.format: unknown value `jsn`; write one of: text, json; for example: format = \"text\"",
        ),
        ("[log]\nlevel = 7", "log.level: not a string in quotes; for example: level = \"info\""),
        (
            "[audit]\nto = 'file'",
            "audit.to: neither \"stderr\" nor \"off\" nor a path that begins with / or ~/: \"file\"; \
             for example: to = \"/var/log/telex/audit.log\"",
        ),
    ];
    for (text, message) in rows {
        let line = 2 + text.matches('\n').count();
        assert_eq!(parse(&format!("\n{text}\n\n")), Err(format!("server.toml:{line}: {message}")));
    }
}

const SECTIONS: [&str; 6] = ["", "limits.", "penalties.", "jobs.", "log.", "audit."];

/// The keys that the server knows in a section.
fn known_keys(section: &str) -> Vec<String> {
    let message = parse(&format!("{section}no-such-key-anywhere = 1")).unwrap_err();
    message.split_once("known here: ").unwrap().1.split(", ").map(str::to_owned).collect()
}

#[test]
fn the_page_for_operators_has_every_key_with_its_default() {
    let page = include_str!("../../../docs/config.md");
    for section in SECTIONS {
        let header = match section.strip_suffix('.') {
            None => "| key | default |".to_owned(),
            Some(name) => format!("| key in `[{name}]` | default |"),
        };
        let table = page.split_once(&header).unwrap().1.split("\n\n").next().unwrap();
        let rows: Vec<Vec<&str>> = table.lines().skip(2).map(|row| row.split(" | ").collect()).collect();
        let keys: Vec<&str> = rows.iter().map(|row| row[0].trim_matches(['|', ' ', '`'])).collect();
        let known = known_keys(section);
        let sections = SECTIONS.map(|section| section.trim_end_matches('.'));
        let known: Vec<&str> =
            known.iter().map(String::as_str).filter(|key| !sections.contains(key)).collect();
        assert_eq!(keys, known, "{section}");
        // What is written there is what holds without it.
        let with_default = |(_, row): &(_, &Vec<&str>)| !section.is_empty() && row[1] != "none";
        for (key, row) in keys.iter().zip(&rows).filter(with_default) {
            let text = format!("{section}{key} = {}", row[1].trim_matches('`').replace("STATE", "/s/telex"));
            let set = Config { file: None, ..parse(&text).unwrap() };
            assert_eq!(set, Config::defaults(&places()), "{text}");
        }
    }
}

#[test]
fn the_example_has_every_key_and_values_that_are_right() {
    parse(EXAMPLE).unwrap();
    let mut keys = 0;
    for section in SECTIONS {
        for key in known_keys(section) {
            keys += 1;
            // No key has a date for its value.
            let message = parse(&format!("{section}{key} = 2026-01-01")).unwrap_err();
            assert!(message.starts_with(&format!("server.toml:1: {section}{key}: ")), "{message}");
            assert!(message.contains("; for example: "), "{message}");
        }
    }
    assert_eq!(keys, EXAMPLE.lines().filter(|line| line.starts_with('[') || line.contains(" = ")).count());
}

#[test]
fn the_named_file_counts_and_else_the_first_that_exists() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let (user, system) = (file("user.toml"), file("system.toml"));
    let load = |named: Option<&Path>| {
        let places = Places { home: directory.path().to_owned(), ..places() };
        let config = Config::load_first(named, &[&user, &system], &places)?;
        Ok::<_, ConfigError>(config.limits.connections)
    };
    assert_eq!(load(None).unwrap(), LimitSettings::default().connections);
    std::fs::write(&system, "limits.connections = 1").unwrap();
    assert_eq!(load(None).unwrap(), 1);
    std::fs::write(&user, "limits.connections = 2").unwrap();
    assert_eq!(load(None).unwrap(), 2);
    assert_eq!(load(Some(&system)).unwrap(), 1);
    let missing = load(Some(&file("none.toml"))).unwrap_err();
    assert!(missing.to_string().ends_with("none.toml"), "{missing}");
    std::fs::write(&user, "x").unwrap();
    assert!(matches!(load(None), Err(ConfigError::Line { line: 1, .. })));
}
