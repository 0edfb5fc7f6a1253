//! The second factor: codes of six digits from a device that shares a secret with the appliance (TOTP, RFC 6238), and codes that are
//! good once for who has lost it.

use std::net::IpAddr;

use aws_lc_rs::hmac;
use aws_lc_rs::rand;
use data_encoding::BASE32_NOPAD;
use uuid::Uuid;

use super::token::now;
use super::{Caller, Denied, SignIn};
use crate::domain::revision::sha256;
use crate::store::{Account, Outcome};
use crate::vault;

/// Seconds for which a code is shown.
const STEP_S: u64 = 30;
const DIGITS: u32 = 6;
/// Bytes of a secret: those of the hash (RFC 4226, 4, R6).
const SECRET_LEN: usize = 20;
/// Steps by which the device's clock may be off, either way.
const DRIFT: u64 = 1;
const RECOVERY_CODES: usize = 10;
/// Bytes of a recovery code: 80 bits, which nobody guesses.
const RECOVERY_LEN: usize = 10;

/// How it stands with a user's second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There is none.
    Off,
    /// The device has not shown yet that it has the secret.
    Pending,
    /// It is asked for; so many recovery codes are left.
    On(u32),
}

/// What the device is told.
pub(crate) struct Enrolment {
    /// The secret, in base 32.
    pub(crate) secret: String,
    /// The same as an address for a QR code.
    pub(crate) uri: String,
}

impl SignIn {
    /// How it stands with the caller's second factor.
    pub(crate) async fn second_factor(&self, user: Uuid) -> Result<Standing, Denied> {
        Ok(match self.store.second_factor(user).await? {
            None => Standing::Off,
            Some(factor) if factor.confirmed => Standing::On(factor.recovery_codes),
            Some(_) => Standing::Pending,
        })
    }

    /// Gives the caller a secret for a device. It is not asked for before [`SignIn::confirm_second_factor`]. Nothing if one is asked for already.
    pub(crate) async fn enrol(&self, caller: &Caller, password: &str) -> Result<Option<Enrolment>, Denied> {
        self.confirm(caller, password).await?;
        let secret: [u8; SECRET_LEN] = random()?;
        let sealed = vault::seal_totp(&secret).map_err(|error| Denied::Failed(error.to_string()))?;
        if !self.store.offer_second_factor(caller.user, &sealed).await? {
            return Ok(None);
        }
        let secret = BASE32_NOPAD.encode(&secret);
        let name = &caller.username;
        let uri = format!(
            "otpauth://totp/Penstock:{name}?secret={secret}&issuer=Penstock&digits={DIGITS}&period={STEP_S}"
        );
        Ok(Some(Enrolment { secret, uri }))
    }

    /// From now on the caller's second factor is asked for, as its device has shown a code. The recovery codes; nothing if there is
    /// none to be confirmed.
    pub(crate) async fn confirm_second_factor(
        &self,
        caller: &Caller,
        code: &str,
    ) -> Result<Option<Vec<String>>, Denied> {
        let Some(factor) = self.store.second_factor(caller.user).await?.filter(|factor| !factor.confirmed)
        else {
            return Ok(None);
        };
        let secret = vault::open_totp(&factor.sealed_secret);
        let step = secret.and_then(|secret| step_of(&secret, code, now())).ok_or(Denied::Wrong("code"))?;
        let codes = (0..RECOVERY_CODES).map(|_| recovery_code()).collect::<Result<Vec<_>, _>>()?;
        let hashes: Vec<String> = codes.iter().map(|code| recovery_hash(code)).collect();
        self.store.confirm_second_factor(caller.user, step, &hashes).await?;
        self.note(
            "second_factor.begin",
            Some(caller.user),
            &caller.username,
            caller.source,
            Outcome::Succeeded,
        )
        .await?;
        Ok(Some(codes))
    }

    /// The caller's second factor is not asked for any more. Says whether there was one.
    pub(crate) async fn end_second_factor(&self, caller: &Caller, password: &str) -> Result<bool, Denied> {
        self.confirm(caller, password).await?;
        let ended = self.store.remove_second_factor(caller.user).await?;
        if ended {
            let (user, name) = (Some(caller.user), &caller.username);
            self.note("second_factor.end", user, name, caller.source, Outcome::Succeeded).await?;
        }
        Ok(ended)
    }

