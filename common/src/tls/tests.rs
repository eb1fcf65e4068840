//! What TLS withstands, byte by byte and without sockets. The other end is the library's buffered interface, which shares
//! no line with ours above the records, or a hand that writes records itself.

mod after_handshake;
mod downgrade;
mod ends;
mod flights;
mod handshake;
mod keys;
mod peer;
mod proof;
mod records;
mod resumption;
mod sockets;

#[path = "../../tests/support/random.rs"]
mod random;
