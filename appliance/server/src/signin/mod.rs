//! Who may do something: the one-time code that claims the appliance, passwords, and the tokens given for them.
//!
//! Until it is claimed nothing else works. There is no default password; the code is shown on the console only.

mod claim;
pub(crate) mod cookie;
mod password;
mod throttle;
mod token;

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::domain::{Author, FieldError};
use crate::private_file;
use crate::store::{Outcome, Store, StoreError, User};
use claim::ClaimCode;
use throttle::Throttle;

pub(crate) use token::{Carrier, LIFETIME_S, Ticket, Tokens};

/// Hashing a password takes 19 MiB and a core for a while: strangers get no more than this many at once.
const HASHES_AT_ONCE: usize = 2;

/// Why sign-in cannot be offered.
#[derive(Debug, Error)]
pub(crate) enum PrepareError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key or the code cannot be read or written.
    #[error("cannot use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The key file holds no key.
    #[error("{0} holds no Ed25519 key: remove it, and a new one is made")]
    Key(PathBuf),
    /// The system has no randomness.
    #[error("the system gives no random numbers")]
    Random(#[from] aws_lc_rs::error::Unspecified),
}

/// Why somebody is not let in.
#[derive(Debug, Error)]
pub(crate) enum Denied {
    /// Name, password or code are wrong; which of them is not told.
    #[error("wrong {0}")]
    Wrong(&'static str),
    /// Too many failures: the next attempt counts after this time.
    #[error("too many failed attempts")]
    TooMany(Duration),
    /// The name or password cannot be taken.
    #[error("{} fields are wrong", .0.len())]
    Unfit(Vec<FieldError>),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The password could not be hashed, or the token not be signed.
    #[error("sign-in failed: {0}")]
    Failed(String),
}

/// Somebody who presented a good token.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// What the token says.
    pub(crate) ticket: Ticket,
    /// What they are called.
    pub(crate) username: Arc<str>,
    /// Where they are.
    source: Option<IpAddr>,
}

impl Caller {
    /// As the author of a change.
    pub(crate) fn author(&self, comment: String) -> Author {
        Author { id: Some(self.ticket.user), name: self.username.to_string(), source: self.source, comment }
    }
}

/// Lets people in.
#[derive(Debug)]
pub(crate) struct SignIn {
    store: Store,
    tokens: Tokens,
    throttle: Throttle,
    hashes: Semaphore,
    claimed: AtomicBool,
    code_file: PathBuf,
}

impl SignIn {
    /// Reads or makes the signing key in `state_dir` and, until the appliance is claimed, the code in `run_dir`.
    pub(crate) async fn prepare(
        store: Store,
        state_dir: &Path,
        run_dir: &Path,
    ) -> Result<Self, PrepareError> {
        let tokens = Tokens::prepare(&state_dir.join("token-key.der"))?;
        let code_file = run_dir.join("claim-code");
        let claimed = store.is_claimed().await?;
        if claimed {
            remove(&code_file)?;
        } else {
            offer_code(&store, &code_file).await?;
        }
        Ok(Self {
            store,
            tokens,
            throttle: Throttle::default(),
            hashes: Semaphore::new(HASHES_AT_ONCE),
            claimed: AtomicBool::new(claimed),
            code_file,
        })
    }

    /// Whether the appliance has its administrator.
    pub(crate) fn is_claimed(&self) -> bool {
        self.claimed.load(Ordering::Acquire)
    }

    /// Makes `username` the administrator, if `code` is the one on the console.
    pub(crate) async fn claim(
        &self,
        code: &str,
        username: &str,
        password: &str,
        carrier: Carrier,
        source: Option<IpAddr>,
    ) -> Result<String, Denied> {
        let Some(hash) = self.store.claim_code_hash().await? else {
            return Err(StoreError::AlreadyClaimed.into());
        };
        if !ClaimCode::typed(code).matches(&hash) {
            return Err(Denied::Wrong("claim code"));
        }
        password::check(username, password).map_err(Denied::Unfit)?;
        let hash = self.hashing(password.to_owned(), |password| password::hash(&password)).await?;
        let user = self.store.claim(username, &hash).await?;
        self.claimed.store(true, Ordering::Release);
        if let Err(error) = private_file::remove(&self.code_file) {
            tracing::warn!(%error, "the used claim code could not be removed from {}", self.code_file.display());
        }
        tracing::info!(user = %user.id, "the appliance is claimed");
        self.note("claim", Some(user.id), username, source, Outcome::Succeeded).await?;
        self.issue(&user, carrier)
    }

