//! `server invite`: one line that lets one client in.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use common::duration;
use common::endpoint::{DEFAULT_PORT, Endpoint};
use common::escape::escape;
use common::invitation::Invitation;
use common::keys::authorized_keys::Options;
use rustix::io::Errno;
use rustix::system::uname;

use super::report::{program_name, warn_of};
use super::{Here, is_stdout_closed, print};
use crate::error::StartError;

/// Makes an invitation and prints it. One that cannot be printed is not left open.
pub(super) fn invite(
    here: &Here,
    ttl: Duration,
    options: &Options,
    address: Option<&Endpoint>,
) -> Result<(), StartError> {
    let now = SystemTime::now();
    let endpoint = clients_address(here, address)?;
    if options.is_over(now) {
        return Err(StartError::Expired);
    }
    if is_stdout_closed() {
        return Err(StartError::Unseen(Errno::BADF.into()));
    }
    let host_key = here.host_key()?.fingerprint();
    let invitations = here.invitations();
    warn_of(&invitations.survey(now)?.problems);
    let token = invitations.make(options, ttl, now)?;
    let line = Invitation { endpoint, host_key, token: token.clone() }.to_string();
    if let Err(error) = print(&line) {
        invitations.take_back(&token)?;
        return Err(StartError::Unseen(error));
    }
    let path = invitations.path(token.id());
    let (program, ttl) = (program_name(), duration::shown(ttl));
    eprintln!(
        "{program}: it is good once, for {ttl}; to take it back, rm {}",
        escape(&path.display().to_string())
    );
    Ok(())
}

/// Where clients reach this server: as the command line says, or the settings, or as far as it can be told from where it
/// listens; then stderr says what was taken.
fn clients_address(here: &Here, address: Option<&Endpoint>) -> Result<Endpoint, StartError> {
    let named = address.or(here.config.address.as_ref());
    let endpoint =
        named.cloned().or_else(|| own_address(&here.config.listen)).ok_or(StartError::NoInviteTo)?;
    if !can_be_connected_to(&endpoint) {
        return Err(StartError::NoInviteTo);
    }
    if named.is_none() {
        eprintln!(
            "{}: clients are told to connect to {endpoint}; if that is not this server, pass --address HOST:PORT",
            program_name()
        );
    }
    Ok(endpoint)
}

/// The first address it listens on that clients can connect to, or the machine's name at the port of the first one that
/// stands for all addresses. `None` if it has no port that is known before it starts.
fn own_address(listen: &[Endpoint]) -> Option<Endpoint> {
    let host = || uname().nodename().to_string_lossy().into_owned();
    if listen.is_empty() {
        return Some(Endpoint::Tcp { host: host(), port: DEFAULT_PORT });
    }
    let port = |endpoint: &Endpoint| match endpoint {
        Endpoint::Tcp { port, .. } if *port != 0 => Some(*port),
        _ => None,
    };
    listen
        .iter()
        .find(|endpoint| can_be_connected_to(endpoint))
        .cloned()
        .or_else(|| Some(Endpoint::Tcp { host: host(), port: listen.iter().find_map(port)? }))
}

/// Whether a client on another machine can be told to connect to it: not to a Unix socket, to port 0, or to all
/// addresses at once, which can only be listened on.
pub(super) fn can_be_connected_to(endpoint: &Endpoint) -> bool {
    let Endpoint::Tcp { host, port } = endpoint else { return false };
    *port != 0 && !host.parse().is_ok_and(|address: IpAddr| address.is_unspecified())
}
