//! Tokens that clients show (JWT, RFC 7519, as RFC 6750 carries them): whether somebody who is trusted has signed them for us.

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use lb_model::policy::Jwt;
use serde::Deserialize;

use super::PartError;

/// The longest token that is looked at.
const LONGEST: usize = 8 << 10;

/// Whose tokens count, and for what.
pub(crate) struct Verifier {
    keys: Box<[Key]>,
    subject: Option<HeaderName>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

/// A key by which tokens are signed.
struct Key {
    id: Option<String>,
    checks: DecodingKey,
    /// What must be said in a token of this key, its algorithm included: that is never the token's to choose.
    wanted: Validation,
}

/// What a token says.
#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
}

impl Verifier {
    pub(super) fn new(of: &Jwt) -> Result<Self, PartError> {
        let Jwt { jwks, issuer, audiences, leeway_s, subject_header } = of;
        let set: JwkSet = serde_json::from_str(jwks).map_err(|_| PartError::Keys)?;
        let keys = set.keys.iter().filter_map(|jwk| {
            let algorithms = algorithms(jwk);
            let mut wanted = Validation::new(*algorithms.first()?);
            wanted.algorithms = algorithms;
            wanted.leeway = u64::from(*leeway_s);
            wanted.validate_nbf = true;
            let mut claims = vec!["exp"];
            if let Some(issuer) = issuer {
                wanted.set_issuer(&[issuer]);
                claims.push("iss");
            }
            if audiences.is_empty() {
                wanted.validate_aud = false;
            } else {
                wanted.set_audience(audiences);
                claims.push("aud");
            }
            wanted.set_required_spec_claims(&claims);
            Some(Key { id: jwk.common.key_id.clone(), checks: DecodingKey::from_jwk(jwk).ok()?, wanted })
        });
        let keys: Box<[Key]> = keys.collect();
        if keys.is_empty() {
            return Err(PartError::Keys);
        }
        let subject = subject_header.as_ref().map(|name| HeaderName::from_bytes(name.as_bytes()));
        Ok(Self { keys, subject: subject.transpose().map_err(http::Error::from)? })
    }

    /// Whether the request shows a token that counts, and then tells the member who it is for. Otherwise what the client is told.
    pub(crate) fn admit(&self, parts: &mut Parts) -> Result<(), HeaderValue> {
        let challenge = HeaderValue::from_static;
        if let Some(name) = &self.subject {
            parts.headers.remove(name);
        }
        let token = bearer(parts).ok_or_else(|| challenge("Bearer"))?;
        let claims = self.read(token).ok_or_else(|| challenge("Bearer error=\"invalid_token\""))?;
        if let (Some(name), Some(sub)) = (&self.subject, claims.sub)
            && let Ok(value) = HeaderValue::try_from(sub)
        {
            parts.headers.insert(name, value);
        }
        Ok(())
    }

    /// What a token says that counts.
    fn read(&self, token: &str) -> Option<Claims> {
        if token.len() > LONGEST {
            return None;
        }
        let head = decode_header(token).ok()?;
        let may_be_its = |key: &&Key| {
            let same = key.id.is_none() || head.kid.is_none() || key.id == head.kid;
            same && key.wanted.algorithms.contains(&head.alg)
        };
        let mut keys = self.keys.iter().filter(may_be_its);
        keys.find_map(|key| decode(token, &key.checks, &key.wanted).ok()).map(|token| token.claims)
    }
}

fn bearer(parts: &Parts) -> Option<&str> {
    let mut fields = parts.headers.get_all(AUTHORIZATION).iter();
    let (field, None) = (fields.next()?, fields.next()) else { return None };
    let (scheme, token) = field.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The algorithms that fit a key; none for one that signs nothing, or that a stranger must not know.
fn algorithms(jwk: &Jwk) -> Vec<Algorithm> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    if jwk.common.public_key_use.as_ref().is_some_and(|of| *of != PublicKeyUse::Signature) {
        return Vec::new();
    }
    let fit: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => &[RS256, RS384, RS512, PS256, PS384, PS512],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => &[ES256],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => &[ES384],
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => &[EdDSA],
        _ => &[],
    };
    match jwk.common.key_algorithm {
        None => fit.to_vec(),
        Some(named) => fit.iter().copied().filter(|algorithm| is(named, *algorithm)).collect(),
    }
}

