//! Access tokens: JWTs of ten minutes, signed with a key of this appliance, in one fixed algorithm.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::PrepareError;
use crate::domain::revision::hex;
use crate::private_file;

/// How long a token is good for.
pub(crate) const LIFETIME_S: u64 = 600;
/// How long a key signs.
const KEY_LIFETIME: Duration = Duration::from_hours(30 * 24);
/// How long a browser's session is renewed before the password is asked for again.
pub(crate) const SESSION_S: u64 = 8 * 3600;

/// Who carries a token. One of a browser is not good in a header, nor one of a program in a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// A program, in the `Authorization` header.
    Program,
    /// A browser, in a cookie.
    Browser,
}

impl Carrier {
    /// Whom its tokens are for.
    pub(crate) fn audience(self) -> &'static str {
        match self {
            Self::Program => "penstock-api",
            Self::Browser => "penstock-console",
        }
    }
}

/// What a token is issued for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// Which it is.
    pub(crate) id: Uuid,
    /// Whose it is.
    pub(crate) user: Uuid,
    /// Who carries its tokens.
    pub(crate) carrier: Carrier,
    /// When the password was given, in seconds of Unix time.
    pub(crate) since: u64,
}

/// What a good token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// The user.
    pub(crate) user: Uuid,
    /// The session that it belongs to.
    pub(crate) session: Uuid,
    /// Who carried the token.
    pub(crate) carrier: Carrier,
    /// When the password was given, in seconds of Unix time.
    pub(crate) since: u64,
    /// When the token ends.
    pub(crate) expires: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: Uuid,
    sid: Uuid,
    aud: String,
    iat: u64,
    exp: u64,
    /// When the password was given (`OpenID` Connect Core, 2).
    auth_time: u64,
    jti: Uuid,
}

/// Signs and checks tokens.
pub(crate) struct Tokens {
    path: PathBuf,
    keys: RwLock<Keys>,
    validation: Validation,
}

/// The key that signs, and the one that did before: what it signed is good until it ends.
struct Keys {
    current: Key,
    before: Option<Key>,
}

struct Key {
    header: Header,
    signing: EncodingKey,
    checking: DecodingKey,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("kid", &self.keys().current.header.kid).finish_non_exhaustive()
    }
}

impl Key {
    fn read(der: &[u8]) -> Option<Self> {
        let key = Ed25519KeyPair::from_pkcs8(der).ok()?;
        let public = key.public_key().as_ref();
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(hex(&public[..8]));
        Some(Self {
            header,
            signing: EncodingKey::from_ed_der(der),
            checking: DecodingKey::from_ed_der(public),
        })
    }
}

impl Tokens {
    /// With the key in the file `path`, which is made if it is not there, and the one before it beside it.
    pub(super) fn prepare(path: &Path) -> Result<Self, PrepareError> {
        let failed = |source| PrepareError::File { path: path.to_owned(), source };
        let der = if let Some(der) = private_file::read(path).map_err(failed)? { der } else { fresh(path)? };
        let current = Key::read(&der).ok_or_else(|| PrepareError::Key(path.to_owned()))?;
        // One that cannot be read any more has signed nothing that is of use.
        let before = private_file::read(&before(path)).map_err(failed)?.and_then(|der| Key::read(&der));
        Ok(Self::with_keys(path.to_owned(), Keys { current, before }))
    }

    fn with_keys(path: PathBuf, keys: Keys) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[Carrier::Program.audience(), Carrier::Browser.audience()]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        // Issued and checked by the same clock.
        validation.leeway = 0;
        Self { path, keys: RwLock::new(keys), validation }
    }

    /// From now on another key signs. Tokens of the one before are good until they end, those of older ones are not.
    pub(super) fn rotate(&self) -> Result<(), PrepareError> {
        let failed = |source| PrepareError::File { path: self.path.clone(), source };
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        // Whenever this is broken off, what was signed last can still be checked.
        if let Some(der) = private_file::read(&self.path).map_err(failed)? {
            private_file::write(&before(&self.path), &der).map_err(failed)?;
        }
        let current = Key::read(&fresh(&self.path)?).ok_or_else(|| PrepareError::Key(self.path.clone()))?;
        keys.before = Some(std::mem::replace(&mut keys.current, current));
        Ok(())
    }

    /// Another key signs if this one has for long enough. Says whether one does.
    pub(super) fn rotate_if_old(&self) -> Result<bool, PrepareError> {
        let failed = |source| PrepareError::File { path: self.path.clone(), source };
        let made = std::fs::metadata(&self.path).and_then(|file| file.modified()).map_err(failed)?;
        // A clock that went back makes a key young.
        let is_old = made.elapsed().is_ok_and(|age| age > KEY_LIFETIME);
        if is_old {
            self.rotate()?;
        }
        Ok(is_old)
    }

    fn keys(&self) -> RwLockReadGuard<'_, Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token for this session. It never outlives the session.
    pub(super) fn issue(&self, session: &Session) -> Result<String, jsonwebtoken::errors::Error> {
        self.issue_at(session, now())
    }

    fn issue_at(&self, session: &Session, iat: u64) -> Result<String, jsonwebtoken::errors::Error> {
        let Session { id: sid, user, carrier, since } = *session;
        let exp = (iat + LIFETIME_S).min(since + SESSION_S);
        let (aud, jti) = (carrier.audience().to_owned(), Uuid::new_v4());
        let Key { header, signing, .. } = &self.keys().current;
        encode(header, &Claims { sub: user, sid, aud, iat, exp, auth_time: since, jti }, signing)
    }

    /// Whose token this is, if it is good for this carrier.
    pub(super) fn verify(&self, token: &str, carrier: Carrier) -> Option<Ticket> {
        let kid = decode_header(token).ok()?.kid;
        let keys = self.keys();
        let key = std::iter::once(&keys.current).chain(&keys.before).find(|key| key.header.kid == kid)?;
        let data = decode::<Claims>(token, &key.checking, &self.validation).ok()?;
        let Claims { sub: user, sid: session, aud, exp: expires, auth_time: since, .. } = data.claims;
        (aud == carrier.audience()).then_some(Ticket { user, session, carrier, since, expires })
    }
}

