//! Every mode, for connections that are open and for those that come.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use tests::proxy::Mode;
use tests::{DEADLINE, noise, wait_until};

use super::{FIN, MIB, PLENTY, RESET, Setup, is_silent, read, read_to_end, reset, write};

/// Closing a socket with unread bytes makes a reset, and so do bytes that come later.
#[test]
fn a_cut_is_an_orderly_end_whatever_is_unread_and_said_later() {
    let setup = Setup::new();
    let (client, server) = setup.pair();
    setup.proxy.set(Mode::Stall);
    write(&client, b"unread");
    write(&server, b"unread");
    setup.proxy.set_open(Mode::Cut);
    setup.wait_until_closed();
    for side in [client, server] {
        assert_eq!(read_to_end(&side), (Vec::new(), FIN));
        write(&side, &noise(PLENTY));
        assert_eq!(read_to_end(&side), (Vec::new(), FIN));
        assert!(side.take_error().unwrap().is_none());
    }
    assert_eq!(setup.proxy.observed().to_server.passed, 0);
}

#[test]
fn a_reset_is_one_for_both_sides() {
    let setup = Setup::new();
    let (client, server) = setup.pair();
    setup.proxy.set_open(Mode::Reset);
    for side in [&client, &server] {
        assert_eq!(read_to_end(side), (Vec::new(), RESET));
    }
    setup.wait_until_closed();
}

#[test]
fn connections_that_come_can_be_ended_before_the_server_hears_of_them() {
    let setup = Setup::new();
    let (client, server) = setup.pair();
    setup.proxy.set_coming(Mode::Cut);
    assert_eq!(read_to_end(&setup.connect()), (Vec::new(), FIN));
    setup.proxy.set_coming(Mode::Reset);
    assert_eq!(read_to_end(&setup.connect()), (Vec::new(), RESET));
    assert!(!setup.is_reached());
    write(&client, b"not these");
    assert_eq!(read(&server, 9), b"not these");
    assert_eq!(setup.proxy.observed().connections, 3);
}

/// Writes until nothing more is taken: twenty tries in a row.
fn fill(mut stream: &TcpStream) -> Vec<u8> {
    let bytes = noise(2 * PLENTY);
    let (mut taken, mut refused) = (0, 0);
    stream.set_nonblocking(true).unwrap();
    wait_until("the window is closed", DEADLINE, || {
        match stream.write(&bytes[taken..]) {
            Ok(more) => (taken, refused) = (taken + more, 0),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                refused += 1;
            }
        }
        refused == 20
    });
    stream.set_nonblocking(false).unwrap();
    bytes[..taken].to_vec()
}

#[test]
fn a_stall_takes_nothing_and_gives_nothing_and_goes_on_where_it_was() {
    let setup = Setup::new();
    let (client, server) = setup.pair();
    setup.proxy.set(Mode::Stall);
    let waiting = setup.connect();
    let sent = fill(&client);
    let answered = fill(&server);
    let observed = setup.proxy.observed();
    assert_eq!((observed.to_server.read, observed.to_client.read), (0, 0));
    is_silent(&server);
    is_silent(&client);
    assert!(!setup.is_reached(), "a stalled line has reached the server");

    setup.proxy.set(Mode::Pass);
    assert!(read(&server, sent.len()) == sent);
    assert!(read(&client, answered.len()) == answered);
    let reached = setup.accept();
    write(&waiting, b"late");
    assert_eq!(read(&reached, 4), b"late");
}

#[test]
fn a_black_hole_takes_everything_and_gives_nothing() {
    let setup = Setup::new();
    let (client, server) = setup.pair();
    setup.proxy.set_open(Mode::BlackHole);
    let lost = noise(PLENTY);
    write(&client, &lost);
    write(&server, &lost);
    setup.proxy.wait_until("all is lost", |observed| {
        observed.to_server.swallowed == PLENTY as u64 && observed.to_client.swallowed == PLENTY as u64
    });
    is_silent(&server);
    is_silent(&client);

    setup.proxy.set_open(Mode::Pass);
    write(&client, b"heard");
    assert_eq!(read(&server, 5), b"heard");

    // Nobody learns that the other is gone.
    setup.proxy.set_open(Mode::BlackHole);
    reset(client);
    write(&server, &lost);
    setup.proxy.wait_until("this is lost, too", |observed| observed.to_client.swallowed == 2 * PLENTY as u64);
    is_silent(&server);
    setup.proxy.set_open(Mode::Pass);
    assert_eq!(read_to_end(&server), (Vec::new(), RESET));
}

