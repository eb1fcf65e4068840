//! `server check`: what a start with these settings would come to. Changes nothing.

use std::net::ToSocketAddrs;
use std::time::SystemTime;

use common::config::Places;
use common::endpoint::Endpoint;

use super::invite::can_be_connected_to;
use super::report::passed_over;
use super::{Here, print};
use crate::audit::Audit;
use crate::config::Config;
use crate::error::StartError;
use crate::host_key;
use crate::listener::{check_reach, default_socket, unix_socket};

/// Says what is wrong, or what would be so.
pub(super) fn check(here: &Here) -> Result<(), StartError> {
    print(&settings(here)?)?;
    host_key::check(&here.config.paths.host_key, &here.trust)?;
    for endpoint in &here.config.listen {
        check_address(here, endpoint)?;
    }
    if here.config.listen.is_empty() {
        unix_socket::check(&default_socket()?)?;
    }
    if here.config.address.as_ref().is_some_and(|address| !can_be_connected_to(address)) {
        return Err(StartError::NoInviteTo);
    }
    Audit::check(&here.config.audit)?;
    // A server starts without these, and lets nobody in over TCP.
    let keys = here.keys();
    let authorized = keys.authorized()?;
    keys.revoked()?;
    for problem in &authorized.problems {
        print(&format!("{}; this line lets nobody in", problem.at(&keys.authorized)))?;
    }
    let invitations = here.invitations().survey(SystemTime::now())?;
    for problem in &invitations.problems {
        print(&passed_over(problem))?;
    }
    let invited = if invitations.open > 0 { ", and an invitation is open" } else { "" };
    print(&format!("keys: {}", keys.authorized.display()))?;
    let count = keys.read()?.good(SystemTime::now()).count();
    print(&format!("settings are good; keys that may connect: {count}{invited}"))?;
    Ok(())
}

/// Which file was read.
fn settings(here: &Here) -> Result<String, StartError> {
    if let Some(file) = &here.config.file {
        return Ok(format!("settings: {}", file.display()));
    }
    let [user, system] = Config::usual_files(&Places::of_user()?);
    Ok(format!("settings: the defaults; there is no file {} and no {}", user.display(), system.display()))
}

/// As the server does before it binds the address. Whether it can be had is not known: a server may have it.
fn check_address(here: &Here, endpoint: &Endpoint) -> Result<(), StartError> {
    let (host, port) = match endpoint {
        Endpoint::Unix(path) => return unix_socket::check(path),
        Endpoint::Tcp { host, port } => (host, port),
    };
    let found = (host.as_str(), *port).to_socket_addrs();
    let addresses = found.map_err(|source| StartError::Listen { endpoint: endpoint.clone(), source })?;
    check_reach(endpoint, &addresses.collect::<Vec<_>>(), &here.door())
}
