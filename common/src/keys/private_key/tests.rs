//! Keys of `ssh-keygen`, damaged ones, and our own read back. That `ssh-keygen` reads ours is shown by
//! `common/tests/private_key_files.rs`.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_eddsa_type;
use rustls::pki_types::PrivatePkcs8KeyDer;

use super::*;

/// `ssh-keygen -t ed25519 -C ann@example`.
const PLAIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACDpFJusktSIzffjb6ok2ePt82ll8GNYOrH9a3D+xOb1XgAAAJC4Bw8uuAcP
LgAAAAtzc2gtZWQyNTUxOQAAACDpFJusktSIzffjb6ok2ePt82ll8GNYOrH9a3D+xOb1Xg
AAAEAncS5j4D5fJ4mGWKuOqG4Hey+nLeSBM0eQcklJ11GcnekUm6yS1IjN9+NvqiTZ4+3z
aWXwY1g6sf1rcP7E5vVeAAAAC2FubkBleGFtcGxlAQI=
-----END OPENSSH PRIVATE KEY-----
";
const PLAIN_PUBLIC: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOkUm6yS1IjN9+NvqiTZ4+3zaWXwY1g6sf1rcP7E5vVe";

/// The same with `-a 1 -N 'open sesame'`.
const LOCKED: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABDj/iBf43
fk0D7zEhk/glS6AAAAAQAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIGTcM1a6OMBi67/+
7D5cGBr7m84sPacVNgamY0aghdWRAAAAkH4jgngIJI4d4gvZWMVSiQQdQADehQI6rUIn3w
O/9eQdQoAX/PEFDmGjQCCvIOpWH7X8UpY3dl58uAe5ivF7jm1nmZnwq7tjtrEcivu/AldH
8gEWqtMLXCbAPeTMlwO5rn8nr2Ih5CH0jr+DXU9LxvM740xv8US+Vx8/2u3lByqWpP5hTS
Zrf0mzFdkIQ+x2FA==
-----END OPENSSH PRIVATE KEY-----
";
const LOCKED_PUBLIC: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGTcM1a6OMBi67/+7D5cGBr7m84sPacVNgamY0aghdWR";
const PASSPHRASE: &[u8] = b"open sesame";

/// Where the public key stands in the bytes of [`PLAIN`]: before the private part, in it, and after the seed.
const PUBLIC_KEYS: [usize; 3] = [62, 125, 193];
const SEED: usize = 161;

/// Where the bytes of [`LOCKED`] say how many rounds of bcrypt it takes.
const ROUNDS_AT: usize = 63;

fn read(text: &str) -> Result<PrivateKey, PrivateKeyError> {
    PrivateKey::from_openssh(text.as_bytes(), None)
}

fn bytes(text: &str) -> Vec<u8> {
    openssh::from_armour(text.as_bytes()).unwrap().to_vec()
}

fn with(text: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = bytes(text);
    change(&mut bytes);
    openssh::to_armour(&bytes).to_string()
}

#[test]
fn a_key_of_openssh() {
    let key = read(PLAIN).unwrap();
    assert_eq!(key.public().to_string(), PLAIN_PUBLIC);
    assert_eq!(key.comment(), "ann@example");
}

#[test]
fn a_key_behind_a_passphrase() {
    let open = |passphrase| PrivateKey::from_openssh(LOCKED.as_bytes(), passphrase);
    let key = open(Some(PASSPHRASE)).unwrap();
    assert_eq!(key.public().to_string(), LOCKED_PUBLIC);
    assert_eq!(key.comment(), "ann@example");
    assert_eq!(open(None).unwrap_err(), PrivateKeyError::Encrypted);
    for wrong in [b"open sesam".as_slice(), b""] {
        assert_eq!(open(Some(wrong)).unwrap_err(), PrivateKeyError::WrongPassphrase);
    }
}

#[test]
fn a_passphrase_that_is_not_needed_does_not_matter() {
    assert!(PrivateKey::from_openssh(PLAIN.as_bytes(), Some(b"any")).is_ok());
}

#[test]
fn what_is_written_is_read_again() {
    let key = PrivateKey::generate().unwrap();
    let long = "ö".repeat(1000);
    for (comment, read_back) in [("", ""), ("ann@example", "ann@example"), (&long, &long[..1024])] {
        let again = read(&key.to_openssh(comment)).unwrap();
        assert_eq!((again.public(), again.comment()), (key.public(), read_back));
        assert_eq!(again.to_pkcs8(), key.to_pkcs8());
    }
}

#[test]
fn two_new_keys_are_two_keys() {
    assert_ne!(PrivateKey::generate().unwrap().public(), PrivateKey::generate().unwrap().public());
}

#[test]
fn what_a_key_signs_its_public_half_verifies() {
    let key = read(PLAIN).unwrap();
    let verifier = UnparsedPublicKey::new(&ED25519, key.public().as_bytes().to_vec());
    verifier.verify(b"message", &key.sign(b"message")).unwrap();
    assert!(verifier.verify(b"massage", &key.sign(b"message")).is_err());
}

