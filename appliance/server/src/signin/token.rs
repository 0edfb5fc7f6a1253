//! Access tokens: JWTs of ten minutes, signed with a key of this appliance, in one fixed algorithm.

use std::fmt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::PrepareError;
use crate::domain::revision::hex;
use crate::private_file;

/// How long a token is good for.
pub(crate) const LIFETIME_S: u64 = 600;
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
    header: Header,
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("kid", &self.header.kid).finish_non_exhaustive()
    }
}

impl Tokens {
    /// With the key in the file `path`, which is made if it is not there.
    pub(super) fn prepare(path: &Path) -> Result<Self, PrepareError> {
        let failed = |source| PrepareError::File { path: path.to_owned(), source };
        let der = if let Some(der) = private_file::read(path).map_err(failed)? {
            der
        } else {
            let der = Ed25519KeyPair::generate()?.to_pkcs8()?.as_ref().to_vec();
            private_file::write(path, &der).map_err(failed)?;
            der
        };
        Self::with_key(&der).ok_or_else(|| PrepareError::Key(path.to_owned()))
    }

    fn with_key(der: &[u8]) -> Option<Self> {
        let key = Ed25519KeyPair::from_pkcs8(der).ok()?;
        let public = key.public_key().as_ref();
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(hex(&public[..8]));
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[Carrier::Program.audience(), Carrier::Browser.audience()]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        // Issued and checked by the same clock.
        validation.leeway = 0;
        Some(Self {
            header,
            signing: EncodingKey::from_ed_der(der),
            checking: DecodingKey::from_ed_der(public),
            validation,
        })
    }

    /// A token for this session. It never outlives the session.
    pub(super) fn issue(&self, session: &Session) -> Result<String, jsonwebtoken::errors::Error> {
        self.issue_at(session, now())
    }

    fn issue_at(&self, session: &Session, iat: u64) -> Result<String, jsonwebtoken::errors::Error> {
        let Session { id: sid, user, carrier, since } = *session;
        let exp = (iat + LIFETIME_S).min(since + SESSION_S);
        let (aud, jti) = (carrier.audience().to_owned(), Uuid::new_v4());
        encode(&self.header, &Claims { sub: user, sid, aud, iat, exp, auth_time: since, jti }, &self.signing)
    }

    /// Whose token this is, if it is good for this carrier.
    pub(super) fn verify(&self, token: &str, carrier: Carrier) -> Option<Ticket> {
        let data = decode::<Claims>(token, &self.checking, &self.validation).ok()?;
        let Claims { sub: user, sid: session, aud, exp: expires, auth_time: since, .. } = data.claims;
        let good = data.header.kid == self.header.kid && aud == carrier.audience();
        good.then_some(Ticket { user, session, carrier, since, expires })
    }
}

/// Seconds of Unix time.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        Tokens::with_key(Ed25519KeyPair::generate().unwrap().to_pkcs8().unwrap().as_ref()).unwrap()
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
