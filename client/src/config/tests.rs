//! Hosts from text, and text from hosts.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::*;

const HOME: &str = "/h";

fn parse(text: &str) -> Result<ClientConfig, String> {
    ClientConfig::parse(text, Path::new("config.toml"), Path::new(HOME)).map_err(|error| error.to_string())
}

fn add(existing: &str, name: &str, entry: &HostEntry) -> Result<String, AddHostError> {
    add_host(existing, Path::new("config.toml"), Path::new(HOME), &name.parse().unwrap(), entry)
}

fn entry(address: &str) -> HostEntry {
    HostEntry { address: address.parse().unwrap(), identity: None, user: None, agent: false }
}

#[test]
fn every_key_has_its_effect() {
    let text = r#"
        default_host = "db1"
        [hosts.db1]
        address = "db1.example"
        identity = "~/keys/db1"
        user = "ann"
        agent = true
        [hosts."web.example"]
        address = "unix:/run/telex.sock"
    "#;
    let config = parse(text).unwrap();
    assert_eq!(config.default_host.as_deref(), Some("db1"));
    let expected = HostEntry {
        identity: Some("/h/keys/db1".into()),
        user: Some("ann".to_owned()),
        agent: true,
        ..entry("db1.example:9000")
    };
    assert_eq!(config.host("db1"), Some(&expected));
    assert_eq!(config.host("web.example"), Some(&entry("unix:/run/telex.sock")));
    assert_eq!(config.host("web"), None);
    assert_eq!(parse("").unwrap(), ClientConfig::default());
}

#[test]
fn what_is_wrong_is_said_with_file_and_line() {
    let rows = [
        ("defualt_host = 'a'", "unknown key `defualt_host`; did you mean `default_host`?"),
        ("default_host = 'a b'", "not a host: \"a b\" (write host, host:port, [v6]:port or unix:/path)"),
        ("[hosts.a]", "missing key `address`"),
        ("[hosts.a]\naddress = 'x'\nadress = 'x'", "unknown key `adress`; did you mean `address`?"),
        (
            "[hosts.a]\naddress = 'x:y'",
            "not a port between 0 and 65535: \"x:y\" (write host:port; without one it is 9000)",
        ),
        ("[hosts.a]\naddress = 'x'\nidentity = 'key'", "not a path that begins with / or ~/: \"key\""),
        ("[hosts.a]\naddress = 'x'\nuser = ''", "not a user name: \"\""),
        ("[hosts.a]\naddress = 'x'\nuser = 'a b'", "not a user name: \"a b\""),
        ("[hosts.a]\naddress = 'x'\nagent = 1", "1 is not true or false"),
    ];
    for (text, message) in rows {
        let line = 2 + text.matches('\n').count();
        assert_eq!(parse(&format!("\n{text}\n")).unwrap_err(), format!("config.toml:{line}: {message}"));
    }
    let error = parse("\n[hosts.'-a']\naddress = 'x'").unwrap_err();
    assert!(error.starts_with("config.toml:2: not a name of a host: \"-a\""), "{error}");
}

#[test]
fn names_of_hosts() {
    for name in ["a", "db1.example", "a-b_c", "A", "9", ".", &"x".repeat(64)] {
        assert!(name.parse::<HostAlias>().is_ok(), "{name:?}");
    }
    for name in ["", "-a", "a b", "a\n", "ä", "a/b", "a:b", "a@b", &"x".repeat(65)] {
        assert!(name.parse::<HostAlias>().is_err(), "{name:?}");
    }
}

#[test]
fn without_a_file_there_are_no_settings() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().to_owned();
    let places = Places { config: home.clone(), state: PathBuf::new(), home };
    assert_eq!(ClientConfig::load(&places).unwrap(), ClientConfig::default());
    std::fs::write(directory.path().join("config.toml"), "default_host = 'db1'").unwrap();
    assert_eq!(ClientConfig::load(&places).unwrap().default_host.as_deref(), Some("db1"));
}

#[test]
fn a_host_is_added_and_nothing_else_changes() {
    let full = HostEntry {
        identity: Some("/k/a \"b\"\\c\u{1}\u{7f}ü".into()),
        user: Some("ann".to_owned()),
        agent: true,
        ..entry("[2001:db8::1]:7")
    };
    let existing = [
        "",
        "# only a comment",
        "# mine\ndefault_host = 'x'   # keep\n\n\n",
        "[hosts.x]\r\naddress = 'x'\r\n",
        "hosts.x.address = 'x'",
        "[hosts]\nx = { address = 'x' }",
        "\u{feff}default_host = 'x'\n",
    ];
    for existing in existing {
        for name in ["db1", "db1.example", "1.2", "9"] {
            for entry in [&full, &entry("unix:/s")] {
                let text = add(existing, name, entry).unwrap();
                assert!(text.starts_with(existing), "{text}");
                assert_eq!(parse(&text).unwrap().host(name), Some(entry), "{text}");
            }
        }
    }
    let text = add("a".replace('a', "default_host = 'x'").as_str(), "db1.example", &entry("db1")).unwrap();
    assert_eq!(text, "default_host = 'x'\n\n[hosts.\"db1.example\"]\naddress = \"db1:9000\"\n");
}

#[test]
fn what_cannot_be_added_is_refused() {
    let existing = "[hosts.db1]\naddress = 'x'\n";
    let exists = add(existing, "db1", &entry("db1")).unwrap_err();
    assert_eq!(exists.to_string(), "there is a host db1 already");
    assert!(matches!(exists, AddHostError::Exists { .. }));
    let inline = "hosts = { x = { address = 'x' } }\n";
    assert!(matches!(add(inline, "db1", &entry("db1")), Err(AddHostError::Form)));
    let broken = add("x\n", "db1", &entry("db1")).unwrap_err();
    assert!(matches!(broken, AddHostError::Config(ConfigError::Line { line: 1, .. })));
    let path = PathBuf::from(OsStr::from_bytes(b"/k/\xff"));
    let entry = HostEntry { identity: Some(path), ..entry("db1") };
    assert!(matches!(add("", "db1", &entry), Err(AddHostError::NotText)));
}
