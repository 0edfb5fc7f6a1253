//! Passwords: which are taken, and how they are kept (Argon2id with the parameters that OWASP advises).

use argon2::password_hash::Error;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};

use crate::domain::Fault;

/// The fewest characters of a password.
const PASSWORD_MIN: usize = 12;
/// The most: hashing a megabyte helps nobody.
const PASSWORD_MAX: usize = 256;
const USERNAME_MAX: usize = 64;

/// Long enough to be taken and tried first by everybody.
const BLOCKED: &[&str] = &[
    "123456789012",
    "1234567890123",
    "adminadminadmin",
    "administrator",
    "changeme1234",
    "changemechangeme",
    "correcthorsebatterystaple",
    "iloveyou1234",
    "letmein12345",
    "letmeinletmein",
    "loadbalancer",
    "passw0rd1234",
    "password1234",
    "password12345",
    "password123456",
    "passwordpassword",
    "penstock1234",
    "penstockpenstock",
    "qwerty123456",
    "qwertyuiop12",
    "qwertyuiop123",
    "qwertyuiop[]",
    "welcome12345",
];

/// The hash of no password, with the parameters of `Argon2::default()`: it costs what a real one costs.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$cGVuc3RvY2stbm9ib2R5$CX0IiUsD4DGJFvEzV2Ez2xPvyzIEgMXBzvvMlnNrVDk";

/// Whether somebody can be called so.
pub(crate) fn check_username(username: &str) -> Result<(), Fault> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "._-@".contains(letter);
    // Without a name at all that is said already.
    if username.len() <= USERNAME_MAX && username.chars().all(fits) {
        return Ok(());
    }
    Err(Fault::new("invalid", format!("want 1 to {USERNAME_MAX} letters, digits or any of . _ - @")))
}

/// Whether the user of this name can have this password.
pub(crate) fn check(username: &str, password: &str) -> Result<(), Fault> {
    let length = password.chars().count();
    if !(PASSWORD_MIN..=PASSWORD_MAX).contains(&length) {
        return Err(Fault::new("out_of_range", format!("want {PASSWORD_MIN} to {PASSWORD_MAX} characters")));
    }
    let plain = password.to_lowercase();
    let mut letters = plain.chars();
    let first = letters.next();
    if BLOCKED.contains(&plain.as_str()) || letters.all(|letter| Some(letter) == first) {
        return Err(Fault::new("too_weak", "this password is among the first that anybody tries"));
    }
    if plain.contains(&username.to_lowercase()) && username.len() >= 3 {
        return Err(Fault::new("too_weak", "the password contains the name"));
    }
    Ok(())
}

/// A hash of `password` with a new salt.
pub(crate) fn hash(password: &str) -> Result<String, Error> {
    Ok(Argon2::default().hash_password(password.as_bytes())?.to_string())
}

/// Whether `password` is that of `hash`; it takes as long where there is none.
pub(super) fn verify(password: &str, hash: Option<String>) -> bool {
    let known = hash.is_some();
    let hash = hash.unwrap_or_else(|| NOBODY.to_owned());
    Argon2::default().verify_password(password.as_bytes(), hash.as_str()).is_ok() && known
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_password_is_known_again_and_no_other() {
        let hash = hash("a good long one").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(verify("a good long one", Some(hash.clone())));
        assert!(!verify("a good long two", Some(hash)));
    }

    #[test]
    fn nobody_costs_what_somebody_costs() {
        assert!(argon2::PasswordHash::new(NOBODY).is_ok());
        let hash = hash("a good long one").unwrap();
        let timed = |hash: Option<String>| {
            let start = Instant::now();
            assert!(!verify("wrong", hash));
            start.elapsed()
        };
        let (somebody, nobody) = (timed(Some(hash)), timed(None));
        assert!(nobody * 20 > somebody, "{nobody:?} is far below {somebody:?}");
    }

    #[test]
    fn weak_passwords_are_refused_with_the_field() {
        let code = |password| check("admin", password).unwrap_err().code();
        assert_eq!(code("short"), "out_of_range");
        assert_eq!(code("Password1234"), "too_weak");
        assert_eq!(code("aaaaaaaaaaaaaa"), "too_weak");
        assert_eq!(code("my-admin-password"), "too_weak");
        assert!(check("admin", "sluice gate at dawn").is_ok());
        assert!(check_username("jane.doe@shop").is_ok());
        assert!(check_username("a b").is_err());
    }
}
