//! A whole connection, from its arrival to its end, with a peer that says exactly what a test wants said.
//!
//! What has run is counted by the audit trail, and by files that commands would leave behind.

mod every_frame;
mod keys;
mod length_bombs;
mod model;
mod peer;
mod resume;
mod roles;
mod windows;
mod world;
