//! Secrets that others must be able to use again: sealed with a key that lies in a file of its own, so that neither the
//! database, nor a backup of it, nor a snapshot gives one away. penstock-l7 opens them with the same file.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::private_file;

/// What is sealed, so that a seal of something else is never taken for it: private keys, which penstock-l7 opens.
const KEY: &[u8] = lb_model::l7::KEY_SEAL;
/// Passwords that checks show to databases, which this process opens itself.
const PASSWORD: &[u8] = b"penstock check password 1";
/// Secrets that devices share which show codes.
const TOTP: &[u8] = b"penstock second factor 1";
/// Parts of changes that are not made yet.
const PENDING: &[u8] = b"penstock pending secret 1";

/// The key of this process, set once at start.
static VAULT: OnceLock<Key> = OnceLock::new();

/// What secrets are sealed with. It has no `Debug`: it must not be logged.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key([u8; Self::LENGTH]);

impl Key {
    /// So many bytes.
    pub(crate) const LENGTH: usize = 32;

    /// The key of these bytes.
    pub(crate) fn new(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

/// Why the key cannot be had.
#[derive(Debug, Error)]
pub(crate) enum VaultError {
    /// Its file cannot be read or written.
    #[error("cannot use the key file")]
    File(#[from] io::Error),
    /// Its file holds something else.
    #[error("the key file is not 32 bytes long")]
    Length,
    /// No random bytes, or no cipher.
    #[error("cannot make a key")]
    Random,
}

/// A secret that only who has the key file can read.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Sealed(pub(crate) String);

impl PartialEq for Sealed {
    /// One that was sealed twice looks different each time: passwords are the same if they open as the same.
    fn eq(&self, other: &Self) -> bool {
        let opened =
            || open_password(self).filter(|password| open_password(other).as_ref() == Some(password));
        self.0 == other.0 || opened().is_some()
    }
}

impl Eq for Sealed {}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(…)")
    }
}

/// Reads the key, which is made at the first start.
pub(crate) fn open(path: &Path) -> Result<(), VaultError> {
    let key = if let Some(key) = private_file::read(path)? {
        key.try_into().map_err(|_| VaultError::Length)?
    } else {
        let key = random()?;
        private_file::write(path, &key)?;
        key
    };
    // Set once, before anything is sealed.
    let _ = VAULT.set(Key(key));
    Ok(())
}

/// The key of this process: a process that keeps nothing, as a test, needs no file for it.
pub(crate) fn key() -> Result<&'static Key, VaultError> {
    if let Some(key) = VAULT.get() {
        return Ok(key);
    }
    let key = Key(random()?);
    Ok(VAULT.get_or_init(|| key))
}

impl Sealed {
    /// The sign that there is nothing.
    pub(crate) fn none() -> Self {
        Self(String::new())
    }

    /// Whether it is that sign.
    pub(crate) fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

/// Seals a private key.
pub(crate) fn seal(secret: &[u8]) -> Result<Sealed, VaultError> {
    seal_for(KEY, secret)
}

/// Seals a password.
pub(crate) fn seal_password(secret: &[u8]) -> Result<Sealed, VaultError> {
    seal_for(PASSWORD, secret)
}

/// The password that was sealed; nothing if it was with another key file.
pub(crate) fn open_password(sealed: &Sealed) -> Option<Vec<u8>> {
    open_for(PASSWORD, sealed)
}

/// Seals what a device shares that shows codes.
pub(crate) fn seal_totp(secret: &[u8]) -> Result<Sealed, VaultError> {
    seal_for(TOTP, secret)
}

/// The secret that was sealed; nothing if it was with another key file.
pub(crate) fn open_totp(sealed: &Sealed) -> Option<Vec<u8>> {
    open_for(TOTP, sealed)
}

/// Seals a part of a change that is not made yet.
pub(crate) fn seal_pending(secret: &Value) -> Result<Sealed, VaultError> {
    seal_for(PENDING, secret.to_string().as_bytes())
}

/// The part that was sealed; nothing if it was with another key file.
pub(crate) fn open_pending(sealed: &Sealed) -> Option<Value> {
    serde_json::from_slice(&open_for(PENDING, sealed)?).ok()
}

/// The private key that was sealed with `key`.
pub(crate) fn open_key_with(key: &Key, sealed: &Sealed) -> Option<Vec<u8>> {
    open_with(key, KEY, sealed)
}

/// The password that was sealed with `key`.
pub(crate) fn open_password_with(key: &Key, sealed: &Sealed) -> Option<Vec<u8>> {
    open_with(key, PASSWORD, sealed)
}

fn open_for(purpose: &[u8], sealed: &Sealed) -> Option<Vec<u8>> {
    open_with(VAULT.get()?, purpose, sealed)
}

fn open_with(key: &Key, purpose: &[u8], sealed: &Sealed) -> Option<Vec<u8>> {
    let mut bytes = STANDARD.decode(&sealed.0).ok()?;
    let (nonce, secret) = bytes.split_at_mut_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let cipher = UnboundKey::new(&AES_256_GCM, key.bytes()).ok()?;
    let opened = LessSafeKey::new(cipher).open_in_place(nonce, Aad::from(purpose), secret).ok()?;
    Some(opened.to_vec())
}

fn seal_for(purpose: &[u8], secret: &[u8]) -> Result<Sealed, VaultError> {
    let cipher = UnboundKey::new(&AES_256_GCM, key()?.bytes()).map_err(|_| VaultError::Random)?;
    let nonce: [u8; NONCE_LEN] = random()?;
    let mut sealed = secret.to_vec();
    LessSafeKey::new(cipher)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(purpose), &mut sealed)
        .map_err(|_| VaultError::Random)?;
    Ok(Sealed(STANDARD.encode([&nonce, sealed.as_slice()].concat())))
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], VaultError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| VaultError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_opened_and_a_key_is_not_taken_for_one() {
        let sealed = seal_password(b"secret").unwrap();
        assert_eq!(open_password(&sealed).unwrap(), b"secret");
        assert_eq!(open_password(&seal(b"secret").unwrap()), None);
        assert_eq!(open_password(&Sealed::none()), None);
    }

    #[test]
    fn a_sealed_secret_shows_nothing_and_differs_each_time() {
        let (one, other) = (seal(b"secret").unwrap(), seal(b"secret").unwrap());
        assert_ne!(one, other);
        assert!(!format!("{one:?}").contains(&one.0));
        assert!(!STANDARD.decode(&one.0).unwrap().windows(6).any(|window| window == b"secret"));
    }
}
