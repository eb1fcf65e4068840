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
    assert_eq!(config, Config::defaults(&places()));
    assert!(config.listen.is_empty());
    assert_eq!(config.paths.host_key, Path::new("/c/telex/host_key"));
    assert_eq!(config.paths.authorized_keys, Path::new("/c/telex/authorized_keys"));
    assert_eq!(config.paths.revoked_keys, Path::new("/c/telex/revoked_keys"));
    assert_eq!(config.paths.state_directory, Path::new("/s/telex"));
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
        listen: vec!["127.0.0.1:9000".parse().unwrap(), "unix:/run/telex.sock".parse().unwrap()],
        address: Some("db1.example:9000".parse().unwrap()),
        paths: Paths {
            host_key: "/etc/telex/host_key".into(),
            authorized_keys: "/h/keys".into(),
            revoked_keys: "/h/revoked".into(),
            state_directory: "/var/lib/telex".into(),
        },
        limits: Limits {
            unauthenticated: 1,
            unauthenticated_per_source: 2,
            connections: 65_536,
            client_hello_timeout: Duration::from_millis(500),
            login_timeout: Duration::from_secs(120),
            exempt: vec!["192.0.2.0/24".parse().unwrap(), "::1".parse().unwrap()],
        },
        penalties: Penalties {
            enabled: false,
            auth_failure: Duration::ZERO,
            no_authentication: Duration::from_secs(2),
            timeout: Duration::from_secs(3),
            violation: Duration::from_secs(600),
        },
        log: Log { format: LogFormat::Json, level: LogLevel::Debug },
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
fn what_is_wrong_is_said_with_file_and_line() {
    let rows = [
        ("lisen = []", "unknown key `lisen`; did you mean `listen`?"),
        ("[limit]", "unknown key `limit`; did you mean `limits`?"),
        ("limits.conections = 1", "unknown key `conections`; did you mean `connections`?"),
        ("listen = 'unix:s'", "invalid type: string \"unix:s\", expected a sequence"),
        ("listen = ['unix:s']", "the path of a Unix socket must be absolute: \"unix:s\""),
        ("host_key = 'key'", "not a path that begins with / or ~/: \"key\""),
        ("[limits]\nconnections = 0", "0 is not a number from 1 to 65536"),
        ("[limits]\nconnections = 65537", "65537 is not a number from 1 to 65536"),
        ("[limits]\nlogin_timeout = '0s'", "\"0s\" is not between 100ms and 3600s"),
        ("[limits]\nlogin_timeout = 5", "invalid type: integer `5`, expected a string"),
        ("[limits]\nexempt = ['192.0.2.1/24']", "192.0.2.1/24 has bits set behind the first 24"),
        ("[penalties]\ntimeout = '11m'", "\"11m\" is more than 600s"),
        ("[log]\nformat = 'jsn'", "unknown value `jsn`; write one of: text, json"),
        (
            "[audit]\nto = 'file'",
            "neither \"stderr\" nor \"off\" nor a path that begins with / or ~/: \"file\"",
        ),
        ("[audit]\non_failure = 'stop'", "unknown value `stop`; write one of: refuse, continue"),
    ];
    for (text, message) in rows {
        let line = 2 + text.matches('\n').count();
        assert_eq!(parse(&format!("\n{text}\n\n")), Err(format!("server.toml:{line}: {message}")));
    }
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
    assert_eq!(load(None).unwrap(), Limits::default().connections);
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
