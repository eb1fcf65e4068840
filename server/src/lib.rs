//! Telex for those who listen: takes connections, runs jobs, reports what became of them.
//!
//! From the outside in:
//!
//! - [`cli`]: arguments, signals, exit codes; the only place that prints
//! - [`Config`] and [`Server`]: what to listen on; the accept loop, with its limits and its end
//! - `service`: what the connections share
//! - `connection`: one client: greeting, authorisation, the packets of its jobs
//! - `job`: the rules of one job, and the task that keeps them
//! - `audit`: what is recorded of all this
//! - `process`: the operating system: spawning, waiting, signals, pipes

mod admission;
mod audit;
mod authorize;
pub mod cli;
mod config;
mod connection;
mod error;
mod gate;
mod host_key;
mod invitations;
mod job;
mod key_files;
mod listener;
mod logging;
mod login;
mod process;
mod server;
mod service;
mod sessions;

pub use audit::AuditError;
pub use config::Config;
pub use error::StartError;
pub use host_key::HostKeyError;
pub use invitations::InvitationsError;
pub use key_files::KeyRefusal;
pub use server::{Server, Settings};
