//! `server invite`: one line that lets one client in.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use common::endpoint::{DEFAULT_PORT, Endpoint};
use common::invitation::Invitation;
use common::keys::authorized_keys::Options;
use rustix::system::uname;

use super::report::program_name;
use super::{Here, print};
use crate::error::StartError;

/// Makes an invitation and prints it.
pub(super) fn invite(
    here: &Here,
    ttl: Duration,
    options: &Options,
    address: Option<&Endpoint>,
) -> Result<(), StartError> {
    let endpoint = match address.or(here.config.address.as_ref()) {
        Some(endpoint @ Endpoint::Tcp { .. }) => endpoint.clone(),
        Some(Endpoint::Unix(_)) => return Err(StartError::NoInviteTo),
        None => {
            let endpoint = own_address(&here.config.listen);
            eprintln!(
                "{}: clients are told to connect to {endpoint}; if that is not this server, pass --address HOST:PORT",
                program_name()
            );
            endpoint
        }
    };
    if is_everywhere(&endpoint) {
        return Err(StartError::NoInviteTo);
    }
    let host_key = here.host_key()?.fingerprint();
    let token = here.invitations().make(options, ttl, SystemTime::now())?;
    Ok(print(&Invitation { endpoint, host_key, token }.to_string())?)
}

/// Where clients would reach this server: at the first address it listens on that is one, or under the machine's name
/// at the port of the first.
fn own_address(listen: &[Endpoint]) -> Endpoint {
    let mut port = None;
    for endpoint in listen {
        let Endpoint::Tcp { port: own, .. } = endpoint else { continue };
        if !is_everywhere(endpoint) {
            return endpoint.clone();
        }
        port.get_or_insert(*own);
    }
    let host = uname().nodename().to_string_lossy().into_owned();
    Endpoint::Tcp { host, port: port.unwrap_or(DEFAULT_PORT) }
}

/// Whether it is an address to listen on that is none to connect to.
fn is_everywhere(endpoint: &Endpoint) -> bool {
    let Endpoint::Tcp { host, .. } = endpoint else { return false };
    host.parse().is_ok_and(|address: IpAddr| address.is_unspecified())
}
