//! Who is not let in learns nothing: neither whether the key is known, nor why it is not good, nor who there is.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use common::greeting::Hello;
use common::keys::PrivateKey;
use tests::flood::{Answer, greet_from, source};
use tests::{Noise, TestServer, client_key, strange_key};

use super::{address, on_this_machine};

/// What the times of two kinds of refusal may differ by, of those in the middle.
const ALLOWED_DIFFERENCE: Duration = Duration::from_millis(1);

/// Somebody who is not let in, and why not.
struct Refused<'a> {
    why: &'static str,
    key: &'a PrivateKey,
    user: &'static str,
    /// Mode of `authorized_keys` at that moment.
    mode: u32,
}

fn everybody<'a>(revoked: &'a PrivateKey, elsewhere: &'a PrivateKey) -> Vec<Refused<'a>> {
    let somebody = |why, key| Refused { why, key, user: "", mode: 0o600 };
    vec![
        somebody("an unknown key", strange_key()),
        Refused { user: "root", ..somebody("an unknown key for another user", strange_key()) },
        Refused { user: "nobody-at-all", ..somebody("an unknown key for no user", strange_key()) },
        somebody("a revoked key", revoked),
        Refused { user: "root", ..somebody("a revoked key for another user", revoked) },
        somebody("a key that is good elsewhere", elsewhere),
        Refused { user: "root", ..somebody("a key that is good elsewhere for another user", elsewhere) },
        Refused { mode: 0o666, ..somebody("a good key in a file that anybody could write", client_key()) },
    ]
}

fn try_in_turn(attempts: usize) {
    let (revoked, elsewhere) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
    let server = TestServer::options()
        .listen("127.0.0.1:0")
        .settings("server.toml", "[penalties]\nenabled = false\n")
        .settings("revoked_keys", &format!("{}\n", revoked.public()))
        .start();
    let file = server.settings(
        "authorized_keys",
        format!(
            "{}\n{}\nfrom=\"192.0.2.0/24\" {}\n",
            client_key().public(),
            revoked.public(),
            elsewhere.public()
        ),
    );
    let everybody = everybody(&revoked, &elsewhere);
    let mut answers = vec![Vec::new(); everybody.len()];
    let mut noise = Noise::new(1);
    let mut order: Vec<_> = (0..everybody.len()).collect();
    for _ in 0..attempts {
        // In no fixed order: who comes behind whom must not matter.
        for place in 0..order.len() {
            order.swap(place, place + noise.below(everybody.len() - place));
        }
        for who in &order {
            answers[*who].push(attempt(&everybody[*who], &file, &server));
        }
    }
    server.run(["true"]).exits(0);
    compare(&everybody, &answers);
}

fn attempt(refused: &Refused<'_>, file: &Path, server: &TestServer) -> Answer {
    fs::set_permissions(file, Permissions::from_mode(refused.mode)).unwrap();
    let hello = Hello::new(refused.user, "");
    let answer = greet_from(source(1), refused.key, &hello, address(server)).unwrap();
    fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
    answer
}

fn compare(everybody: &[Refused<'_>], answers: &[Vec<Answer>]) {
    let first = &answers[0][0];
    assert!(String::from_utf8_lossy(&first.said).contains("this key is not authorised"), "{first:?}");
    for (refused, answers) in everybody.iter().zip(answers) {
        for answer in answers {
            let same = answer.said == first.said && answer.received == first.received;
            assert!(same, "{} is told otherwise: {answer:?}", refused.why);
        }
    }
    let medians: Vec<_> = answers.iter().map(|answers| median(answers)).collect();
    let told: Vec<_> = everybody.iter().map(|refused| refused.why).zip(&medians).collect();
    println!("{told:#?}");
    let difference = *medians.iter().max().unwrap() - *medians.iter().min().unwrap();
    assert!(difference < on_this_machine(ALLOWED_DIFFERENCE), "{told:#?}");
}

fn median(answers: &[Answer]) -> Duration {
    let mut times: Vec<_> = answers.iter().map(|answer| answer.after).collect();
    times.sort();
    times[times.len() / 2]
}

/// Whoever has a good key is told as whom commands run, and nothing about anybody else.
#[test]
fn a_good_key_does_not_tell_users_that_exist_from_users_that_do_not() {
    let server = TestServer::start();
    let ask = |user| {
        let hello = Hello::new(user, "");
        greet_from(source(1), client_key(), &hello, address(&server)).unwrap().said
    };
    let (daemon, nobody) = (ask("daemon"), ask("nodaem"));
    let text = |said: &[u8]| String::from_utf8_lossy(said).into_owned();
    assert!(text(&daemon).contains("runs commands as"), "{}", text(&daemon));
    assert_eq!(text(&daemon).replace("daemon", "nodaem"), text(&nobody));
}

/// 60 attempts of each kind.
#[test]
fn whoever_is_refused_is_told_the_same_after_the_same_time() {
    try_in_turn(60);
}

#[test]
#[ignore = "takes a minute"]
fn whoever_is_refused_two_thousand_times_is_told_the_same_after_the_same_time() {
    try_in_turn(2_000);
}