    /// Whether this is what the second factor of `account` wants, if it has one. A code is good once.
    pub(super) async fn check_second_factor(
        &self,
        account: &Account,
        username: &str,
        code: Option<&str>,
        source: Option<IpAddr>,
    ) -> Result<(), Denied> {
        let factor = self.store.second_factor(account.id).await?.filter(|factor| factor.confirmed);
        let Some(factor) = factor else { return Ok(()) };
        let Some(code) = code else { return Err(Denied::SecondFactor) };
        let secret = vault::open_totp(&factor.sealed_secret);
        if let Some(step) = secret.and_then(|secret| step_of(&secret, code, now())) {
            if self.store.use_step(account.id, step).await? {
                return Ok(());
            }
        } else if self.store.use_recovery_code(account.id, &recovery_hash(code)).await? {
            return self
                .note("second_factor.recover", Some(account.id), username, source, Outcome::Succeeded)
                .await
                .map_err(Denied::from);
        }
        self.note("session.create", Some(account.id), username, source, Outcome::Denied).await?;
        Err(Denied::Wrong("code"))
    }
}

/// The time step whose code this is, of those about `now`.
fn step_of(secret: &[u8], code: &str, now: u64) -> Option<i64> {
    let typed: String = code.chars().filter(|character| *character != ' ').collect();
    let current = now / STEP_S;
    let step =
        (current.saturating_sub(DRIFT)..=current + DRIFT).find(|step| code_at(secret, *step) == typed)?;
    i64::try_from(step).ok()
}

/// The code of a time step (RFC 4226, 5.3).
fn code_at(secret: &[u8], step: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let bytes = tag.as_ref();
    let at = usize::from(bytes.last().copied().unwrap_or_default() & 0x0f);
    let word = bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
    let number = (u32::from_be_bytes(word) & 0x7fff_ffff) % 10u32.pow(DIGITS);
    format!("{number:06}")
}

fn recovery_code() -> Result<String, Denied> {
    let text = BASE32_NOPAD.encode(&random::<RECOVERY_LEN>()?).to_lowercase();
    let groups: Vec<&str> =
        text.as_bytes().chunks(4).filter_map(|group| std::str::from_utf8(group).ok()).collect();
    Ok(groups.join("-"))
}

/// However it is typed.
fn recovery_hash(code: &str) -> String {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    sha256(plain.to_ascii_lowercase().as_bytes())
}

fn random<const N: usize>() -> Result<[u8; N], Denied> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| Denied::Failed("no random numbers".to_owned()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of RFC 6238's examples (appendix B).
    const SECRET: &[u8] = b"12345678901234567890";

    #[test]
    fn codes_are_those_of_the_rfc() {
        let at = |second: u64| code_at(SECRET, second / STEP_S);
        // The last six of the eight digits there.
        let codes = [59, 1_111_111_109, 1_111_111_111, 1_234_567_890, 2_000_000_000, 20_000_000_000].map(at);
        assert_eq!(codes, ["287082", "081804", "050471", "005924", "279037", "353130"]);
    }

    #[test]
    fn a_code_is_good_a_step_early_or_late_and_no_more() {
        let now = 1_111_111_109;
        let code = code_at(SECRET, now / STEP_S);
        let step = |second| step_of(SECRET, &code, second);
        assert_eq!(step(now), i64::try_from(now / STEP_S).ok());
        assert_eq!(step(now + STEP_S), step(now));
        assert_eq!(step(now - STEP_S), step(now));
        assert_eq!((step(now + 2 * STEP_S), step(now - 2 * STEP_S)), (None, None));
        assert_eq!(step_of(SECRET, "081 804", now), step(now));
        assert_eq!(step_of(SECRET, "", now), None);
    }

    #[test]
    fn recovery_codes_are_read_however_they_are_typed() {
        let code = recovery_code().unwrap();
        assert_eq!(code.len(), 19);
        assert_eq!(recovery_hash(&code), recovery_hash(&code.to_uppercase().replace('-', " ")));
        assert_ne!(code, recovery_code().unwrap());
    }
}
