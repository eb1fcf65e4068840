//! What the scenario files in `tests/` are written with.
//!
//! - [`TestServer`]: the real server on a free port, with a home of its own, stopped when dropped
//! - [`Sandbox`]: the two programs' command lines, with an environment that holds nothing of the developer's
//! - [`Running`] and [`Ran`]: a program that runs, and what became of it
//! - [`Manager`]: a service manager such as systemd, as far as the server hears of it
//! - [`Mark`]: finds every process of a job, wherever it went
//! - [`client_key`], [`host_key`], [`strange_key`]: who is who
//! - [`RawClient`], [`RawServer`], [`RawListener`]: peers that say exactly the bytes a test wants said
//! - [`proxy::Proxy`]: a line between a client and a server that fails as it is told
//! - [`Network`]: machines between which packets vanish, where root can make some
//! - [`enrolment`]: people who are let in and put out
//! - [`flood`]: what attacks are made of
//! - [`Terminal`]: a terminal, with the test before it
//! - [`Screen`]: the same with an emulator behind it, for what a person sees
//! - [`Repl`]: the prompt on such a screen
//! - [`has_own_home`]: a test in a process of its own
//! - [`picture`]: what is on one, drawn
//! - [`wait_until`]: the only place that pauses; everything else waits for something to happen
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

pub mod enrolment;
pub mod flood;
mod home;
mod keys;
mod manager;
mod network;
mod noise;
mod processes;
pub mod proxy;
mod raw_listener;
mod raw_peer;
mod repl;
mod running;
mod sandbox;
mod screen;
mod svg;
mod terminal;
mod test_server;
mod tls;
mod wait;
mod wire;

pub use home::has_own_home;
pub use keys::{client_key, host_key, strange_key};
pub use manager::{Manager, Said};
pub use network::{Network, Place};
pub use noise::{Noise, noise};
pub use processes::{
    Mark, command_lines, is_stopped, process_state, resident_bytes, supervisors, zombie_children,
};
pub use raw_listener::RawListener;
pub use raw_peer::{RawClient, RawPeer, RawServer, order, start, start_as, start_spec};
pub use repl::Repl;
pub use running::{Ran, Running};
pub use sandbox::Sandbox;
pub use screen::Screen;
pub use svg::picture;
pub use terminal::Terminal;
pub use test_server::{ServerOptions, TestServer, WITHOUT_CGROUPS};
pub use wait::{DEADLINE, wait_until, within};
