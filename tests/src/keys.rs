//! The keys of the scenarios. Made once in a test program, and good for nothing outside of it.

use std::sync::LazyLock;

use common::keys::PrivateKey;

static CLIENT: LazyLock<PrivateKey> = LazyLock::new(new);
static HOST: LazyLock<PrivateKey> = LazyLock::new(new);
static STRANGER: LazyLock<PrivateKey> = LazyLock::new(new);

/// The key that clients of a [`crate::TestServer`] have, which its `authorized_keys` lets in.
pub fn client_key() -> &'static PrivateKey {
    &CLIENT
}

/// The key of every [`crate::TestServer`], which its `known_hosts` knows.
pub fn host_key() -> &'static PrivateKey {
    &HOST
}

/// A key that nobody knows.
pub fn strange_key() -> &'static PrivateKey {
    &STRANGER
}

fn new() -> PrivateKey {
    PrivateKey::generate().unwrap()
}
