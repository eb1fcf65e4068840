//! Who is who: keys, and the files that say what they are good for.
//!
//! Only Ed25519, in OpenSSH's formats. Knows no socket and no protocol; a decision is made by whoever asks.
//!
//! - [`PublicKey`], [`Fingerprint`]: a key as it is shown, written and sent
//! - [`agent`]: keys that an ssh-agent keeps; the one part that talks to somebody

pub mod agent;
mod public_key;

pub use public_key::{Fingerprint, KeyError, PublicKey};
