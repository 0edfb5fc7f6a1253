//! Who may do something: the one-time code that claims the appliance, passwords, and the tokens given for them.
//!
//! Until it is claimed nothing else works. There is no default password; the code is shown on the console only.

mod claim;
pub(crate) mod cookie;
pub(crate) mod password;
mod throttle;
mod token;
mod totp;

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::domain::revision::sha256;
use crate::domain::{Author, FieldError, Permission, Role, Scope, Spec, Timestamp, User};
use crate::private_file;
use crate::store::{Account, NewSession, Outcome, Refreshed, Store, StoreError};
pub(crate) use claim::ClaimCode;
use throttle::Throttle;

pub(crate) use token::{Carrier, LIFETIME_S, Tokens};
use token::{SESSION_S, Session, now};
pub(crate) use totp::{Enrolment, Standing};

/// Hashing a password takes 19 MiB and a core for a while: strangers get no more than this many at once.
const HASHES_AT_ONCE: usize = 2;

/// Failures without consequence: people mistype.
const FREE_FOR_A_NAME: u32 = 4;
/// The same for an address, from which several people may come.
const FREE_FOR_A_SOURCE: u32 = 16;

/// How often it is looked whether a key is old.
const KEY_LOOK: Duration = Duration::from_hours(1);

/// What an API token begins with, so that one is recognised where it should not be.
const TOKEN_PREFIX: &str = "pst_";
/// What a refresh token begins with.
const REFRESH_PREFIX: &str = "psr_";

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
    /// The password is right, and the code is missing.
    #[error("send the code of your device too")]
    SecondFactor,
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
    /// The user.
    pub(crate) user: Uuid,
    /// What they are called.
    pub(crate) username: Arc<str>,
    /// What the user may do.
    pub(crate) role: Role,
    /// Whose resources they see.
    pub(crate) scope: Scope,
    /// What this caller may do there: with an API token perhaps less.
    pub(crate) permissions: Vec<Permission>,
    /// Who carried the token.
    pub(crate) carrier: Carrier,
    /// The session; none if it is an API token.
    pub(crate) session: Option<Uuid>,
    /// When the password was given, in seconds of Unix time.
    since: u64,
    /// When the token ends.
    expires: u64,
    /// Where they are.
    source: Option<IpAddr>,
}

impl Caller {
    /// As the author of a change.
    pub(crate) fn author(&self, comment: String) -> Author {
        Author {
            id: Some(self.user),
            name: self.username.to_string(),
            source: self.source,
            comment,
            confirm_within: None,
        }
    }

    /// Whether they may do what needs this and is about the whole appliance.
    pub(crate) fn may(&self, permission: Permission) -> bool {
        self.scope == Scope::Appliance && self.may_within_scope(permission)
    }

    /// Whether they may do what needs this with what they see.
    pub(crate) fn may_within_scope(&self, permission: Permission) -> bool {
        self.permissions.contains(&permission)
    }

    /// Seconds for which the token is still good.
    pub(crate) fn remaining_s(&self) -> u64 {
        self.expires.saturating_sub(now())
    }

    /// Seconds after which the password is asked for again, however often the token is renewed.
    pub(crate) fn session_remaining_s(&self) -> u64 {
        match self.session {
            Some(_) => (self.since + SESSION_S).saturating_sub(now()),
            None => self.remaining_s(),
        }
    }
}

/// What somebody gets who signs in.
pub(crate) struct Granted {
    /// The access token.
    pub(crate) access_token: String,
    /// What gets the next access token, once; a browser gets it by its cookie.
    pub(crate) refresh_token: Option<String>,
}

