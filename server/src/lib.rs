//! Telex for those who listen: takes connections, runs jobs, reports what became of them.
//!
//! From the outside in:
//!
//! - [`cli`]: arguments, signals, exit codes; the only place that prints
//! - [`Config`], [`Server`], [`Settings`]: what to listen on; the accept loop, and its end; what can change meanwhile
//! - `handover`: another program takes the place of this one in the same process
//! - `presence`: which servers of this user there are
//! - `service_manager`: what systemd passes on, and what it is told
//! - `gate`, `admission`: how many strangers there may be, and whom the server does not hear for a while
//! - `connection`: one client, from its arrival to its end, a type for each state
//! - `login`, `key_files`, `invitations`, `sessions`: who is let in, and who is not any more
//! - `inherited`: descriptors that the program was started with; `parcel`: what one program hands to the next beside words
//! - `reserve`: descriptors for finding that out when there are no others left
//! - `authorize`, `scope`: what somebody may do who was let in, and with whose jobs
//! - `service`: what the connections share; `pause`: cuts off what is under way, for a moment
//! - `job`: the rules of one job, and the task that keeps them
//! - `audit`, `logging`: what is recorded of all this; `background`, `stderr`: how it is written without waiting for
//!   a reader
//! - [`store`]: what jobs that outlast the server leave on the disk
//! - `clock`: the time by which the rules of jobs go
//! - `process`: the operating system: spawning, waiting, signals, pipes
//! - [`CrashPoint`]: where tests kill it
//! - `host_key`: how the server proves that it is this one

mod admission;
mod audit;
mod authorize;
mod background;
pub mod cli;
mod clock;
mod config;
mod connection;
mod crash_point;
mod error;
mod gate;
mod handover;
mod host_key;
mod inherited;
mod invitations;
mod job;
mod key_files;
mod listener;
mod logging;
mod login;
mod parcel;
mod pause;
mod presence;
mod process;
mod reserve;
mod scope;
mod server;
mod service;
mod service_manager;
mod sessions;
mod stderr;
pub mod store;
mod supervised;
mod supervisor;

pub use audit::AuditError;
pub use authorize::Owner;
pub use background::NotTaken;
pub use config::Config;
pub use crash_point::CrashPoint;
pub use error::{Left, StartError};
pub use handover::HandoverError;
pub use host_key::HostKeyError;
pub use invitations::InvitationsError;
pub use key_files::KeyRefusal;
pub use listener::Unusable;
pub use scope::{NotOne, Scope};
pub use server::{Running, Server, Settings};