#[test]
fn rustls_signs_with_it() {
    let key = read(PLAIN).unwrap();
    let signing_key = any_eddsa_type(&PrivatePkcs8KeyDer::from(key.to_pkcs8().as_slice())).unwrap();
    assert_eq!(signing_key.public_key().unwrap().as_ref(), key.public().to_spki());
    let signer = signing_key.choose_scheme(&[SignatureScheme::ED25519]).unwrap();
    assert_eq!(signer.sign(b"message").unwrap(), key.sign(b"message"));
}

#[test]
fn debugging_shows_no_secret() {
    let key = read(PLAIN).unwrap();
    let shown = format!("{key:?}");
    assert!(shown.starts_with("PrivateKey { public: PublicKey([233, 20,"), "{shown}");
    // The first bytes of the seed.
    assert!(!shown.contains("39, 113, 46"), "{shown}");
    assert!(key.seed.starts_with(&[39, 113, 46]));
}

#[test]
fn halves_of_two_keys_are_no_key() {
    for at in PUBLIC_KEYS.into_iter().chain([SEED]) {
        let text = with(PLAIN, |bytes| bytes[at] ^= 1);
        assert!(read(&text).is_err(), "{at}");
    }
    let everywhere = with(PLAIN, |bytes| PUBLIC_KEYS.into_iter().for_each(|at| bytes[at] ^= 1));
    assert_eq!(read(&everywhere).unwrap_err(), PrivateKeyError::Mismatch);
    let in_front = with(PLAIN, |bytes| bytes[PUBLIC_KEYS[0]] ^= 1);
    assert_eq!(read(&in_front).unwrap_err(), PrivateKeyError::Mismatch);
}

#[test]
fn no_cut_of_a_key_is_a_key() {
    for text in [PLAIN, LOCKED] {
        let whole = bytes(text);
        for cut in 0..whole.len() {
            let text = openssh::to_armour(&whole[..cut]);
            assert!(PrivateKey::from_openssh(text.as_bytes(), None).is_err(), "{cut}");
        }
        for cut in 0..text.len() - 1 {
            assert_eq!(read(&text[..cut]).unwrap_err(), PrivateKeyError::Malformed, "{cut}");
        }
        let longer = with(text, |bytes| bytes.push(0));
        assert_eq!(read(&longer).unwrap_err(), PrivateKeyError::Malformed);
    }
}

#[test]
fn a_file_cannot_ask_for_years_of_work() {
    let asking = |rounds: u32| {
        let text =
            with(LOCKED, |bytes| bytes[ROUNDS_AT..ROUNDS_AT + 4].copy_from_slice(&rounds.to_be_bytes()));
        PrivateKey::from_openssh(text.as_bytes(), Some(PASSPHRASE)).unwrap_err()
    };
    assert_eq!(asking(1001), PrivateKeyError::Rounds { rounds: 1001 });
    assert_eq!(asking(u32::MAX), PrivateKeyError::Rounds { rounds: u32::MAX });
    assert_eq!(asking(0), PrivateKeyError::Malformed);
    // Other rounds make another key.
    assert_eq!(asking(2), PrivateKeyError::WrongPassphrase);
}

#[test]
fn lines_may_be_broken_anywhere() {
    let base64: String = PLAIN.lines().filter(|line| !line.starts_with('-')).collect();
    for width in [1, 64, 76, base64.len()] {
        for end in ["\n", "\r\n", " \n"] {
            let lines: Vec<_> =
                base64.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
            let text = format!(
                "-----BEGIN OPENSSH PRIVATE KEY-----{end}{}{end}-----END OPENSSH PRIVATE KEY-----",
                lines.join(end)
            );
            assert_eq!(read(&text).unwrap().public().to_string(), PLAIN_PUBLIC, "{width}");
        }
    }
}

#[test]
fn what_is_no_key_is_refused_for_what_it_is() {
    let long = format!("{PLAIN}{}", "\n".repeat(FILE_BYTES));
    let algorithm = |name: &str| PrivateKeyError::Algorithm { algorithm: name.to_owned() };
    let other = with(PLAIN, |bytes| bytes[47..58].copy_from_slice(b"ssh-ed25518"));
    for (text, expected) in [
        ("", PrivateKeyError::Malformed),
        (PLAIN_PUBLIC, PrivateKeyError::Malformed),
        ("-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n", PrivateKeyError::Malformed),
        (&long, PrivateKeyError::Malformed),
        ("-----BEGIN RSA PRIVATE KEY-----\n", algorithm("ssh-rsa")),
        ("-----BEGIN EC PRIVATE KEY-----\n", algorithm("ecdsa")),
        (&other, algorithm("ssh-ed25518")),
    ] {
        assert_eq!(read(text).unwrap_err(), expected, "{text:.80}");
    }
}
