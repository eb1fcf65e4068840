//! Invitations made, spent, and taken back; and files that are none.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Barrier;
use std::thread;

use super::*;

const TTL: Duration = Duration::from_secs(600);

fn invitations() -> (tempfile::TempDir, Invitations) {
    let directory = tempfile::tempdir().unwrap();
    let trust = Trust { home: directory.path().to_owned(), ..Trust::current() };
    let invitations = Invitations::new(directory.path(), trust);
    (directory, invitations)
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

#[test]
fn a_token_is_good_once() {
    let (_directory, invitations) = invitations();
    let options: Options = "restrict,command=\"uptime\"".parse().unwrap();
    let token = invitations.make(&options, TTL, now()).unwrap();
    assert!(invitations.any_open(now()));
    assert_eq!(invitations.spend(&token, None, now()).unwrap(), options);
    assert!(matches!(invitations.spend(&token, None, now()), Err(InvitationsError::NotGood)));
    assert!(!invitations.any_open(now()));
}

#[test]
fn one_that_is_given_back_is_good_again_and_one_that_is_forgotten_is_not() {
    let (directory, invitations) = invitations();
    let token = invitations.make(&Options::default(), TTL, now()).unwrap();
    invitations.spend(&token, None, now()).unwrap();
    assert!(invitations.spend(&token, None, now()).is_err() && !invitations.any_open(now()));
    invitations.give_back(token.id());
    invitations.spend(&token, None, now()).unwrap();
    invitations.forget(token.id());
    invitations.give_back(token.id());
    assert!(invitations.spend(&token, None, now()).is_err());
    // Of one whose spending was cut off by a crash, nothing is left when its time is over.
    let token = invitations.make(&Options::default(), TTL, now()).unwrap();
    invitations.spend(&token, None, now()).unwrap();
    invitations.make(&Options::default(), TTL, now() + TTL).unwrap();
    assert_eq!(fs::read_dir(directory.path().join("invitations")).unwrap().count(), 1);
}

#[test]
fn a_token_is_good_for_its_time() {
    let (_directory, invitations) = invitations();
    let token = invitations.make(&Options::default(), TTL, now()).unwrap();
    let other = invitations.make(&Options::default(), TTL, now()).unwrap();
    assert!(matches!(invitations.spend(&token, None, now() + TTL), Err(InvitationsError::NotGood)));
    assert!(invitations.spend(&other, None, now() + TTL - Duration::from_secs(1)).is_ok());
}

#[test]
fn one_that_the_options_refuse_spends_nothing() {
    let (_directory, invitations) = invitations();
    let options: Options = "from=\"192.0.2.0/24\"".parse().unwrap();
    let token = invitations.make(&options, TTL, now()).unwrap();
    let from = |text: &str| invitations.spend(&token, Some(text.parse().unwrap()), now());
    assert!(matches!(from("198.51.100.1"), Err(InvitationsError::Refused(_))));
    assert_eq!(from("192.0.2.7").unwrap(), options);
}

#[test]
fn another_secret_with_a_known_id_is_refused_and_spends_nothing() {
    let (_directory, invitations) = invitations();
    let token = invitations.make(&Options::default(), TTL, now()).unwrap();
    let mut bytes = token.to_bytes();
    bytes[31] ^= 1;
    let guess = Token::from_bytes(bytes);
    assert!(matches!(invitations.spend(&guess, None, now()), Err(InvitationsError::NotGood)));
    assert!(invitations.spend(&token, None, now()).is_ok());
}

#[test]
fn of_many_who_show_a_token_at_once_one_is_let_in() {
    let (_directory, invitations) = invitations();
    for _ in 0..50 {
        let token = invitations.make(&Options::default(), TTL, now()).unwrap();
        let start = Barrier::new(8);
        let attempt = || {
            start.wait();
            invitations.spend(&token, None, now()).is_ok()
        };
        let let_in = thread::scope(|scope| {
            let attempts: Vec<_> = (0..8).map(|_| scope.spawn(attempt)).collect();
            attempts.into_iter().map(|done| u32::from(done.join().unwrap())).sum::<u32>()
        });
        assert_eq!(let_in, 1);
    }
}

#[test]
fn nothing_of_a_token_is_on_disk() {
    let (directory, invitations) = invitations();
    let token = invitations.make(&Options::default(), TTL, now()).unwrap();
    let kept = fs::read(directory.path().join(format!("invitations/{}.json", token.id()))).unwrap();
    let secret = &token.to_bytes()[8..];
    assert!(!kept.windows(secret.len()).any(|part| part == secret));
    assert!(!String::from_utf8(kept).unwrap().contains(&base64_of(secret)));
}

fn base64_of(bytes: &[u8]) -> String {
    // The URL form of an invitation is the only text form that a token has.
    let token = Token::from_bytes([&[0; 8][..], bytes].concat().try_into().unwrap());
    let host_key = common::keys::Fingerprint::from_bytes([0; 32]);
    let endpoint = "h:1".parse().unwrap();
    let line = common::invitation::Invitation { endpoint, host_key, token }.to_string();
    line.rsplit('/').next().unwrap()[12..].to_owned()
}

#[test]
fn making_one_removes_those_that_have_expired() {
    let (directory, invitations) = invitations();
    invitations.make(&Options::default(), TTL, now()).unwrap();
    invitations.make(&Options::default(), TTL, now() + 2 * TTL).unwrap();
    assert_eq!(fs::read_dir(directory.path().join("invitations")).unwrap().count(), 1);
}

#[test]
fn the_directory_is_closed_to_others() {
    let (directory, invitations) = invitations();
    invitations.make(&Options::default(), TTL, now()).unwrap();
    let path = directory.path().join("invitations");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o700);
}

