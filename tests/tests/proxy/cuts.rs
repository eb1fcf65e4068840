//! Cuts are where they were asked for, to the byte.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::thread;

use tests::noise;
use tests::proxy::Direction::{ToClient, ToServer};
use tests::proxy::{Cutter, Ending};

use super::{FIN, MIB, RESET, Setup, read, read_to_end, write};

/// Has both sides say more than enough until the connection ends; what each has heard then, and how it ended.
fn converse(client: &TcpStream, server: &TcpStream) -> [(Vec<u8>, Result<(), ErrorKind>); 2] {
    let said = noise(4 * MIB);
    let said = &said;
    thread::scope(|scope| {
        let sides = [client, server].map(|mut side| {
            let writer = scope.spawn(move || side.write_all(said).map_err(|error| error.kind()));
            (writer, scope.spawn(move || read_to_end(side)))
        });
        sides.map(|(writer, reader)| {
            let (written, (heard, end)) = (writer.join().unwrap(), reader.join().unwrap());
            // The system tells of a reset once, whoever asks first.
            (heard, end.and(written))
        })
    })
}

#[test]
fn a_cut_is_exactly_behind_a_byte() {
    let said = noise(4 * MIB);
    for bytes in [0, 1, 2, 1000, 65_536, 262_145, 3_000_000] {
        for direction in [ToServer, ToClient] {
            let setup = Setup::new();
            setup.proxy.cut_by(Cutter::each(direction, bytes as u64, Ending::Fin));
            for cuts in 1..=2 {
                let (client, server) = setup.pair();
                let [to_client, to_server] = converse(&client, &server);
                let (cut, other) =
                    if direction == ToServer { (to_server, to_client) } else { (to_client, to_server) };
                assert!(cut == (said[..bytes].to_vec(), FIN), "{direction:?} {bytes}: {}", cut.0.len());
                assert!(said.starts_with(&other.0) && other.1 == FIN);
                setup.wait_until_closed();
                assert_eq!((setup.proxy.observed().cuts, setup.proxy.observed().resets), (cuts, 0));
            }
        }
    }
}

#[test]
fn a_reset_is_exactly_behind_a_byte() {
    let said = noise(4 * MIB);
    for bytes in [0, 1, 1000, 262_145, 3_000_000] {
        let setup = Setup::new();
        setup.proxy.cut_by(Cutter::each(ToClient, bytes as u64, Ending::Reset));
        let (client, server) = setup.pair();
        for (heard, end) in converse(&client, &server) {
            assert!(said.starts_with(&heard));
            assert_eq!(end, RESET);
        }
        setup.wait_until_closed();
        let observed = setup.proxy.observed();
        assert_eq!((observed.to_client.passed, observed.cuts, observed.resets), (bytes as u64, 1, 1));
    }
}

#[test]
fn bytes_of_all_connections_are_counted_for_one_cut() {
    let setup = Setup::new();
    let (client, server) = setup.pair();
    write(&client, b"before");
    assert_eq!(read(&server, 6), b"before");
    setup.proxy.cut_by(Cutter::once(ToServer, 10, Ending::Fin));
    write(&client, b"seven..");
    assert_eq!(read(&server, 7), b"seven..");
    let (other, other_server) = setup.pair();
    write(&other, b"four");
    assert_eq!(read_to_end(&other_server), (b"fou".to_vec(), FIN));
    assert_eq!(read_to_end(&other), (Vec::new(), FIN));
    setup.proxy.wait_until("only that one is cut", |observed| observed.open == 1);
    write(&client, &noise(MIB));
    assert_eq!(read(&server, MIB), noise(MIB));
    assert_eq!(setup.proxy.observed().cuts, 1);
}