#[test]
fn what_is_under_way_falls_into_a_black_hole_too() {
    let setup = Setup::new();
    let (client, server) = setup.pair();
    setup.proxy.set(Mode::Delay(DEADLINE));
    write(&client, b"gone");
    setup.proxy.wait_until("it is under way", |observed| observed.to_server.read == 4);
    setup.proxy.set(Mode::BlackHole);
    write(&client, b"gone");
    setup.proxy.wait_until("this is lost, too", |observed| observed.to_server.swallowed == 4);
    setup.proxy.set(Mode::Pass);
    write(&client, b"heard");
    assert_eq!(read(&server, 5), b"heard");
}

#[test]
fn a_black_hole_accepts_and_never_answers() {
    let setup = Setup::new();
    setup.proxy.set_coming(Mode::BlackHole);
    let client = setup.connect();
    write(&client, b"is anybody there?");
    setup.proxy.wait_until("nobody is", |observed| observed.to_server.swallowed == 17);
    is_silent(&client);
    assert!(!setup.is_reached());
    // Those that are open keep their mode.
    setup.proxy.set_coming(Mode::Pass);
    let (other, server) = setup.pair();
    write(&other, b"pass");
    assert_eq!(read(&server, 4), b"pass");
    is_silent(&client);
    assert_eq!(setup.proxy.observed().open, 2);
    drop(client);
    setup.proxy.wait_until("it is forgotten", |observed| observed.open == 1);
}

#[test]
fn a_delay_is_kept_each_way_and_for_the_end_too() {
    const DELAY: Duration = Duration::from_millis(50);
    let setup = Setup::new();
    let (client, server) = setup.pair();
    setup.proxy.set(Mode::Delay(DELAY));
    let start = Instant::now();
    write(&client, b"ask");
    assert_eq!(read(&server, 3), b"ask");
    write(&server, b"answer");
    assert_eq!(read(&client, 6), b"answer");
    assert!(start.elapsed() >= 2 * DELAY, "{:?}", start.elapsed());
    let start = Instant::now();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&server), (Vec::new(), FIN));
    assert!(start.elapsed() >= DELAY, "{:?}", start.elapsed());
}

#[test]
fn nothing_overtakes_when_the_mode_changes() {
    let delay = |millis| Mode::Delay(Duration::from_millis(millis));
    let modes = [delay(50), delay(5), Mode::Pass, delay(20), delay(1)];
    let setup = Setup::new();
    let (client, server) = setup.pair();
    let sent = noise(PLENTY);
    thread::scope(|scope| {
        scope.spawn(|| {
            for (part, mode) in sent.chunks(MIB / 4).zip(modes.into_iter().cycle()) {
                setup.proxy.set(mode);
                write(&client, part);
            }
            setup.proxy.set(Mode::Pass);
            client.shutdown(Shutdown::Write).unwrap();
        });
        assert!(read_to_end(&server) == (sent.clone(), FIN));
    });
}

#[test]
fn every_byte_is_written_by_itself() {
    const COUNT: usize = 100_000;
    let setup = Setup::new();
    let (client, mut server) = setup.pair();
    setup.proxy.set(Mode::ByteByByte);
    let sent = noise(COUNT);
    write(&client, &sent);
    let mut received = Vec::new();
    let mut reads = 0;
    while received.len() < COUNT {
        let mut buffer = vec![0; COUNT];
        let read = server.read(&mut buffer).unwrap();
        received.extend_from_slice(&buffer[..read]);
        reads += 1;
    }
    assert!(received == sent);
    let observed = setup.proxy.observed().to_server;
    assert_eq!((observed.passed, observed.writes), (COUNT as u64, COUNT as u64));
    // A reader that is not there at once finds several.
    assert!(reads > 10, "all of it in {reads} reads");
}
