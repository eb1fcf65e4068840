//! `server handover-check`: whether this program would take over what a server has, whose record is stdin. Changes nothing.

use rustix::stdio::stdin;
use tokio::runtime;

use super::{Here, print};
use crate::audit::Audit;
use crate::error::StartError;
use crate::handover::{HandoverError, Record, SOUND, read_record};
use crate::host_key;
use crate::job::Handed;
use crate::listener::{Arrangement, Listener, arrange, check_kept, unix_socket};

/// Says so, or what is wrong.
pub(super) fn check(here: &Here) -> Result<(), StartError> {
    let memory = stdin().try_clone_to_owned().map_err(HandoverError::Memory)?;
    let record = read_record(memory)?;
    Handed::read(&record.jobs).map_err(HandoverError::JobRecord)?;
    host_key::check(&here.config.paths.host_key, &here.trust)?;
    Audit::check(&here.config.audit)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(check_listeners(here, &record))?;
    Ok(print(SOUND)?)
}

/// Whether it could go on where the server listens, and listen where that does not.
async fn check_listeners(here: &Here, record: &Record) -> Result<(), StartError> {
    let given = record.listeners.iter().map(|listener| listener.given()).collect::<Result<_, _>>()?;
    let Arrangement { kept, missing, .. } = arrange(&here.config.listen, given).await?;
    let door = here.door();
    for kept in kept {
        check_kept(&kept.endpoint, &door)?;
        if let common::endpoint::Endpoint::Unix(path) = &kept.endpoint {
            unix_socket::check(path)?;
        }
    }
    for missing in missing {
        // For a moment: whether it can be had is only known then.
        drop(Listener::bind(&missing, &door)?);
    }
    Ok(())
}