/// Lets people in.
#[derive(Debug)]
pub(crate) struct SignIn {
    store: Store,
    tokens: Tokens,
    names: Throttle,
    sources: Throttle,
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
            names: Throttle::new(FREE_FOR_A_NAME),
            sources: Throttle::new(FREE_FOR_A_SOURCE),
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
    ) -> Result<Granted, Denied> {
        let Some(hash) = self.store.claim_code_hash().await? else {
            return Err(StoreError::AlreadyClaimed.into());
        };
        if !ClaimCode::typed(code).matches(&hash) {
            return Err(Denied::Wrong("claim code"));
        }
        let document = serde_json::json!({ "name": username, "role": Role::Admin, "password": password });
        let document = document.as_object().cloned().unwrap_or_default();
        let spec = self.hashing(move || Spec::<User>::read(&document)).await?;
        let author = Author { source, name: username.to_owned(), ..Author::appliance("") };
        let account = self.store.claim(spec.map_err(claiming)?, author).await?;
        self.claimed.store(true, Ordering::Release);
        if let Err(error) = private_file::remove(&self.code_file) {
            tracing::warn!(%error, "the used claim code could not be removed from {}", self.code_file.display());
        }
        tracing::info!(user = %account.id, "the appliance is claimed");
        self.begin(&account, username, carrier, source).await
    }

    /// Begins a session for who knows the password, and has the device that shows `code` if there is one.
    pub(crate) async fn sign_in(
        &self,
        (username, password, code): (&str, &str, Option<&str>),
        carrier: Carrier,
        source: Option<IpAddr>,
    ) -> Result<Granted, Denied> {
        let account = self.account(username, password, source).await?;
        // An attempt until then: who knows the password alone cannot guess on.
        self.check_second_factor(&account, username, code, source).await?;
        self.forgive(username, source);
        self.begin(&account, username, carrier, source).await
    }

    /// Whose name and password these are. Who guesses waits longer and longer: for a name, and from an address.
    async fn account(
        &self,
        username: &str,
        password: &str,
        source: Option<IpAddr>,
    ) -> Result<Account, Denied> {
        self.names.attempt(username, Instant::now()).map_err(Denied::TooMany)?;
        self.sources.attempt(&address(source), Instant::now()).map_err(Denied::TooMany)?;
        let account = self.store.account(username).await?;
        // A name that nobody has takes as long as a wrong password, so that names cannot be found out.
        let hash = account.as_ref().map(|account| account.password_hash.clone());
        let password = password.to_owned();
        let right = self.hashing(move || password::verify(&password, hash)).await?;
        if let (Some(account), true) = (account, right) {
            return Ok(account);
        }
        self.note("session.create", None, username, source, Outcome::Denied).await?;
        Err(Denied::Wrong("name or password"))
    }

    /// Somebody was let in: their failures were mistakes.
    fn forgive(&self, username: &str, source: Option<IpAddr>) {
        self.names.forgive(username);
        self.sources.forgive(&address(source));
    }

    async fn begin(
        &self,
        account: &Account,
        username: &str,
        carrier: Carrier,
        source: Option<IpAddr>,
    ) -> Result<Granted, Denied> {
        let session = Session { id: Uuid::now_v7(), user: account.id, carrier, since: now() };
        let refresh_token = match carrier {
            Carrier::Browser => None,
            Carrier::Program => Some(secret_of(REFRESH_PREFIX, session.id)?),
        };
        self.store
            .begin_session(NewSession {
                id: session.id,
                user: account.id,
                carrier: carrier.audience(),
                source,
                password_hash: account.password_hash.clone(),
                refresh_hash: refresh_token.as_ref().map(|token| sha256(token.as_bytes())),
                ends_at: Timestamp::at_second(session.since + SESSION_S),
            })
            .await?;
        self.note("session.create", Some(account.id), username, source, Outcome::Succeeded).await?;
        Ok(Granted { access_token: self.issue(&session)?, refresh_token })
    }

    /// Other tokens for the session that this refresh token belongs to. It is good once: a second use says that somebody
    /// has a copy, and ends the session.
    pub(crate) async fn refresh(&self, token: &str, source: Option<IpAddr>) -> Result<Granted, Denied> {
        let wrong = Denied::Wrong("refresh token");
        let Some(id) = named_in(token, REFRESH_PREFIX) else { return Err(wrong) };
        let next = secret_of(REFRESH_PREFIX, id)?;
        let (used, next_hash) = (sha256(token.as_bytes()), sha256(next.as_bytes()));
        match self.store.refresh_session(id, &used, &next_hash).await? {
            Refreshed::Rotated { user, since } => {
                let session = Session { id, user, carrier: Carrier::Program, since: since.second() };
                Ok(Granted { access_token: self.issue(&session)?, refresh_token: Some(next) })
            }
            Refreshed::Reused { user } => {
                self.note("session.reuse", Some(user), "", source, Outcome::Denied).await?;
                Err(wrong)
            }
            Refreshed::Unknown => Err(wrong),
        }
    }

    /// Who presents this token, from `source`; nobody if it is not good, or its session or user is gone.
    pub(crate) async fn caller(
        &self,
        token: &str,
        carrier: Carrier,
        source: Option<IpAddr>,
    ) -> Result<Option<Caller>, StoreError> {
        if let (Some(id), Carrier::Program) = (named_in(token, TOKEN_PREFIX), carrier) {
            return self.token_caller(id, token, source).await;
        }
        let Some(ticket) = self.tokens.verify(token, carrier) else { return Ok(None) };
        let holder = self.store.session_holder(ticket.session).await?;
        Ok(holder.map(|holder| Caller {
            user: ticket.user,
            scope: Scope::of(holder.project()),
            permissions: permissions(holder.role, holder.project()),
            username: holder.username.into(),
            role: holder.role,
            carrier,
            session: Some(ticket.session),
            since: ticket.since,
            expires: ticket.expires,
            source,
        }))
    }

    async fn token_caller(
        &self,
        id: Uuid,
        token: &str,
        source: Option<IpAddr>,
    ) -> Result<Option<Caller>, StoreError> {
        let holder = self.store.token_holder(id).await?;
        let holder = holder.filter(|holder| {
            verify_slices_are_equal(sha256(token.as_bytes()).as_bytes(), holder.secret_hash.as_bytes())
                .is_ok()
        });
        Ok(holder.map(|holder| {
            let mut permissions = permissions(holder.role, holder.project());
            permissions.retain(|permission| holder.permissions.contains(permission));
            Caller {
                scope: Scope::of(holder.project()),
                user: holder.user_id,
                username: holder.username.as_str().into(),
                role: holder.role,
                permissions,
                carrier: Carrier::Program,
                session: None,
                since: 0,
                expires: holder.expires_at.second(),
                source,
            }
        }))
    }

    /// Another token for the session of `caller`.
    pub(crate) fn renew(&self, caller: &Caller) -> Result<String, Denied> {
        let Some(id) = caller.session else { return Err(Denied::Wrong("kind of token")) };
        self.issue(&Session { id, user: caller.user, carrier: caller.carrier, since: caller.since })
    }

    /// Whether this is the password of `caller`.
    pub(crate) async fn confirm(&self, caller: &Caller, password: &str) -> Result<(), Denied> {
        self.account(&caller.username, password, caller.source).await?;
        self.forgive(&caller.username, caller.source);
        Ok(())
    }

    /// Has another key sign tokens from now on; what was signed before is good until it ends.
    pub(crate) fn rotate_key(&self) -> Result<(), PrepareError> {
        self.tokens.rotate()
    }

    /// Has another key sign tokens whenever one has for long enough.
    pub(crate) async fn keep_keys_fresh(self: Arc<Self>) {
        loop {
            match self.tokens.rotate_if_old() {
                Ok(true) => tracing::info!("another key signs tokens"),
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "the key that signs tokens cannot be renewed"),
            }
            tokio::time::sleep(KEY_LOOK).await;
        }
    }

    async fn note(
        &self,
        action: &str,
        id: Option<Uuid>,
        username: &str,
        source: Option<IpAddr>,
        outcome: Outcome,
    ) -> Result<(), StoreError> {
        let author = Author { id, name: username.to_owned(), source, ..Author::appliance("") };
        self.store.audit(&author, action, outcome, serde_json::json!({})).await
    }

    fn issue(&self, session: &Session) -> Result<String, Denied> {
        self.tokens.issue(session).map_err(|error| Denied::Failed(error.to_string()))
    }

    /// Does what takes a core for a while, in its turn.
    async fn hashing<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Denied> {
        let failed = |error: &dyn std::fmt::Display| Denied::Failed(error.to_string());
        let _turn = self.hashes.acquire().await.map_err(|error| failed(&error))?;
        tokio::task::spawn_blocking(work).await.map_err(|error| failed(&error))
    }
}

