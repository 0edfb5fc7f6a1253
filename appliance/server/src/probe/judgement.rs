//! From results to a state. Pure: the clock is given, nothing is remembered elsewhere.

use std::time::Duration;

use lb_model::observed::Liveness;
use lb_model::snapshot::Share;
use tokio::time::Instant;

use crate::domain::MonitorsNeeded;

/// A member that went down costs one fall; each such time that passes takes one back.
const CALM: Duration = Duration::from_mins(1);
/// How often a rise is doubled at most: a member that flaps waits 32 times as long.
const DOUBLINGS_MAX: u32 = 5;

/// In how many steps a member that comes back gets its weight.
const WARMTHS: u8 = 20;

/// How results are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// Passes in a row that bring back who is down.
    pub(super) rise: u32,
    /// Failures in a row that bring down who is up.
    pub(super) fall: u32,
}

/// What the results of one check have come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    liveness: Liveness,
    /// Results in a row that speak against it.
    against: u32,
    /// How often it went down lately: damps flapping.
    falls: u32,
    last_fall: Option<Instant>,
}

impl Judgement {
    /// Begins with what was known before.
    pub(super) fn resume(liveness: Liveness) -> Self {
        Self { liveness, against: 0, falls: 0, last_fall: None }
    }

    /// What it is now.
    pub(super) fn liveness(&self) -> Liveness {
        self.liveness
    }

    /// Takes a result into account. Says whether the state changed.
    ///
    /// Who is unknown is up after the first pass: it would take part at once without checks. It is down only after as
    /// many failures as others, so that a new monitor with a mistake in it ends nothing at once.
    pub(super) fn hear(&mut self, passed: bool, rule: Rule, now: Instant) -> bool {
        let (other, needed) = match (self.liveness, passed) {
            (Liveness::Up, true) | (Liveness::Down, false) => {
                self.against = 0;
                return false;
            }
            (Liveness::Unknown, true) => (Liveness::Up, 1),
            (Liveness::Down, true) => (Liveness::Up, self.damped(rule.rise, now)),
            (Liveness::Up | Liveness::Unknown, false) => (Liveness::Down, rule.fall),
        };
        self.against += 1;
        if self.against < needed {
            return false;
        }
        if self.liveness == Liveness::Up {
            self.falls = self.falls_at(now) + 1;
            self.last_fall = Some(now);
        }
        self.liveness = other;
        self.against = 0;
        true
    }

    /// So many passes are needed by who fell so often.
    fn damped(&self, rise: u32, now: Instant) -> u32 {
        let doublings = self.falls_at(now).saturating_sub(1).min(DOUBLINGS_MAX);
        rise.saturating_mul(1 << doublings)
    }

    fn falls_at(&self, now: Instant) -> u32 {
        let calm = self.last_fall.map_or(Duration::ZERO, |fall| now.saturating_duration_since(fall));
        let forgiven = u32::try_from(calm.as_secs() / CALM.as_secs()).unwrap_or(u32::MAX);
        self.falls.saturating_sub(forgiven)
    }
}

/// What several checks of one member come to: it is up while all of them say so, or one.
pub(super) fn together(needed: MonitorsNeeded, checks: impl IntoIterator<Item = Liveness>) -> Liveness {
    let (enough, other) = match needed {
        MonitorsNeeded::All => (Liveness::Down, Liveness::Up),
        MonitorsNeeded::Any => (Liveness::Up, Liveness::Down),
    };
    let sum = |sum, check| match (sum, check) {
        (one, another) if one == enough || another == enough => enough,
        (Liveness::Unknown, _) | (_, Liveness::Unknown) => Liveness::Unknown,
        _ => other,
    };
    checks.into_iter().reduce(sum).unwrap_or(Liveness::Up)
}

/// How much a member is given that came back so long ago and gets all of its weight after `whole`.
pub(super) fn warmth(since: Duration, whole: Duration) -> Share {
    let percent = since.as_secs_f64() / whole.as_secs_f64() * 100.0;
    // To the next step; nothing past the whole, and never nothing.
    let stepped = (1..=WARMTHS).map(|step| step * (100 / WARMTHS)).find(|step| f64::from(*step) > percent);
    stepped.and_then(|percent| Share::new(percent).ok()).unwrap_or(Share::FULL)
}

