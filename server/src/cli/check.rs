//! `server check`: what a start with these settings would come to. Makes nothing but the file of the audit trail.

use std::net::ToSocketAddrs;
use std::time::SystemTime;

use common::endpoint::Endpoint;

use super::{Here, print};
use crate::audit::Audit;
use crate::error::StartError;
use crate::host_key;

/// Says what is wrong, or what would be so.
pub(super) fn check(here: &Here) -> Result<(), StartError> {
    let keys = here.keys();
    let authorized = keys.authorized()?;
    keys.revoked()?;
    host_key::load(&here.config.paths.host_key, &here.trust)?;
    Audit::open(&here.config.audit)?;
    for endpoint in &here.config.listen {
        check_reachable(here, endpoint)?;
    }
    for problem in &authorized.problems {
        print(&format!("{}: {problem}; this line lets nobody in", keys.authorized.display()))?;
    }
    let invited =
        if here.invitations().any_open(SystemTime::now()) { ", and an invitation is open" } else { "" };
    let count = keys.read()?.good(SystemTime::now()).count();
    print(&format!("settings are good; keys that may connect: {count}{invited}"))?;
    Ok(())
}

/// As the server does when it binds the address.
fn check_reachable(here: &Here, endpoint: &Endpoint) -> Result<(), StartError> {
    let Endpoint::Tcp { host, port } = endpoint else { return Ok(()) };
    let addresses = (host.as_str(), *port).to_socket_addrs();
    let mut addresses =
        addresses.map_err(|source| StartError::Listen { endpoint: endpoint.clone(), source })?;
    let is_public = !addresses.all(|address| address.ip().is_loopback());
    if is_public && !here.door().may_let_somebody_in(SystemTime::now())? {
        return Err(StartError::NoKeys { endpoint: endpoint.clone() });
    }
    Ok(())
}