/// What a role lets one do who belongs to this project, or to none.
fn permissions(role: Role, project: Option<Uuid>) -> Vec<Permission> {
    let may = |permission: &Permission| project.is_none() || permission.is_within_projects();
    role.permissions().iter().copied().filter(may).collect()
}

/// Where somebody is, as a name for the throttle.
fn address(source: Option<IpAddr>) -> String {
    source.map_or_else(String::new, |source| source.to_string())
}

/// In a claim the name is called otherwise.
fn claiming(faults: Vec<FieldError>) -> Denied {
    let named = |fault: FieldError| match fault.pointer.as_str() {
        "/name" => FieldError { pointer: "/username".to_owned(), ..fault },
        _ => fault,
    };
    Denied::Unfit(faults.into_iter().map(named).collect())
}

/// A new secret that names what it belongs to: 256 random bits.
fn secret_of(prefix: &str, id: Uuid) -> Result<String, Denied> {
    let mut random = [0; 32];
    rand::fill(&mut random).map_err(|_| Denied::Failed("no random numbers".to_owned()))?;
    Ok(format!("{prefix}{}_{}", id.simple(), URL_SAFE_NO_PAD.encode(random)))
}

/// What a secret of `secret_of` belongs to.
fn named_in(secret: &str, prefix: &str) -> Option<Uuid> {
    Uuid::parse_str(secret.strip_prefix(prefix)?.split('_').next()?).ok()
}

/// A new API token with this identifier, and its hash.
pub(crate) fn api_token(id: Uuid) -> Result<(String, String), Denied> {
    let token = secret_of(TOKEN_PREFIX, id)?;
    let hash = sha256(token.as_bytes());
    Ok((token, hash))
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
