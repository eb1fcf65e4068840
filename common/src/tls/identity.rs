//! A key that proves who this side is, as the TLS library wants it.

use std::fmt::Debug;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};

use crate::keys::{PrivateKey, PublicKey};

/// Something that owns an Ed25519 key: a file that was read, or an agent that does not give the key away.
pub trait Identity: Debug + Send + Sync {
    /// The public half.
    fn public_key(&self) -> PublicKey;

    /// The signature of `message` (RFC 8032).
    ///
    /// # Errors
    /// Why there is none, in words for the user.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], String>;

    /// Whether [`Identity::sign`] may take long, and must not be called where other work would have to wait.
    fn blocks(&self) -> bool {
        false
    }
}

impl Identity for PrivateKey {
    fn public_key(&self) -> PublicKey {
        self.public()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], String> {
        Ok(Self::sign(self, message))
    }
}

/// `identity` with its raw public key in the place of a certificate.
pub(super) fn certified(identity: Arc<dyn Identity>) -> Arc<CertifiedKey> {
    let spki = CertificateDer::from(identity.public_key().to_spki().to_vec());
    Arc::new(CertifiedKey::new(vec![spki], Arc::new(Key(identity))))
}

#[derive(Debug)]
struct Key(Arc<dyn Identity>);

impl SigningKey for Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered
            .contains(&SignatureScheme::ED25519)
            .then(|| Box::new(Self(Arc::clone(&self.0))) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(self.0.public_key().to_spki().to_vec()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.0.sign(message).map(|signature| signature.to_vec()).map_err(Error::General)
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}
