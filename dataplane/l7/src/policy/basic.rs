//! Names and passwords that clients show (RFC 7617). A hash that is slow by intent is reckoned once for each pair, by a thread beside the workers;
//! of what was found a keyed digest is remembered, so that a request costs no more than that (ADR 0056).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use argon2::{Argon2, PasswordVerifier as _};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use lb_model::policy::BasicAuth;
use tokio::sync::Semaphore;

use super::PartError;

/// The longest name and password that are looked at, as they are written.
const LONGEST: usize = 1024;
/// How many wrong pairs are remembered at least, and half of how many at most.
const WRONG: usize = 2048;
/// How many hashes are reckoned at a time, in the whole process.
static RECKONING: Semaphore = Semaphore::const_new(2);
/// How many requests wait for theirs at most, further ones being refused.
static WAITING: Semaphore = Semaphore::const_new(64);

/// Who is let in.
#[derive(Debug)]
pub(crate) struct Guard {
    book: Arc<Book>,
    challenge: HeaderValue,
    user: Option<HeaderName>,
}

/// The hashes, and what was found by them.
struct Book {
    hashes: HashMap<Box<str>, Box<str>>,
    key: hmac::Key,
    known: Mutex<Known>,
}

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Book").field("users", &self.hashes.len()).finish_non_exhaustive()
    }
}

/// A keyed digest of a name and a password.
type Digest = [u8; 32];

/// Pairs that were looked at: good ones, of which each user has one, and wrong ones, those of lately.
#[derive(Default)]
struct Known {
    good: HashSet<Digest>,
    wrong: HashSet<Digest>,
    wrong_before: HashSet<Digest>,
}

impl Known {
    fn find(&self, digest: &Digest) -> Option<bool> {
        let wrong = || self.wrong.contains(digest) || self.wrong_before.contains(digest);
        if self.good.contains(digest) { Some(true) } else { wrong().then_some(false) }
    }

    fn note(&mut self, digest: Digest, is_good: bool) {
        if is_good {
            self.good.insert(digest);
            return;
        }
        if self.wrong.len() >= WRONG {
            self.wrong_before = std::mem::take(&mut self.wrong);
        }
        self.wrong.insert(digest);
    }
}

/// What a client shows.
struct Shown {
    name: String,
    password: String,
}

impl Shown {
    fn read(parts: &Parts) -> Option<Self> {
        let mut fields = parts.headers.get_all(AUTHORIZATION).iter();
        let (field, None) = (fields.next()?, fields.next()) else { return None };
        let (scheme, written) = field.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") || written.len() > LONGEST {
            return None;
        }
        let plain = String::from_utf8(STANDARD.decode(written.trim()).ok()?).ok()?;
        let (name, password) = plain.split_once(':')?;
        Some(Self { name: name.to_owned(), password: password.to_owned() })
    }
}

/// A pair of which is not known yet whether it is right.
pub(crate) struct Question {
    book: Arc<Book>,
    shown: Shown,
    digest: Digest,
}

/// There are more pairs to be looked at than can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy;

impl Question {
    /// Finds it out, in a thread where that keeps nobody waiting but this request.
    pub(crate) async fn settle(self) -> Result<(), Busy> {
        let _waits = WAITING.try_acquire().map_err(|_| Busy)?;
        let _turn = RECKONING.acquire().await.map_err(|_| Busy)?;
        // Somebody may have asked the same meanwhile.
        if self.book.lock().find(&self.digest).is_some() {
            return Ok(());
        }
        tokio::task::spawn_blocking(move || self.settle_here()).await.map_err(|_| Busy)
    }

    /// The same in this thread.
    pub(crate) fn settle_here(self) {
        let Self { book, shown: Shown { name, password }, digest } = self;
        // A name that nobody has takes as long as one that somebody has.
        let hash = book.hashes.get(name.as_str());
        let tried = hash.or_else(|| book.hashes.values().next()).map_or("", |hash| hash);
        let fits = Argon2::default().verify_password(password.as_bytes(), tried).is_ok();
        book.lock().note(digest, fits && hash.is_some());
    }
}

impl Book {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn digest(&self, Shown { name, password }: &Shown) -> Digest {
        let mut context = hmac::Context::with_key(&self.key);
        // No name has a colon.
        for piece in [name.as_bytes(), b":", password.as_bytes()] {
            context.update(piece);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}

impl Guard {
    pub(super) fn new(of: &BasicAuth) -> Result<Self, PartError> {
        let BasicAuth { realm, users, user_header } = of;
        let hashes =
            users.iter().map(|user| (user.name.as_str().into(), user.hash.as_str().into())).collect();
        let mut secret = [0; 32];
        rand::fill(&mut secret).map_err(|_| PartError::Random)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let challenge = HeaderValue::try_from(format!("Basic realm=\"{realm}\", charset=\"UTF-8\""));
        let user = user_header.as_ref().map(|name| HeaderName::from_bytes(name.as_bytes()));
        Ok(Self {
            book: Arc::new(Book { hashes, key, known: Mutex::default() }),
            challenge: challenge.map_err(http::Error::from)?,
            user: user.transpose().map_err(http::Error::from)?,
        })
    }

