use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use lb_model::snapshot::Scheduler;

use super::*;
use crate::balance::Balancer;
use crate::balance::tests::{ends, takers};
use crate::clock;
use crate::persistence::Kept;
use crate::service::OpenRequest;

const OK: StatusCode = StatusCode::OK;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What one more request would wait for, in microseconds, after so many milliseconds.
fn cost(pace: &Pace, at: u64, open: u32) -> u128 {
    Duration::from_secs_f64(f64::from_bits(pace.cost(at, open, 1)) / 1e6).as_micros()
}

#[test]
fn a_slow_answer_counts_at_once_and_is_forgotten_slowly() {
    let pace = Pace::default();
    pace.watch(true);
    clock::tests::set(1_000);
    assert_eq!((cost(&pace, 1_000, 0), cost(&pace, 1_000, 1)), (0, 2_828_427), "nothing was seen");
    pace.answered(OK, || millis(10));
    assert_eq!((cost(&pace, 1_000, 0), cost(&pace, 1_000, 3)), (10_000, 80_000));
    pace.answered(OK, || millis(200));
    assert_eq!(cost(&pace, 1_000, 0), 200_000, "as slow as the slowest");
    // 200 / e, and the rest of the average from the new one.
    clock::tests::set(11_000);
    assert_eq!(cost(&pace, 11_000, 0), 73_575);
    pace.answered(OK, || millis(10));
    assert_eq!(cost(&pace, 11_000, 0), 79_897);
    // What nobody asks becomes worth a try again.
    assert!(cost(&pace, 60_000, 0) < 1_000);
}

#[test]
fn who_fails_is_not_the_fastest() {
    let pace = Pace::default();
    pace.watch(true);
    clock::tests::set(1_000);
    pace.answered(OK, || millis(50));
    pace.answered(StatusCode::SERVICE_UNAVAILABLE, || millis(1));
    pace.outwaited(millis(1));
    assert_eq!(cost(&pace, 1_000, 0), 50_000);
    pace.outwaited(millis(80));
    assert_eq!(cost(&pace, 1_000, 0), 80_000);
    pace.failed();
    assert_eq!(cost(&pace, 1_000, 0), 1_000_000);
}

#[test]
fn nothing_is_noted_that_nobody_wants_to_know() {
    let pace = Pace::default();
    pace.answered(OK, || panic!("nobody asks how long it took"));
    pace.failed();
    assert_eq!(cost(&pace, 1, 0), 0);
}

/// A member as these tests have it: it does one thing after the other.
struct Server {
    works: bool,
    /// In microseconds.
    time: u64,
    /// Of a hundred requests so many take ten times as long.
    stalls: u64,
    waiting: VecDeque<(u64, OpenRequest)>,
}

/// A sequence that is the same each time (Marsaglia's xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    /// Between two requests that come independently of each other, of the mean.
    fn gap(&mut self, mean: u64) -> u64 {
        // A geometric distribution, in steps of a hundredth of the mean.
        let mut steps = 1;
        while self.below(100) > 0 {
            steps += 1;
        }
        steps * mean / 100
    }
}

/// A request that a server works at.
struct Served {
    came: u64,
    server: usize,
    open: OpenRequest,
}

/// How long the slowest of a hundred requests take, in microseconds, in a world of these servers.
fn slowest(scheduler: Scheduler, servers: &[(u64, u64)], mean_gap: u64, requests: usize) -> u64 {
    let takers = takers(&vec![1; servers.len()]);
    for taker in &takers {
        taker.member.pace.watch(true);
    }
    let members: Vec<_> = takers.iter().map(|taker| Arc::clone(&taker.member)).collect();
    let balancer = Balancer::new(scheduler, takers);
    let mut servers: Vec<_> = servers
        .iter()
        .map(|(time, stalls)| Server { works: false, time: *time, stalls: *stalls, waiting: VecDeque::new() })
        .collect();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut done: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    let mut at_work: Vec<Option<Served>> = Vec::new();
    let mut times = Vec::new();
    let mut next = 1_000_000;
    let mut come = 0;
    while times.len() < requests {
        let comes = done.peek().is_none_or(|Reverse((at, _))| next <= *at);
        let (now, at) = if comes && come < requests {
            let now = next;
            come += 1;
            next += dice.gap(mean_gap);
            clock::tests::set(now / 1000);
            let open = balancer.claim(ends(1), Kept::Nobody, &[]).unwrap();
            let at = members.iter().position(|member| Arc::ptr_eq(member, open.member())).unwrap();
            servers[at].waiting.push_back((now, open));
            (now, at)
        } else {
            let Reverse((now, request)) = done.pop().unwrap();
            clock::tests::set(now / 1000);
            let Served { came, server, open } = at_work[request].take().unwrap();
            open.member().pace.answered(OK, || Duration::from_micros(now - came));
            // What came while everything was still new is not counted, nor what came last.
            times.push((came, now - came));
            servers[server].works = false;
            (now, server)
        };
        let server = &mut servers[at];
        if !server.works
            && let Some((came, open)) = server.waiting.pop_front()
        {
            server.works = true;
            // A fifth more or less.
            let mut time = server.time * (80 + dice.below(41)) / 100;
            if dice.below(100) < server.stalls {
                time *= 10;
            }
            done.push(Reverse((now + time, at_work.len())));
            at_work.push(Some(Served { came, server: at, open }));
        }
    }
    times.sort_unstable();
    let mut times: Vec<_> = times.into_iter().skip(requests / 10).map(|(_, time)| time).collect();
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

#[test]
fn the_slow_are_avoided_and_among_equals_nothing_is_lost() {
    // Twenty members, a quarter of them at half speed, one that stalls.
    let mut unlike = vec![(20_000, 0); 20];
    unlike[..5].fill((40_000, 0));
    unlike[19].1 = 10;
    let alike = vec![(20_000, 0); 20];
    // In hundredths of what the members can do.
    for load in [40, 80] {
        let ratio = |servers: &[(u64, u64)]| {
            let capacity: u64 = servers.iter().map(|(time, _)| 1_000_000 / time).sum();
            let gap = 1_000_000 * 100 / (capacity * load);
            let [least, peak] = [Scheduler::LeastConnections, Scheduler::PeakEwma]
                .map(|scheduler| slowest(scheduler, servers, gap, 20_000));
            peak * 100 / least
        };
        let (unlike, alike) = (ratio(&unlike), ratio(&alike));
        assert!(unlike <= 85 && alike <= 110, "{unlike} and {alike} of a hundred at a load of {load}");
    }
}
