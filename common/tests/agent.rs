//! An ssh-agent at the other end of its socket: OpenSSH's, and some that lie, refuse or say nothing. Whatever it does,
//! asking it ends in time, within little memory, and never in a signature that is not one.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

#[path = "support/openssh_agent.rs"]
mod openssh_agent;
#[path = "support/random.rs"]
mod random;
#[path = "support/recording_allocator.rs"]
mod recording_allocator;

use std::io::{Read, Write};
use std::iter;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use common::keys::PublicKey;
use common::keys::agent::message::{self, LARGEST, MOST_IDENTITIES, MessageError};
use common::keys::agent::{Agent, AgentError, AgentKey, TIMEOUT};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use tempfile::TempDir;

use openssh_agent::OpenSshAgent;
use random::{Random, SeedOnPanic};
use recording_allocator::{Memory, memory_of};

/// How long an agent is waited for that does not answer.
const SHORT: Duration = Duration::from_millis(200);

/// Far above what anything here takes, and far below what waiting for ever takes.
const LONG: Duration = Duration::from_secs(10);

fn in_time() -> Instant {
    Instant::now() + TIMEOUT
}

/// What is signed at the end of a TLS handshake (RFC 8446, section 4.4.3), with the hash of a suite.
fn certificate_verify(hash: &[u8]) -> Vec<u8> {
    [&[0x20; 64][..], b"TLS 1.3, client CertificateVerify\0", hash].concat()
}

/// What a fake agent does once its answer is written.
#[derive(Clone, Copy)]
enum Then {
    Close,
    /// Writes this, each time that the client has waited for a while, until the client goes.
    Repeat(&'static [u8]),
}

/// Runs `work` with a connection to an agent that answers the first request with `answer`.
fn facing<T>(answer: &[u8], then: Then, deadline: Duration, work: impl FnOnce(&mut Agent) -> T) -> T {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("agent");
    let listener = UnixListener::bind(&path).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| serve(&listener.accept().unwrap().0, answer, then));
        let mut agent = Agent::connect(&path, Instant::now() + deadline).unwrap();
        work(&mut agent)
    })
}

fn serve(mut stream: &UnixStream, answer: &[u8], then: Then) {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut request = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut request).unwrap();
    // The client may have gone already, and rightly.
    stream.write_all(answer).ok();
    let Then::Repeat(bytes) = then else { return };
    stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    while stream.read(&mut [0; 64]).is_err() && stream.write_all(bytes).is_ok() {}
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

fn identities_answer(count: u32, identities: &[(Vec<u8>, &str)]) -> Vec<u8> {
    let fields = identities.iter().flat_map(|(blob, comment)| [string(blob), string(comment.as_bytes())]);
    let head = [&[12][..], &count.to_be_bytes()].concat();
    string(&iter::once(head).chain(fields).collect::<Vec<_>>().concat())
}

fn sign_response(algorithm: &str, signature: &[u8]) -> Vec<u8> {
    let blob = [string(algorithm.as_bytes()), string(signature)].concat();
    string(&[&[14][..], &string(&blob)].concat())
}

fn key_pair() -> (Ed25519KeyPair, PublicKey) {
    let pair = Ed25519KeyPair::generate().unwrap();
    let key = PublicKey::from_bytes(pair.public_key().as_ref().try_into().unwrap());
    (pair, key)
}