/// From one step to the next.
pub(super) fn warming_step(whole: Duration) -> Duration {
    whole / u32::from(WARMTHS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULE: Rule = Rule { rise: 2, fall: 3 };

    /// Hears these, a second apart; the states after each.
    fn states(judgement: &mut Judgement, results: &str) -> String {
        let begin = Instant::now();
        let heard = results.chars().zip(0..).map(|(result, second)| {
            judgement.hear(result == '+', RULE, begin + Duration::from_secs(second));
            match judgement.liveness() {
                Liveness::Up => 'u',
                Liveness::Down => 'd',
                Liveness::Unknown => '?',
            }
        });
        heard.collect()
    }

    #[test]
    fn who_is_up_goes_down_after_fall_failures_in_a_row() {
        assert_eq!(states(&mut Judgement::resume(Liveness::Up), "--+---"), "uuuuud");
    }

    #[test]
    fn who_is_down_comes_back_after_rise_passes_in_a_row() {
        assert_eq!(states(&mut Judgement::resume(Liveness::Down), "+-++"), "dddu");
    }

    #[test]
    fn who_is_unknown_is_up_after_one_pass_and_down_after_fall_failures() {
        assert_eq!(states(&mut Judgement::resume(Liveness::Unknown), "+"), "u");
        assert_eq!(states(&mut Judgement::resume(Liveness::Unknown), "---"), "??d");
        assert_eq!(states(&mut Judgement::resume(Liveness::Unknown), "--+"), "??u");
    }

    #[test]
    fn who_flaps_waits_longer_each_time_and_is_forgiven() {
        let mut flapping = Judgement::resume(Liveness::Up);
        // The first time two passes bring it back, the second time four, the third time eight.
        assert_eq!(states(&mut flapping, "---++"), "uuddu");
        assert_eq!(states(&mut flapping, "---++++"), "uuddddu");
        assert_eq!(states(&mut flapping, "---+++++++"), "uudddddddd");
        let later = Instant::now() + 4 * CALM;
        assert!(flapping.hear(true, RULE, later), "the eighth");
        for _ in 0..3 {
            flapping.hear(false, RULE, later);
        }
        assert!(
            !flapping.hear(true, RULE, later) && flapping.hear(true, RULE, later),
            "two are enough again"
        );
    }

    #[test]
    fn of_several_checks_all_must_pass_or_one() {
        use Liveness::{Down, Unknown, Up};
        let all = |checks: &[Liveness]| together(MonitorsNeeded::All, checks.iter().copied());
        assert_eq!([all(&[Up, Up]), all(&[Up, Unknown]), all(&[Unknown, Down, Up])], [Up, Unknown, Down]);
        assert_eq!([all(&[Down]), all(&[Unknown]), all(&[Up])], [Down, Unknown, Up]);
        let any = |checks: &[Liveness]| together(MonitorsNeeded::Any, checks.iter().copied());
        assert_eq!(
            [any(&[Down, Down]), any(&[Down, Unknown]), any(&[Unknown, Down, Up])],
            [Down, Unknown, Up]
        );
    }

    #[test]
    fn who_comes_back_slowly_is_given_more_with_each_step() {
        let whole = Duration::from_secs(20);
        let after = |millis| warmth(Duration::from_millis(millis), whole).get();
        assert_eq!([after(0), after(999), after(1000), after(10_500)], [5, 5, 10, 55]);
        assert_eq!([after(18_999), after(19_000), after(60_000)], [95, 100, 100]);
    }

    proptest! {
        #[test]
        fn a_state_changes_only_against_what_it_was(results in prop::collection::vec(any::<bool>(), 0..200)) {
            let begin = Instant::now();
            let mut judgement = Judgement::resume(Liveness::Unknown);
            for (second, passed) in (0..).zip(results) {
                let before = judgement.liveness();
                let changed = judgement.hear(passed, RULE, begin + Duration::from_secs(second));
                prop_assert_eq!(changed, before != judgement.liveness());
                if changed {
                    prop_assert_eq!(judgement.liveness() == Liveness::Up, passed);
                }
            }
        }

        #[test]
        fn enough_passes_always_bring_it_back(results in prop::collection::vec(any::<bool>(), 0..200)) {
            let begin = Instant::now();
            let mut judgement = Judgement::resume(Liveness::Unknown);
            let passes = (RULE.rise << DOUBLINGS_MAX) as usize;
            let heard = results.into_iter().chain(std::iter::repeat_n(true, passes));
            for (second, passed) in (0..).zip(heard) {
                judgement.hear(passed, RULE, begin + Duration::from_secs(second));
            }
            prop_assert_eq!(judgement.liveness(), Liveness::Up);
        }
    }
}
