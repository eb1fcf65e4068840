//! Keys for tests: honest ones, and those of somebody who claims to own another's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use crate::keys::PublicKey;
use crate::tls::Identity;

/// A key that is made from a number, and counts what it signs.
#[derive(Debug)]
pub(super) struct TestKey {
    pair: Ed25519KeyPair,
    shown: PublicKey,
    signatures: AtomicUsize,
}

impl TestKey {
    pub(super) fn new(seed: u8) -> Arc<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let shown = PublicKey::from_bytes(pair.public_key().as_ref().try_into().unwrap());
        Arc::new(Self { pair, shown, signatures: AtomicUsize::new(0) })
    }

    /// Shows the key made from `victim`, and signs with the one made from `seed`.
    pub(super) fn impostor(seed: u8, victim: u8) -> Arc<Self> {
        let Self { pair, signatures, .. } = Arc::into_inner(Self::new(seed)).unwrap();
        Arc::new(Self { pair, shown: Self::new(victim).shown, signatures })
    }

    pub(super) fn client() -> Arc<Self> {
        Self::new(1)
    }

    pub(super) fn server() -> Arc<Self> {
        Self::new(2)
    }

    /// How often it has signed.
    pub(super) fn signatures(&self) -> usize {
        self.signatures.load(Ordering::Relaxed)
    }
}

impl Identity for TestKey {
    fn public_key(&self) -> PublicKey {
        self.shown
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], String> {
        self.signatures.fetch_add(1, Ordering::Relaxed);
        self.pair.sign(message).as_ref().try_into().map_err(|_| "no signature".to_owned())
    }
}