#[test]
fn a_right_signature_is_returned_and_a_wrong_one_is_not() {
    let (pair, key) = key_pair();
    let (other, _) = key_pair();
    let signed = certificate_verify(&[7; 48]);
    let right = pair.sign(&signed);
    let sign = |answer: &[u8]| facing(answer, Then::Close, LONG, |agent| agent.sign(&key, &signed));
    assert_eq!(sign(&sign_response("ssh-ed25519", right.as_ref())).unwrap(), right.as_ref());

    let other_message = pair.sign(&certificate_verify(&[8; 48]));
    for wrong in [other.sign(&signed).as_ref(), other_message.as_ref(), &[0; 64], &[255; 64]] {
        let error = sign(&sign_response("ssh-ed25519", wrong)).unwrap_err();
        assert!(matches!(error, AgentError::WrongSignature), "{error}");
    }
    for at in 0..64 {
        let mut flipped = right.as_ref().to_vec();
        flipped[at] ^= 1;
        assert!(sign(&sign_response("ssh-ed25519", &flipped)).is_err(), "byte {at}");
    }
    let error = sign(&sign_response("rsa-sha2-256", &[1; 256])).unwrap_err();
    assert!(error.to_string().contains("rsa-sha2-256"), "{error}");
    assert!(matches!(error, AgentError::Message(MessageError::Algorithm(_))), "{error:?}");
}

#[test]
fn a_refusal_says_what_it_may_mean_and_leaves_the_connection_as_it_was() {
    let (_, key) = key_pair();
    let refusals = [string(&[5]), string(&[5])].concat();
    facing(&refusals, Then::Repeat(b""), LONG, |agent| {
        let error = agent.sign(&key, b"").unwrap_err();
        assert!(matches!(error, AgentError::RefusedToSign), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("ssh-add -h") && text.contains("ssh-add -c"), "{text}");
        let error = agent.identities().unwrap_err();
        assert!(matches!(error, AgentError::RefusedToList), "{error:?}");
    });
}

#[test]
fn an_impossible_length_is_refused_before_anything_is_stored() {
    for length in [LARGEST as u32 + 1, 1 << 31, u32::MAX] {
        let answer = [&length.to_be_bytes()[..], &[12; 4096]].concat();
        facing(&answer, Then::Repeat(b"x"), LONG, |agent| {
            let (result, Memory { largest, .. }) = memory_of(|| agent.identities());
            let error = result.unwrap_err();
            let expected = MessageError::TooLarge { length: length as usize };
            assert!(matches!(&error, AgentError::Message(error) if *error == expected), "{error:?}");
            assert_eq!(largest, 0, "for {length}");
        });
    }
}

#[test]
fn a_claimed_length_takes_no_memory_until_the_bytes_arrive() {
    let answer = [&(LARGEST as u32).to_be_bytes()[..], &[12; 100]].concat();
    facing(&answer, Then::Close, LONG, |agent| {
        let (result, Memory { largest, .. }) = memory_of(|| agent.identities());
        assert!(matches!(result, Err(AgentError::Closed)), "{result:?}");
        assert!(largest <= 1024, "{largest}");
    });
}

#[test]
fn the_most_that_an_agent_can_say_stays_within_a_megabyte() {
    let blob = string(b"a");
    let room = LARGEST - 5 - MOST_IDENTITIES * (4 + blob.len() + 4);
    let comment = "c".repeat(room / MOST_IDENTITIES);
    let full = identities_answer(MOST_IDENTITIES as u32, &vec![(blob, comment.as_str()); MOST_IDENTITIES]);
    facing(&full, Then::Close, LONG, |agent| {
        let (result, Memory { largest, held }) = memory_of(|| agent.identities());
        assert_eq!(result.as_ref().unwrap().len(), MOST_IDENTITIES);
        assert!(largest <= 2 * LARGEST && held <= 1 << 20, "{largest}, {held}");
    });
}

#[test]
fn more_identities_than_are_sent_or_allowed_are_refused() {
    let (_, key) = key_pair();
    let most = MOST_IDENTITIES as u32;
    let sent = vec![(key.to_blob(), ""); MOST_IDENTITIES + 1];
    for (answer, expected) in [
        (identities_answer(2, &sent[..1]), MessageError::Truncated),
        (identities_answer(most, &sent[..1]), MessageError::Truncated),
        (identities_answer(most + 1, &sent), MessageError::TooMany { count: most + 1 }),
        (identities_answer(u32::MAX, &sent[..3]), MessageError::TooMany { count: u32::MAX }),
    ] {
        let error = facing(&answer, Then::Close, LONG, Agent::identities).unwrap_err();
        assert!(matches!(&error, AgentError::Message(error) if *error == expected), "{error:?}");
    }
    let listed =
        facing(&identities_answer(most, &sent[..MOST_IDENTITIES]), Then::Close, LONG, Agent::identities);
    assert_eq!(listed.unwrap().len(), MOST_IDENTITIES);
}

