use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::*;
use crate::keys::{KeyError, LINE_BYTES};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
const RSA: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7";

fn key() -> PublicKey {
    KEY.parse().unwrap()
}

/// The one entry of a file without problems.
fn entry(line: &str) -> Entry {
    let keys = AuthorizedKeys::parse(line.as_bytes());
    assert_eq!(keys.problems, [], "{line}");
    assert_eq!(keys.entries.len(), 1, "{line}");
    keys.entries.into_iter().next().unwrap()
}

fn options(text: &str) -> Options {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Lines that are valid for sshd, and refused by parsers that split at blanks first.
#[test]
fn quotes_hold_a_line_together() {
    let table = [
        (format!(r#"command="/bin/ls -l" {KEY} me"#), "/bin/ls -l", "me"),
        (format!(r#"command="echo \"a b\"" {KEY} me"#), r#"echo "a b""#, "me"),
        (format!(r#"command="echo a\\\"" {KEY}"#), r#"echo a\\""#, ""),
        (
            format!(r#"command="echo # no comment" {KEY} # none, either"#),
            "echo # no comment",
            "# none, either",
        ),
        (format!(r#"command="a",no-pty {KEY}"#), "a", ""),
        (
            format!("\t command=\"a\tb\" \t {} \t ann's  key \t\r", KEY.replace(' ', "\t\t")),
            "a\tb",
            "ann's  key",
        ),
        (format!(r#"command="a,b=\"c\",no-pty" {KEY}"#), r#"a,b="c",no-pty"#, ""),
        (format!(r#"Command="{KEY}" {KEY}"#), KEY, ""),
    ];
    for (line, command, comment) in table {
        let entry = entry(&line);
        assert_eq!((entry.options.command(), entry.comment.as_str()), (Some(command), comment), "{line}");
        assert_eq!(entry.key, key(), "{line}");
    }
}

#[test]
fn a_bad_line_is_one_problem_and_the_others_count() {
    let file = [
        format!("# comment\n\n{KEY} first\r\n"),
        format!("{RSA} old\n"),
        format!("no-such-option {KEY}\n"),
        format!("restrict {KEY} second\n"),
        format!("command=\"open {KEY}\n"),
        "restrict\n".into(),
        "ssh-ed25519 AAAA\n".into(),
        format!("  #{KEY}\n"),
        format!("{KEY} {}\n", "x".repeat(LINE_BYTES)),
        format!("restrict {RSA}\n"),
        format!("{KEY} third"),
    ]
    .concat();
    let keys = AuthorizedKeys::parse(file.as_bytes());
    let lines: Vec<_> = keys.entries.iter().map(|entry| (entry.line, entry.comment.as_str())).collect();
    assert_eq!(lines, [(3, "first"), (6, "second"), (13, "third")]);
    let algorithm = || LineError::Key(KeyError::Algorithm { algorithm: "ssh-rsa".into() });
    let problems = [
        (4, algorithm()),
        (5, LineError::Options(OptionsError::Unknown { name: "no-such-option".into() })),
        (7, LineError::Options(OptionsError::Quote)),
        (8, LineError::NoKey),
        (9, LineError::Key(KeyError::Malformed)),
        (11, LineError::TooLong),
        (12, algorithm()),
    ];
    assert_eq!(keys.problems, problems.map(|(line, error)| Problem { line, error }));
    assert_eq!(keys.problems[1].to_string(), "line 5: unknown option \"no-such-option\"");
}

#[test]
fn a_line_that_is_not_text_grants_nothing() {
    let keys = AuthorizedKeys::parse(&[KEY.as_bytes(), b" caf\xe9\n", KEY.as_bytes()].concat());
    assert_eq!(keys.problems, [Problem { line: 1, error: LineError::NotUtf8 }]);
    assert_eq!(keys.entries.len(), 1);
}

#[test]
fn lines_past_the_limit_are_one_problem() {
    let file = format!("{KEY}\n").repeat(LINES + 5);
    let keys = AuthorizedKeys::parse(file.as_bytes());
    assert_eq!(keys.entries.len(), LINES);
    assert_eq!(keys.problems, [Problem { line: LINES + 1, error: LineError::TooMany { limit: LINES } }]);
}

#[test]
fn options_that_are_not_all_understood_refuse_their_line() {
    let unknown = |name: &str| OptionsError::Unknown { name: name.into() };
    let variable = |text: &str| OptionsError::Environment { text: text.into() };
    let source = |pattern: &str| OptionsError::Source { pattern: pattern.into() };
    let expiry = |text: &str| OptionsError::Expiry { text: text.into() };
    let table = [
        ("cert-authority", unknown("cert-authority")),
        (r#"principals="a""#, unknown("principals=")),
        (r#"permitopen="a:1""#, unknown("permitopen=")),
        (r#"permitlisten="1""#, unknown("permitlisten=")),
        (r#"tunnel="0""#, unknown("tunnel=")),
        ("port-forwarding", unknown("port-forwarding")),
        ("agent-forwarding", unknown("agent-forwarding")),
        ("X11-forwarding", unknown("X11-forwarding")),
        ("user-rc", unknown("user-rc")),
        ("no-touch-required", unknown("no-touch-required")),
        ("verify-required", unknown("verify-required")),
        ("restricted", unknown("restricted")),
        ("no-restrict", unknown("no-restrict")),
        (r#"restrict="""#, unknown("restrict=")),
        ("no-pty,", unknown("")),
        (",no-pty", unknown("")),
        ("no-pty,,restrict", unknown("")),
        ("no-pty, restrict", unknown(" restrict")),
        ("command", OptionsError::Quote),
        ("command=ls", OptionsError::Quote),
        (r#"command="ls"#, OptionsError::Quote),
        (r#"command="ls\""#, OptionsError::Quote),
        (r#"command="ls"restrict"#, OptionsError::Quote),
        (r#"command="ls"-l"#, OptionsError::Quote),
        (r#"command="""#, OptionsError::EmptyCommand),
        (r#"command=" ""#, OptionsError::EmptyCommand),
        (r#"command="a",COMMAND="b""#, OptionsError::Repeated { name: "command" }),
        (r#"from="::1",from="::1""#, OptionsError::Repeated { name: "from" }),
        (r#"expiry-time="20300101",expiry-time="20290101""#, OptionsError::Repeated { name: "expiry-time" }),
        (r#"from="""#, source("")),
        (r#"from="10.0.0.0/8,*.example.com""#, source("*.example.com")),
        (r#"from="!evil.example.com,*""#, source("evil.example.com")),
        (r#"from="10.0.0.1/8""#, source("10.0.0.1/8")),
        (r#"expiry-time="""#, expiry("")),
        (r#"expiry-time="20300230""#, expiry("20300230")),
        (r#"expiry-time="+1d""#, expiry("+1d")),
        (r#"environment="""#, variable("")),
        (r#"environment="A""#, variable("A")),
        (r#"environment="=a""#, variable("=a")),
        (r#"environment="1A=a""#, variable("1A=a")),
        (r#"environment="A-B=a""#, variable("A-B=a")),
        (r#"environment="É=a""#, variable("É=a")),
        ("command=\"a\nb\"", OptionsError::Control),
        ("command=\"a\rb\"", OptionsError::Control),
        ("environment=\"A=a\0\"", OptionsError::Control),
    ];
    for (text, error) in table {
        assert_eq!(text.parse::<Options>(), Err(error), "{text:?}");
    }
    let long = "é".repeat(40);
    assert_eq!(long.parse::<Options>(), Err(unknown(&"é".repeat(32))));
}

#[test]
fn later_options_win_over_earlier_ones_as_in_sshd() {
    // Options, whether a terminal is allowed, whether the key is restricted, the canonical form.
    let table = [
        ("", true, false, ""),
        ("pty", true, false, ""),
        ("NO-PTY", false, false, "no-pty"),
        ("no-pty,pty", true, false, ""),
        ("restrict", false, true, "restrict"),
        ("restrict,no-pty", false, true, "restrict"),
        ("pty,restrict", false, true, "restrict"),
        ("Restrict,pty", true, true, "restrict,pty"),
        (r#"command="a""#, true, true, r#"command="a""#),
        ("no-port-forwarding,no-agent-forwarding,no-X11-forwarding,no-user-rc", true, false, ""),
    ];
    for (text, terminal, restricted, canonical) in table {
        let options = options(text);
        assert_eq!((options.may_have_terminal(), options.is_restricted()), (terminal, restricted), "{text}");
        assert_eq!(options.to_string(), canonical, "{text}");
    }
}

#[test]
fn the_first_of_several_values_of_a_variable_counts() {
    let options =
        options(r#"environment="A=1",environment="b_2==\"x y\"",environment="A=2",environment="E=""#);
    let expected = [("A", "1"), ("b_2", "=\"x y\""), ("E", "")];
    assert_eq!(options.environment(), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let variables =
        |count| (0..count).map(|n| format!("environment=\"V{n}=\"")).collect::<Vec<_>>().join(",");
    assert!(variables(64).parse::<Options>().is_ok());
    assert_eq!(variables(65).parse::<Options>(), Err(OptionsError::TooMany { what: "variables", limit: 64 }));
}

#[test]
fn options_permit_by_address_and_time() {
    let inside = Some("192.0.2.7".parse().unwrap());
    let outside = Some("198.51.100.1".parse().unwrap());
    let (before, until, after) = (at(1_767_225_599), at(1_767_225_600), at(1_767_225_601));
    let both = r#"from="192.0.2.0/24",expiry-time="20260101""#;
    let table = [
        ("", None, after, Ok(())),
        (both, inside, before, Ok(())),
        (both, inside, until, Ok(())),
        (both, inside, after, Err(OptionsRefusal::Expired)),
        (both, outside, until, Err(OptionsRefusal::Source)),
        (both, None, until, Err(OptionsRefusal::Source)),
        (r#"from="*""#, None, until, Err(OptionsRefusal::Source)),
        (r#"from="*""#, outside, until, Ok(())),
        (r#"expiry-time="20260101""#, None, until, Ok(())),
    ];
    for (text, source, now, expected) in table {
        assert_eq!(options(text).permits(source, now), expected, "{text} {source:?}");
    }
    assert_eq!(options(both).expires_at(), Some(until));
    assert_eq!(options("").expires_at(), None);
}

#[test]
fn the_first_line_that_permits_is_taken() {
    let file = [
        format!("expiry-time=\"20200101\",command=\"expired\" {KEY}\n"),
        format!("from=\"192.0.2.0/24\",command=\"inside\" {KEY}\n"),
        format!("from=\"*.*.*.*\",command=\"anywhere\" {KEY}\n"),
        format!("no-such-option {KEY}\n"),
    ]
    .concat();
    let keys = AuthorizedKeys::parse(file.as_bytes());
    let now = at(1_767_225_600);
    let find = |source: &str| keys.find(&key(), Some(source.parse().unwrap()), now);
    assert_eq!(find("192.0.2.1").unwrap().line, 2);
    assert_eq!(find("198.51.100.1").unwrap().line, 3);
    let expired = FindRefusal::Refused { line: 1, refusal: OptionsRefusal::Expired };
    assert_eq!(find("::1"), Err(expired.clone()));
    assert_eq!(expired.to_string(), "line 1 refuses: the key has expired by the clock of this machine");
    let other = PublicKey::from_bytes([7; 32]);
    assert_eq!(keys.find(&other, None, now), Err(FindRefusal::NotListed));
    let only_unknown = AuthorizedKeys::parse(format!("no-such-option {KEY}").as_bytes());
    assert_eq!(only_unknown.find(&key(), None, now), Err(FindRefusal::NotListed));
}

#[test]
fn a_line_is_written_so_that_it_is_read_again() {
    for text in ["", "restrict", r#"command="echo \"a b\" # c",environment="A=x y""#] {
        let options = options(text);
        for comment in ["", "me", "# me", "x\ny"] {
            let again = entry(&line(&options, &key(), comment));
            assert_eq!((&again.options, again.key), (&options, key()), "{text}");
            assert_eq!(again.comment, comment.replace('\n', " "), "{text}");
        }
    }
    assert_eq!(line(&Options::default(), &key(), "me"), format!("{KEY} me"));
}

/// Options that mostly parse, in many spellings.
fn any_options() -> impl Strategy<Value = String> {
    let option = prop_oneof![
        "restrict|RESTRICT|pty|no-pty|no-user-rc|no-X11-forwarding",
        r#"environment="[A-C_]{1,2}=([ -!#-\[\]-~é\t]|\\\\"|\\[a-z ]){0,20}""#,
        "from=\"!10\\.0\\.0\\.1,10\\.\\*,2001:DB8::/32,::ffff:192\\.0\\.2\\.1\"",
        "expiry-time=\"20[0-9]{2}0[1-9][12][0-9](1[0-9]){0,3}Z?\"",
        r#"command="a([ -!#-\[\]-~é\t]|\\\\"|\\[a-z ]){0,40}""#,
    ];
    prop::collection::vec(option, 0..6).prop_map(|options| options.join(","))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_options_are_printed_as_parses_to_the_same(text in any_options()) {
        let Ok(options) = text.parse::<Options>() else { return Ok(()) };
        let printed = options.to_string();
        prop_assert_eq!(printed.parse::<Options>(), Ok(options.clone()));
        let again = entry(&format!("{printed} {KEY} me"));
        prop_assert_eq!(&again.options, &options);
        let again = entry(&format!("{text} {KEY} me"));
        prop_assert_eq!(&again.options, &options);
    }

    #[test]
    fn any_bytes_are_read_to_the_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let file = [bytes.as_slice(), b"\n", KEY.as_bytes(), b" last"].concat();
        let keys = AuthorizedKeys::parse(&file);
        prop_assert_eq!(&keys.entries.last().unwrap().comment, "last");
    }
}