    /// What has to be found out before the request can be admitted or refused.
    pub(crate) fn question(&self, parts: &Parts) -> Option<Question> {
        let shown = Shown::read(parts)?;
        let digest = self.book.digest(&shown);
        let known = self.book.lock().find(&digest).is_some();
        (!known).then(|| Question { book: Arc::clone(&self.book), shown, digest })
    }

    /// Whether the request shows a name and its password, and then tells the member whose.
    pub(crate) fn admit(&self, parts: &mut Parts) -> Result<(), HeaderValue> {
        if let Some(name) = &self.user {
            parts.headers.remove(name);
        }
        let shown = Shown::read(parts).ok_or_else(|| self.challenge.clone())?;
        let digest = self.book.digest(&shown);
        if self.book.lock().find(&digest) != Some(true) {
            return Err(self.challenge.clone());
        }
        if let Some(name) = &self.user
            && let Ok(value) = HeaderValue::try_from(shown.name)
        {
            parts.headers.insert(name, value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use argon2::PasswordHasher as _;
    use lb_model::policy::BasicUser;

    use super::*;

    fn guard() -> Guard {
        let hash = |password: &str| {
            let quick = argon2::Params::new(8, 1, 1, None).unwrap();
            let argon = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, quick);
            argon.hash_password(password.as_bytes()).unwrap().to_string()
        };
        let user = |name: &str, password: &str| BasicUser { name: name.to_owned(), hash: hash(password) };
        Guard::new(&BasicAuth {
            realm: "shop".to_owned(),
            users: vec![user("ann", "weir:water"), user("bob", "lock")],
            user_header: Some("x-user".to_owned()),
        })
        .unwrap()
    }

    fn request(authorization: Option<&str>) -> Parts {
        let request = http::Request::get("/").header("x-user", "forged");
        let request =
            authorization.into_iter().fold(request, |request, it| request.header(AUTHORIZATION, it));
        request.body(()).unwrap().into_parts().0
    }

    fn pair(pair: &str) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }

    /// Whether it is let in, and as whom.
    fn admitted(guard: &Guard, authorization: &str) -> Option<String> {
        let mut parts = request(Some(authorization));
        if let Some(question) = guard.question(&parts) {
            question.settle_here();
        }
        assert!(guard.question(&parts).is_none(), "it is known by now");
        guard.admit(&mut parts).ok()?;
        Some(parts.headers.get("x-user")?.to_str().unwrap().to_owned())
    }

    #[test]
    fn who_shows_the_right_password_is_let_in_and_named() {
        let guard = guard();
        assert_eq!(admitted(&guard, &pair("ann:weir:water")).as_deref(), Some("ann"));
        assert_eq!(admitted(&guard, &pair("bob:lock")).as_deref(), Some("bob"));
        for wrong in ["ann:lock", "bob:weir:water", "eve:lock", "ann:", ":", "ann:weir:water "] {
            assert_eq!(admitted(&guard, &pair(wrong)), None, "{wrong}");
        }
        for wrong in ["Bearer abc", "Basic", "Basic !", &format!("Basic {}", STANDARD.encode([0xff, b':']))] {
            let mut parts = request(Some(wrong));
            assert!(guard.question(&parts).is_none() && guard.admit(&mut parts).is_err(), "{wrong}");
        }
        let mut nothing = request(None);
        let challenge = guard.admit(&mut nothing).unwrap_err();
        assert_eq!(challenge, "Basic realm=\"shop\", charset=\"UTF-8\"");
        assert!(!nothing.headers.contains_key("x-user"), "nobody says it of himself");
    }

    #[test]
    fn nobody_is_let_in_before_it_was_found_out_and_nothing_is_found_out_twice() {
        let guard = guard();
        let mut parts = request(Some(&pair("ann:weir:water")));
        let question = guard.question(&parts).unwrap();
        assert!(guard.admit(&mut parts).is_err());
        question.settle_here();
        assert!(guard.question(&parts).is_none() && guard.admit(&mut parts).is_ok());
    }

    #[test]
    fn what_is_remembered_has_an_end_and_the_good_are_not_among_what_is_forgotten() {
        let mut known = Known::default();
        let digest = |number: usize| {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&number.to_be_bytes());
            digest
        };
        known.note([1; 32], true);
        (0..10 * WRONG).for_each(|number| known.note(digest(number), false));
        assert!(known.wrong.len() + known.wrong_before.len() <= 2 * WRONG);
        assert_eq!((known.find(&[1; 32]), known.find(&digest(0))), (Some(true), None));
        assert_eq!(known.find(&digest(10 * WRONG - 1)), Some(false));
    }
}