#[test]
fn an_answer_that_stops_anywhere_is_an_error() {
    let (pair, key) = key_pair();
    let listed = identities_answer(2, &[(key.to_blob(), "me"), (string(b"ssh-rsa"), "other")]);
    for cut in 0..listed.len() {
        let error = facing(&listed[..cut], Then::Close, LONG, Agent::identities).unwrap_err();
        assert!(matches!(error, AgentError::Closed), "{cut}: {error:?}");
    }
    let signed = sign_response("ssh-ed25519", pair.sign(b"message").as_ref());
    for cut in 0..signed.len() {
        let error =
            facing(&signed[..cut], Then::Close, LONG, |agent| agent.sign(&key, b"message")).unwrap_err();
        assert!(matches!(error, AgentError::Closed), "{cut}: {error:?}");
    }
}

#[test]
fn an_agent_that_does_not_finish_is_given_up_at_the_deadline() {
    let (_, key) = key_pair();
    let listed = identities_answer(1, &[(key.to_blob(), "me")]);
    let endless = (LARGEST as u32).to_be_bytes();
    for (answer, then) in [
        (&[][..], Then::Repeat(b"")),
        (&listed[..3], Then::Repeat(b"")),
        (&listed[..listed.len() - 1], Then::Repeat(b"")),
        (&endless, Then::Repeat(b"x")),
    ] {
        facing(answer, then, SHORT, |agent| {
            let start = Instant::now();
            let error = agent.identities().unwrap_err();
            assert!(matches!(error, AgentError::TimedOut), "{error:?}");
            assert!(start.elapsed() < LONG, "{:?}", start.elapsed());
            let error = agent.sign(&key, b"").unwrap_err();
            assert!(matches!(error, AgentError::TimedOut), "{error:?}");
        });
    }
}

#[test]
fn an_agent_that_takes_nothing_is_given_up_at_the_deadline() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("agent");
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&socket, 1).unwrap();
    let start = Instant::now();
    let mut waiting = Vec::new();
    let error = (0..10).find_map(|_| match Agent::connect(&path, Instant::now() + SHORT) {
        Ok(agent) => {
            waiting.push(agent);
            None
        }
        Err(error) => Some(error),
    });
    assert!(matches!(error, Some(AgentError::TimedOut)), "{error:?}");
    // One of those that wait to be accepted: its requests fill the socket's buffer.
    let (_, key) = key_pair();
    let mut agent = waiting.pop().unwrap();
    let error = agent.sign(&key, &vec![0; LARGEST / 2]).unwrap_err();
    assert!(matches!(error, AgentError::TimedOut), "{error:?}");
    assert!(start.elapsed() < LONG, "{:?}", start.elapsed());
}

#[test]
fn no_agent_is_told_from_one_that_cannot_be_reached() {
    let directory = TempDir::new().unwrap();
    let [missing, stale, link] = ["missing", "stale", "link"].map(|name| directory.path().join(name));
    drop(UnixListener::bind(&stale).unwrap());
    for path in [&missing, &stale] {
        let error = Agent::connect(path, in_time()).unwrap_err();
        assert_eq!(error.to_string(), format!("no agent listens at {}", path.display()));
    }
    std::os::unix::fs::symlink(&link, &link).unwrap();
    let error = Agent::connect(&link, in_time()).unwrap_err().to_string();
    assert!(error.contains("cannot connect") && error.contains("too many levels"), "{error}");
    let long = directory.path().join("l".repeat(200));
    let error = Agent::connect(&long, in_time()).unwrap_err();
    assert!(matches!(error, AgentError::Connect { .. }), "{error}");
}

