//! `server upgrade`: tells the server of this user to become the program that is in its file now, and says what came of it.

use std::thread;
use std::time::{Duration, Instant};

use common::escape::escape;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, pidfd_send_signal};

use super::{Here, print};
use crate::error::StartError;
use crate::presence::{Found, Presence, Present, again, present};

/// How long it may take: 10 s for the next program to say that it is sound, 13 s for connections to end, and its start.
const PATIENCE: Duration = Duration::from_secs(40);

/// Between two looks at what the server says.
const PAUSE: Duration = Duration::from_millis(50);

/// Upgrades the one server that there is, or the one in process `pid`.
pub(super) fn upgrade(here: &Here, pid: Option<u32>) -> Result<(), StartError> {
    let before = find(here, pid)?;
    pidfd_send_signal(&before.process, Signal::USR2).map_err(std::io::Error::from)?;
    let now = outcome(here, &before)?;
    Ok(print(&format!("process {} is upgraded, and runs version {} now", now.process, now.version))?)
}

fn find(here: &Here, pid: Option<u32>) -> Result<Present, StartError> {
    let path = &here.config.paths.state_directory;
    let Found { servers: mut found, distrusted } = present(path, &here.trust)?;
    found.retain(|present| pid.is_none_or(|pid| pid == present.presence.process));
    let none = || match distrusted {
        Some(error) => StartError::Distrusted(error),
        None => StartError::NoServer { path: path.clone() },
    };
    let server = found.pop().ok_or_else(none)?;
    if found.is_empty() {
        return Ok(server);
    }
    found.push(server);
    let describe = |Present { presence, .. }: &Present| {
        format!("process {} on {}", presence.process, presence.listening.join(", "))
    };
    Err(StartError::Servers(escape(&found.iter().map(describe).collect::<Vec<_>>().join("; ")).into_owned()))
}

/// What the server says of itself after it.
fn outcome(here: &Here, before: &Present) -> Result<Presence, StartError> {
    let Present { presence, process } = before;
    let failed = |reason: String| StartError::NotUpgraded { process: presence.process, reason };
    let begun = Instant::now();
    loop {
        let now = again(&here.config.paths.state_directory, &here.trust, presence);
        match now {
            Some(now) if now.upgrades > presence.upgrades => return Ok(now),
            Some(now) if now.failed_upgrades > presence.failed_upgrades => {
                return Err(failed(now.failure.unwrap_or_default()));
            }
            _ => {}
        }
        if has_ended(process) {
            return Err(failed("it has ended; its log says why".to_owned()));
        }
        if begun.elapsed() > PATIENCE {
            return Err(failed(format!("it has not said anything for {} s", PATIENCE.as_secs())));
        }
        thread::sleep(PAUSE);
    }
}

fn has_ended(process: &std::os::fd::OwnedFd) -> bool {
    let mut ended = [PollFd::new(process, PollFlags::IN)];
    poll(&mut ended, Some(&Timespec::default())).is_ok_and(|count| count > 0)
}