#[test]
fn a_directory_that_others_can_write_to_is_refused_with_the_way_out() {
    let (directory, invitations) = invitations();
    let token = invitations.make(&Options::default(), TTL, now()).unwrap();
    let path = directory.path().join("invitations");
    let set = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    for mode in [0o770, 0o707, 0o1777] {
        set(mode);
        let refusals = [
            invitations.make(&Options::default(), TTL, now()).unwrap_err(),
            invitations.survey(now()).unwrap_err(),
            invitations.spend(&token, None, now()).unwrap_err(),
        ];
        for error in refusals {
            assert!(error.to_string().contains("can be changed by others"), "{error}");
            assert!(error.advice().is_some(), "{error}");
        }
        assert!(!invitations.any_open(now()));
    }
    set(0o770);
    let advice = invitations.survey(now()).unwrap_err().advice();
    assert_eq!(advice, Some(format!("chmod go-w {}", fs::canonicalize(&path).unwrap().display())));
    set(0o700);
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "what was refused is not left behind");
    invitations.spend(&token, None, now()).unwrap();
    invitations.forget(token.id());
    // An empty one tells of nothing until something is put into it.
    set(0o777);
    assert!(invitations.make(&Options::default(), TTL, now()).is_err());
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
}

#[test]
fn a_file_that_is_no_invitation_takes_nothing_from_the_others() {
    let (directory, invitations) = invitations();
    let token = invitations.make(&Options::default(), TTL, now()).unwrap();
    let good = fs::read_to_string(directory.path().join(format!("invitations/{}.json", token.id()))).unwrap();
    let foreign = [
        String::new(),
        "[]".to_owned(),
        good.replace("hash", "hsah"),
        good.replace("\"hash\":\"", "\"hash\":\"x"),
        good.replace("\"options\":\"", "\"options\":\"no-such-option"),
        " ".repeat(FILE_BYTES + 1),
    ];
    for (number, text) in foreign.iter().enumerate() {
        fs::write(directory.path().join(format!("invitations/{number}.json")), text).unwrap();
    }
    let open_to_others = directory.path().join("invitations/others.json");
    fs::write(&open_to_others, &good).unwrap();
    fs::set_permissions(&open_to_others, fs::Permissions::from_mode(0o666)).unwrap();
    fs::create_dir(directory.path().join("invitations/directory.json")).unwrap();
    let elsewhere = directory.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(elsewhere.join("x"), &good).unwrap();
    symlink(elsewhere.join("x"), directory.path().join("invitations/link.json")).unwrap();

    let survey = invitations.survey(now()).unwrap();
    assert_eq!((survey.open, survey.problems.len()), (1, foreign.len() + 3), "{survey:?}");
    for problem in &survey.problems {
        assert!(problem.to_string().contains(".json") && problem.advice().is_some(), "{problem}");
    }
    assert!(invitations.any_open(now()));
    let another = invitations.make(&Options::default(), TTL, now()).unwrap();
    assert!(invitations.spend(&another, None, now()).is_ok());
    assert!(invitations.spend(&token, None, now()).is_ok());
}

#[test]
fn what_is_taken_back_is_good_for_nobody() {
    let (_directory, invitations) = invitations();
    let token = invitations.make(&Options::default(), TTL, now()).unwrap();
    invitations.take_back(&token).unwrap();
    assert!(matches!(invitations.spend(&token, None, now()), Err(InvitationsError::NotGood)));
    invitations.take_back(&token).unwrap();
}