/// Makes a key in this file.
fn fresh(path: &Path) -> Result<Vec<u8>, PrepareError> {
    let der = Ed25519KeyPair::generate()?.to_pkcs8()?.as_ref().to_vec();
    private_file::write(path, &der).map_err(|source| PrepareError::File { path: path.to_owned(), source })?;
    Ok(der)
}

/// Where the key is kept that signed before the one in `path`.
fn before(path: &Path) -> PathBuf {
    path.with_extension("before.der")
}

/// Seconds of Unix time.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        let der = Ed25519KeyPair::generate().unwrap().to_pkcs8().unwrap();
        let current = Key::read(der.as_ref()).unwrap();
        Tokens::with_keys(PathBuf::new(), Keys { current, before: None })
    }

    #[test]
    fn what_another_key_signed_is_good_until_the_next_one_but_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.der");
        let tokens = Tokens::prepare(&path).unwrap();
        let issue = |tokens: &Tokens| tokens.issue(&session(Carrier::Program, now())).unwrap();
        let kid = |token: &str| decode_header(token).unwrap().kid.unwrap();
        let first = issue(&tokens);
        tokens.rotate().unwrap();
        let second = issue(&tokens);
        assert_ne!(kid(&first), kid(&second));
        let good = |tokens: &Tokens, token: &str| tokens.verify(token, Carrier::Program).is_some();
        // Also for the process after this one.
        for tokens in [&tokens, &Tokens::prepare(&path).unwrap()] {
            assert!(good(tokens, &first) && good(tokens, &second));
        }
        tokens.rotate().unwrap();
        assert!(!good(&tokens, &first) && good(&tokens, &second));
    }

    #[test]
    fn a_key_signs_for_so_long_and_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.der");
        let tokens = Tokens::prepare(&path).unwrap();
        assert!(!tokens.rotate_if_old().unwrap());
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - KEY_LIFETIME - Duration::from_secs(1)).unwrap();
        assert!(tokens.rotate_if_old().unwrap());
        assert!(!tokens.rotate_if_old().unwrap());
    }

    fn session(carrier: Carrier, since: u64) -> Session {
        Session { id: Uuid::now_v7(), user: Uuid::now_v7(), carrier, since }
    }

    #[test]
    fn a_token_is_good_until_it_expires_and_only_here() {
        let (ours, now) = (tokens(), now());
        let begun = session(Carrier::Program, now - LIFETIME_S - 1);
        let issue = |tokens: &Tokens, at| tokens.issue_at(&begun, at).unwrap();
        let who = |token: &str| ours.verify(token, Carrier::Program).map(|ticket| ticket.user);
        assert_eq!(who(&issue(&ours, now)), Some(begun.user));
        assert_eq!(who(&issue(&ours, now - LIFETIME_S - 1)), None);
        assert_eq!(who(&issue(&tokens(), now)), None);
        assert_eq!(who("not.a.token"), None);
    }

    #[test]
    fn a_token_is_good_only_where_it_belongs() {
        let ours = tokens();
        let [program, browser] =
            [Carrier::Program, Carrier::Browser].map(|carrier| ours.issue(&session(carrier, now())).unwrap());
        assert!(ours.verify(&program, Carrier::Program).is_some());
        assert!(ours.verify(&program, Carrier::Browser).is_none());
        assert!(ours.verify(&browser, Carrier::Browser).is_some());
        assert!(ours.verify(&browser, Carrier::Program).is_none());
    }

    #[test]
    fn another_token_keeps_a_session_for_so_long_and_no_longer() {
        let (ours, now) = (tokens(), now());
        let issued =
            |since| ours.verify(&ours.issue(&session(Carrier::Browser, since)).unwrap(), Carrier::Browser);
        let early = issued(now - 60).unwrap();
        assert_eq!(early.since, now - 60);
        assert!(early.expires >= now + LIFETIME_S);
        assert_eq!(issued(now + 30 - SESSION_S).unwrap().expires, now + 30);
        assert_eq!(issued(now - 1 - SESSION_S), None);
    }

    #[test]
    fn the_key_is_kept_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.der");
        let first = Tokens::prepare(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = Tokens::prepare(&path).unwrap();
        let token = first.issue(&session(Carrier::Program, now())).unwrap();
        assert!(again.verify(&token, Carrier::Program).is_some());
        std::fs::write(&path, "nonsense").unwrap();
        assert!(matches!(Tokens::prepare(&path), Err(PrepareError::Key(_))));
    }
}