    /// Gives a token to who knows the password.
    pub(crate) async fn sign_in(
        &self,
        username: &str,
        password: &str,
        carrier: Carrier,
        source: Option<IpAddr>,
    ) -> Result<String, Denied> {
        self.throttle.attempt(username, Instant::now()).map_err(Denied::TooMany)?;
        let user = self.store.user(username).await?;
        // A name that nobody has takes as long as a wrong password, so that names cannot be found out.
        let hash = user.as_ref().map(|user| user.password_hash.clone());
        let right =
            self.hashing(password.to_owned(), move |password| Ok(password::verify(&password, hash))).await?;
        match user {
            Some(user) if right => {
                self.throttle.forgive(username);
                self.note("session.create", Some(user.id), username, source, Outcome::Succeeded).await?;
                self.issue(&user, carrier)
            }
            _ => {
                self.note("session.create", None, username, source, Outcome::Denied).await?;
                Err(Denied::Wrong("name or password"))
            }
        }
    }

    /// Who presents this token, from `source`; nobody if the token is not good or the user is gone.
    pub(crate) async fn caller(
        &self,
        token: &str,
        carrier: Carrier,
        source: Option<IpAddr>,
    ) -> Result<Option<Caller>, StoreError> {
        let Some(ticket) = self.tokens.verify(token, carrier) else { return Ok(None) };
        let username = self.store.username(ticket.user).await?;
        Ok(username.map(|username| Caller { ticket, username: username.into(), source }))
    }

    /// Another token for the session of `caller`.
    pub(crate) fn renew(&self, caller: &Caller) -> Result<String, Denied> {
        self.tokens.renew(&caller.ticket).map_err(|error| Denied::Failed(error.to_string()))
    }

    async fn note(
        &self,
        action: &str,
        id: Option<Uuid>,
        username: &str,
        source: Option<IpAddr>,
        outcome: Outcome,
    ) -> Result<(), StoreError> {
        let author = Author { id, name: username.to_owned(), source, comment: String::new() };
        self.store.audit(&author, action, outcome, serde_json::json!({})).await
    }

    fn issue(&self, user: &User, carrier: Carrier) -> Result<String, Denied> {
        self.tokens.issue(user.id, carrier).map_err(|error| Denied::Failed(error.to_string()))
    }

    async fn hashing<T: Send + 'static>(
        &self,
        password: String,
        work: impl FnOnce(String) -> Result<T, argon2::password_hash::Error> + Send + 'static,
    ) -> Result<T, Denied> {
        let failed = |error: &dyn std::fmt::Display| Denied::Failed(error.to_string());
        let _turn = self.hashes.acquire().await.map_err(|error| failed(&error))?;
        let done = tokio::task::spawn_blocking(move || work(password)).await;
        done.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
    }
}

/// Keeps the code that is on the console, or makes a new one: what is in `run_dir` does not outlive a reboot.
async fn offer_code(store: &Store, path: &Path) -> Result<(), PrepareError> {
    let failed = |source| PrepareError::File { path: path.to_owned(), source };
    let shown = private_file::read(path).map_err(failed)?;
    let stored = store.claim_code_hash().await?;
    if let (Some(shown), Some(stored)) = (shown, stored)
        && ClaimCode::typed(&String::from_utf8_lossy(&shown)).matches(&stored)
    {
        return Ok(());
    }
    let code = ClaimCode::generate()?;
    store.set_claim_code_hash(&code.hash()).await?;
    private_file::write(path, format!("{code}\n").as_bytes()).map_err(failed)
}

fn remove(path: &Path) -> Result<(), PrepareError> {
    private_file::remove(path).map_err(|source| PrepareError::File { path: path.to_owned(), source })
}