#[test]
fn bytes_that_nobody_honest_sends_are_survived_in_little_memory() {
    let (pair, key) = key_pair();
    let blobs = [(key.to_blob(), "me@here"), (string(b"sk-ssh-ed25519@openssh.com"), "\u{fffd}")];
    let listed = identities_answer(2, &blobs)[4..].to_vec();
    let signed = sign_response("ssh-ed25519", pair.sign(b"").as_ref())[4..].to_vec();
    for seed in 0..20_000 {
        let _seed = SeedOnPanic(seed);
        let mut random = Random::new(seed);
        let mut bytes = if seed % 2 == 0 { listed.clone() } else { signed.clone() };
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] = random.next() as u8;
        }
        let ((), Memory { largest, held }) = memory_of(|| {
            drop(message::decode_identities(&bytes));
            drop(message::decode_signature(&bytes));
        });
        assert!(largest <= 1024 && held == 0, "{largest}, {held} for {bytes:02x?}");
    }
}

fn connect(openssh: &OpenSshAgent) -> Agent {
    Agent::connect(&openssh.path("agent"), in_time()).unwrap()
}

fn expect_refusal(openssh: &OpenSshAgent, line: &str) {
    let message = certificate_verify(&[7; 48]);
    let error = connect(openssh).sign(&line.parse().unwrap(), &message).unwrap_err();
    assert!(matches!(error, AgentError::RefusedToSign), "{error:?}");
}

#[test]
fn opensshs_agent_lists_its_keys_and_signs_a_tls_handshake() {
    let openssh = OpenSshAgent::start();
    assert_eq!(connect(&openssh).identities().unwrap(), []);
    let line = openssh.add("ed25519", "mine", &[]);
    openssh.add("ecdsa", "other", &[]);
    let key: PublicKey = line.parse().unwrap();

    let mut agent = connect(&openssh);
    let identities = agent.identities().unwrap();
    let comments = identities.iter().map(|identity| identity.comment.as_str());
    assert_eq!(comments.collect::<Vec<_>>(), ["mine", "other"]);
    assert_eq!(identities[0].key, AgentKey::Ed25519(key));
    let AgentKey::Other(other) = &identities[1].key else { panic!("{identities:?}") };
    assert_eq!(other.to_string(), "a key of type ecdsa-sha2-nistp256; only ssh-ed25519 is used here");

    for hash in [&[0xa5; 48][..], &[0x5a; 32]] {
        let message = certificate_verify(hash);
        assert_eq!(message.len(), 98 + hash.len());
        let signature = agent.sign(&key, &message).unwrap();
        UnparsedPublicKey::new(&ED25519, key.as_bytes()).verify(&message, &signature).unwrap();
    }
    let (_, unknown) = key_pair();
    let error = agent.sign(&unknown, b"message").unwrap_err();
    assert!(matches!(error, AgentError::RefusedToSign), "{error:?}");
}

#[test]
fn opensshs_agent_refuses_with_a_key_for_certain_hosts_alone() {
    let openssh = OpenSshAgent::start();
    let host = openssh.add("ed25519", "host", &[]);
    let known_hosts = openssh.path("known_hosts");
    std::fs::write(&known_hosts, format!("db1.example {host}")).unwrap();
    // Since OpenSSH 8.9.
    let constraint = ["-h", "db1.example", "-H", known_hosts.to_str().unwrap()];
    expect_refusal(&openssh, &openssh.add("ed25519", "constrained", &constraint));
}

#[test]
fn opensshs_agent_refuses_when_its_owner_declines() {
    let openssh = OpenSshAgent::start();
    expect_refusal(&openssh, &openssh.add("ed25519", "confirmed", &["-c"]));
}
