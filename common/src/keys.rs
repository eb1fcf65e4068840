//! Who is who: keys, and the files that say what they are good for.
//!
//! Only Ed25519, in OpenSSH's formats. Knows no socket and no protocol; a decision is made by whoever asks.
//!
//! - [`PublicKey`], [`Fingerprint`]: a key as it is shown, written and sent
//! - [`PrivateKey`]: a key pair, from OpenSSH's files and to them
//! - [`authorized_keys`]: which keys may connect to a server, and on which conditions
//! - [`known_hosts`]: which key a server has
//! - [`revoked_keys`]: which keys are good for nothing any more
//! - [`Problem`], [`LineError`]: what is wrong with a line of these files
//! - [`read_trusted`], [`read_private`]: files that nobody else can have changed; [`read_untrusted`]: others
//! - [`create_private`], [`append_line`], [`rewrite`]: files that are whole at every moment
//! - [`agent`]: keys that an ssh-agent keeps; the one part that talks to somebody

pub mod agent;
pub mod authorized_keys;
mod fields;
mod file;
pub mod known_hosts;
mod line_error;
mod pattern;
mod private_key;
mod public_key;
pub mod revoked_keys;
mod write;
mod written_key;

pub use fields::LINE_BYTES;
pub use file::{
    FileError, FileProblem, Place, TRUSTED_FILE_BYTES, Trust, read_private, read_trusted, read_untrusted,
};
pub use line_error::{LineError, Problem};
pub use private_key::{PrivateKey, PrivateKeyError};
pub use public_key::{Fingerprint, KeyError, PublicKey};
pub use write::{WriteError, append_line, create_private, rewrite};
