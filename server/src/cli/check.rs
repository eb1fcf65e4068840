//! `server check`: what a start with these settings would come to. Changes nothing.

use std::time::SystemTime;

use super::{Here, print};
use crate::error::StartError;

/// Says what is wrong, or what would be so.
pub(super) fn check(here: &Here) -> Result<(), StartError> {
    let keys = here.keys();
    let authorized = keys.authorized()?;
    keys.revoked()?;
    for problem in &authorized.problems {
        print(&format!("{}:{problem}; this line lets nobody in", keys.authorized.display()))?;
    }
    let invited =
        if here.invitations().any_open(SystemTime::now()) { ", and an invitation is open" } else { "" };
    print(&format!("settings are good; keys that may connect: {}{invited}", authorized.entries.len()))?;
    Ok(())
}