fn is(named: KeyAlgorithm, algorithm: Algorithm) -> bool {
    format!("{named:?}") == format!("{algorithm:?}")
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::{Value, json};

    use super::*;

    struct Issuer {
        key: EncodingKey,
        jwk: Value,
    }

    impl Issuer {
        fn new(kid: &str) -> Self {
            let pair = Ed25519KeyPair::generate().unwrap();
            let key = EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref());
            let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
            Self { key, jwk: json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x, "x5t": "more" }) }
        }

        fn token(&self, kid: Option<&str>, claims: &Value) -> String {
            let head = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::EdDSA) };
            encode(&head, claims, &self.key).unwrap()
        }
    }

    fn verifier(keys: &[&Value]) -> Verifier {
        Verifier::new(&Jwt {
            jwks: json!({ "keys": keys }).to_string(),
            issuer: Some("https://issuer.example".to_owned()),
            audiences: vec!["shop".to_owned()],
            leeway_s: 5,
            subject_header: Some("x-user".to_owned()),
        })
        .unwrap()
    }

    fn now() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
    }

    fn claims() -> Value {
        json!({ "iss": "https://issuer.example", "aud": ["shop", "other"], "sub": "ann", "exp": now() + 60 })
    }

    fn shown(verifier: &Verifier, authorization: &str) -> (Result<(), HeaderValue>, Option<HeaderValue>) {
        let request =
            http::Request::get("/").header("x-user", "forged").header("authorization", authorization);
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let admitted = verifier.admit(&mut parts);
        (admitted, parts.headers.get("x-user").cloned())
    }

    #[test]
    fn a_good_token_names_its_owner_and_nobody_else_does() {
        let (one, other) = (Issuer::new("one"), Issuer::new("other"));
        let verifier = verifier(&[&other.jwk, &one.jwk]);
        let ann = Some(HeaderValue::from_static("ann"));
        for kid in [Some("one"), None] {
            let token = one.token(kid, &claims());
            assert_eq!(shown(&verifier, &format!("Bearer {token}")), (Ok(()), ann.clone()));
        }
        let invalid = (Err(HeaderValue::from_static("Bearer error=\"invalid_token\"")), None);
        assert_eq!(shown(&verifier, &format!("Bearer {}", one.token(Some("other"), &claims()))), invalid);
        assert_eq!(
            shown(&verifier, &format!("Bearer {}", Issuer::new("one").token(None, &claims()))),
            invalid
        );
        assert_eq!(shown(&verifier, "Basic YW5u").0, Err(HeaderValue::from_static("Bearer")));
    }

    #[test]
    fn every_claim_that_is_wanted_must_be_right() {
        let one = Issuer::new("one");
        let verifier = verifier(&[&one.jwk]);
        let with = |name: &str, value: Value| {
            let mut claims = claims();
            claims[name] = value;
            let token = one.token(None, &claims);
            shown(&verifier, &format!("bearer {token}")).0.is_ok()
        };
        assert!(with("nothing", json!(1)));
        for (name, value) in [
            ("iss", json!("https://else.example")),
            ("iss", json!(null)),
            ("aud", json!("other")),
            ("aud", json!(null)),
            ("exp", json!(now() - 60)),
            ("exp", json!(null)),
            ("nbf", json!(now() + 60)),
        ] {
            assert!(!with(name, value.clone()), "{name} {value}");
        }
    }

    #[test]
    fn the_token_does_not_choose_how_it_is_checked() {
        let one = Issuer::new("one");
        let verifier = verifier(&[&one.jwk]);
        // What is public taken for a shared secret, and no signature at all.
        let public = URL_SAFE_NO_PAD.decode(one.jwk["x"].as_str().unwrap()).unwrap();
        let shared =
            encode(&Header::new(Algorithm::HS256), &claims(), &EncodingKey::from_secret(&public)).unwrap();
        let good = one.token(None, &claims());
        let none =
            format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), good.split('.').nth(1).unwrap());
        for token in [shared, none, format!("{good}x"), "a.b.c".to_owned(), String::new()] {
            assert!(shown(&verifier, &format!("Bearer {token}")).0.is_err(), "{token}");
        }
        let secret = json!({ "kty": "oct", "k": "c2VjcmV0" });
        let of = |keys: Value| Jwt {
            jwks: json!({ "keys": keys }).to_string(),
            issuer: None,
            audiences: vec![],
            leeway_s: 0,
            subject_header: None,
        };
        assert!(Verifier::new(&of(json!([secret]))).is_err());
        assert!(Verifier::new(&of(json!([]))).is_err());
    }
}
