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
/// What a token is good for.
const AUDIENCE: &str = "penstock-api";

/// Somebody who presented a good token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The user.
    pub(crate) user: Uuid,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: Uuid,
    aud: String,
    iat: u64,
    exp: u64,
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
        validation.set_audience(&[AUDIENCE]);
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

    /// A token for `user`.
    pub(super) fn issue(&self, user: Uuid) -> Result<String, jsonwebtoken::errors::Error> {
        self.issue_at(user, now())
    }

    fn issue_at(&self, user: Uuid, iat: u64) -> Result<String, jsonwebtoken::errors::Error> {
        let (aud, exp, jti) = (AUDIENCE.to_owned(), iat + LIFETIME_S, Uuid::new_v4());
        encode(&self.header, &Claims { sub: user, aud, iat, exp, jti }, &self.signing)
    }

    /// Whose token this is, if it is good.
    pub(super) fn verify(&self, token: &str) -> Option<Caller> {
        let data = decode::<Claims>(token, &self.checking, &self.validation).ok()?;
        (data.header.kid == self.header.kid).then_some(Caller { user: data.claims.sub })
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        Tokens::with_key(Ed25519KeyPair::generate().unwrap().to_pkcs8().unwrap().as_ref()).unwrap()
    }

    #[test]
    fn a_token_is_good_until_it_expires_and_only_here() {
        let (ours, user) = (tokens(), Uuid::now_v7());
        assert_eq!(ours.verify(&ours.issue(user).unwrap()), Some(Caller { user }));
        assert_eq!(ours.verify(&ours.issue_at(user, now() - LIFETIME_S - 1).unwrap()), None);
        assert_eq!(ours.verify(&tokens().issue(user).unwrap()), None);
        assert_eq!(ours.verify("not.a.token"), None);
    }

    #[test]
    fn the_key_is_kept_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.der");
        let (first, user) = (Tokens::prepare(&path).unwrap(), Uuid::now_v7());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = Tokens::prepare(&path).unwrap();
        assert!(again.verify(&first.issue(user).unwrap()).is_some());
        std::fs::write(&path, "nonsense").unwrap();
        assert!(matches!(Tokens::prepare(&path), Err(PrepareError::Key(_))));
    }
}
