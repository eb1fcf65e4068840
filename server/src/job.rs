//! One job on the server: what is true of it, the rules that it lives by, the task that keeps them, and who is attached.
//!
//! - [`state`]: the job itself, which outlives connections; [`outlet`] keeps its output, [`orders`] what
//!   it was told
//! - [`rules`] and [`presence`] decide and do nothing: what its process may do next, and what becomes of it without a client
//! - [`task`] does and decides nothing; [`input`] and [`output`] move bytes between the process's pipes and the job
//! - [`control`]: what its client tells it beside stdin, and what it reports beside its output; [`tide`] keeps those in order
//! - [`attachment`]: one client's hold on it, over one connection
//! - [`life`]: one after the other what becomes of it, and that it can be cut off
//! - [`handed`]: jobs that the next program in this process goes on with
//! - [`registry`]: all jobs there are, and those there were

mod attachment;
mod control;
mod handed;
mod input;
mod life;
mod orders;
mod outlet;
mod output;
mod presence;
mod registry;
mod rules;
#[cfg(test)]
pub(crate) mod stage;
mod state;
mod task;
#[cfg(test)]
mod tests;
mod tide;

use common::limits;

pub(crate) use attachment::{Attachment, Link, Served};
pub(crate) use control::Control;
pub(crate) use handed::{Handed, HandingError, sample, write as hand_over};
pub(crate) use life::{Paused, begin, resume};
pub(crate) use outlet::{Buffer, Log, Outlet, Spools};
pub(crate) use presence::{Departure, RETURN};
pub(crate) use registry::{Place, Registered, Registry};
#[cfg(test)]
pub(crate) use stage::run;
pub(crate) use state::{Job, NoHold, waits_for_disk};
#[cfg(not(test))]
pub(crate) use task::run;

/// Pipe of a command that reads, or fills its first one: four full reads, so that both sides run at the same time.
const LARGE_PIPE: usize = 4 * limits::DATA_PAYLOAD;
