//! One connection: reaches the server when it may, has both directions carried, and ends both sides alike.

use std::io::ErrorKind;
use std::net::SocketAddr;

use rustix::net::{Shutdown, shutdown};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::line::Place;
use super::pump::{Pump, swallow};
use super::{Direction, Ending, Mode};
use crate::wait::DEADLINE;

/// Most that is dropped at once behind the end.
const DRAIN: usize = 64 * 1024;

/// How a connection stops.
enum Stop {
    /// Both sides have ended it.
    Over,
    /// The proxy ends it.
    Ended(Ending),
}

/// Carries a connection to its end.
pub(super) async fn run(client: TcpStream, to: SocketAddr, mut place: Place) {
    let server = match reach(&client, to, &mut place).await {
        Ok(server) => server,
        Err(stop) => return end(stop, vec![client], place),
    };
    let stop = carry(&client, &server, &place).await;
    end(stop, vec![client, server], place);
}

/// Connects to the server as soon as the mode lets anything pass.
async fn reach(client: &TcpStream, to: SocketAddr, place: &mut Place) -> Result<TcpStream, Stop> {
    loop {
        let mode = *place.mode.borrow_and_update();
        match mode {
            Mode::Pass | Mode::Delay(_) | Mode::ByteByByte => break,
            Mode::Cut => return Err(Stop::Ended(Ending::Fin)),
            Mode::Reset => return Err(Stop::Ended(Ending::Reset)),
            Mode::Stall => place.mode.changed().await.unwrap(),
            Mode::BlackHole => tokio::select! {
                changed = place.mode.changed() => changed.unwrap(),
                _ = client.readable() => {
                    let mut state = place.line.lock();
                    let is_now = *place.mode.borrow() == Mode::BlackHole;
                    // Nobody else knows of its end.
                    if is_now && swallow(client, Direction::ToServer, &mut state).is_some() {
                        return Err(Stop::Over);
                    }
                }
            },
        }
    }
    let server = TcpStream::connect(to).await.map_err(|_| Stop::Ended(Ending::Reset))?;
    for side in [client, &server] {
        side.set_nodelay(true).map_err(|_| Stop::Ended(Ending::Reset))?;
    }
    Ok(server)
}

async fn carry(client: &TcpStream, server: &TcpStream, place: &Place) -> Stop {
    let to_server = Pump::new(client, server, Direction::ToServer, place);
    let to_client = Pump::new(server, client, Direction::ToClient, place);
    match tokio::try_join!(to_server.run(), to_client.run()) {
        Ok(_) => Stop::Over,
        Err(ending) => Stop::Ended(ending),
    }
}

/// Ends all sides, then gives up the place.
fn end(stop: Stop, sides: Vec<TcpStream>, place: Place) {
    match stop {
        Stop::Over => drop(sides),
        Stop::Ended(Ending::Reset) => {
            for side in sides {
                side.set_zero_linger().ok();
            }
        }
        Stop::Ended(Ending::Fin) => {
            for side in sides {
                shutdown(&side, Shutdown::Write).ok();
                // One that never closes is reset in the end.
                drop(tokio::spawn(timeout(DEADLINE, drain(side))));
            }
        }
    }
    drop(place);
}

/// Reads until the side closes: what is unread when a socket is closed makes a reset of it.
async fn drain(side: TcpStream) {
    let mut dropped = vec![0; DRAIN];
    loop {
        match side.readable().await.and_then(|()| side.try_read(&mut dropped)) {
            Ok(1..) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return,
        }
    }
}
