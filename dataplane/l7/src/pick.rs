//! Who gets a request: a member of the first pool that has one with room. Where all are full, the request waits, if the pool says so.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use lb_model::asking::Queue as Waiting;
use lb_model::l7::Ending;

use crate::client::seconds;
use crate::origin::Origin;
use crate::persistence::Kept;
use crate::record::Record;
use crate::route::Pools;
use crate::service::{OpenRequest, Pool};

/// A pool, and a place at one of its members.
#[derive(Debug)]
pub(crate) struct Picked<'p> {
    pub(crate) pool: Held<'p>,
    /// Whom the client keeps, where that is known already.
    pub(crate) kept: Option<Kept<'p>>,
    pub(crate) open: OpenRequest,
}

/// A pool of the state that the request began with, or the one that came after it while it waited.
#[derive(Debug)]
pub(crate) enum Held<'p> {
    Here(&'p Pool),
    Since(Arc<Pool>),
}

impl Deref for Held<'_> {
    type Target = Pool;

    fn deref(&self) -> &Pool {
        match self {
            Self::Here(pool) => pool,
            Self::Since(pool) => pool,
        }
    }
}

/// The pool that serves a request, and what `take` gets of it: one whose member the client keeps goes before all others.
pub(crate) fn choose<'p, T>(
    pools: Pools<'p>,
    origin: &Origin,
    parts: &Parts,
    take: impl Fn(&'p Pool, Kept<'p>) -> Option<T>,
) -> Option<(&'p Pool, Kept<'p>, T)> {
    let find = |pool: &'p Arc<Pool>| {
        let kept = pool.kept(parts, origin);
        Some((&**pool, kept, take(pool, kept)?))
    };
    let keeps = |pool: &&'p Arc<Pool>| matches!(pool.kept(parts, origin), Kept::Member(_));
    let keeping = if pools.are_several() { pools.iter().find(keeps) } else { None };
    keeping.into_iter().chain(pools.iter()).find_map(find)
}

/// A place at a member, at once or when the request's turn comes.
pub(crate) async fn pick<'p>(
    pools: Pools<'p>,
    origin: &Origin,
    parts: &Parts,
    record: &mut Record,
) -> Result<Picked<'p>, Ending> {
    let claim = |pool: &'p Pool, kept| {
        if pool.queue.is_busy() || pool.is_cut() {
            return None;
        }
        pool.claim(origin, kept).filter(|_| pool.admits())
    };
    if let Some((pool, kept, open)) = choose(pools, origin, parts, claim) {
        return Ok(Picked { pool: Held::Here(pool), kept: Some(kept), open });
    }
    let full = full(pools)?;
    let waiting = full.waiting.ok_or(Ending::MembersFull)?;
    let began = Instant::now();
    let picked = Box::pin(wait(full, waiting, origin, parts)).await;
    record.waited(began.elapsed());
    picked
}

/// The first pool that could serve if it had room.
fn full(pools: Pools<'_>) -> Result<&Arc<Pool>, Ending> {
    let mut able = pools.iter().filter(|pool| pool.balancer.has_takers()).peekable();
    able.peek().ok_or(Ending::NoMember)?;
    able.find(|pool| !pool.is_cut()).ok_or(Ending::CircuitOpen)
}

async fn wait(
    pool: &Pool,
    Waiting { length, timeout_s }: Waiting,
    origin: &Origin,
    parts: &Parts,
) -> Result<Picked<'static>, Ending> {
    let mut place = pool.queue.enter(length).ok_or(Ending::QueueFull)?;
    let turn = std::future::poll_fn(|cx| {
        place.poll(cx, |pool| {
            let open = pool.claim(origin, pool.kept(parts, origin))?;
            Some(Picked { pool: Held::Since(Arc::clone(pool)), kept: None, open })
        })
    });
    match tokio::time::timeout(seconds(timeout_s), turn).await {
        Ok(picked) => picked.ok_or(Ending::NoMember),
        Err(_) => Err(Ending::QueueTimeout),
    }
}
