//! How a pool is by its members, a service by its pool, an address by its services. What has no live member is never shown as
//! well.

use serde::Serialize;
use utoipa::ToSchema;

/// Whether a resource serves, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operating {
    Unknown,
    Online,
    Degraded,
    Draining,
    Offline,
}

/// So many members that would take connections, by what was seen of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Pass their checks.
    pub(crate) up: usize,
    /// Fail them.
    pub(crate) down: usize,
    /// Have not been checked yet.
    pub(crate) unknown: usize,
    /// Have no checks.
    pub(crate) unwatched: usize,
    /// Ask for no new connections themselves.
    pub(crate) draining: usize,
}

/// What was seen of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PoolSeen {
    pub(super) tally: Tally,
    pub(super) min_healthy: usize,
    pub(super) below: Below,
}

/// Who serves when there are too few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Below {
    Refuse,
    AllMembers,
    BackupPool(Tally),
}

impl Default for PoolSeen {
    /// One without members.
    fn default() -> Self {
        Self { tally: Tally::default(), min_healthy: 1, below: Below::Refuse }
    }
}

impl Tally {
    /// All of them.
    pub(crate) fn all(self) -> usize {
        self.up + self.down + self.unknown + self.unwatched + self.draining
    }

    /// Who takes connections, as long as it is not known that they fail.
    fn can(self) -> usize {
        self.up + self.unknown + self.unwatched
    }

    /// Why nobody does.
    fn none_can(self) -> String {
        match (self.down, self.draining) {
            (0, 0) => "there is no member that takes connections".to_owned(),
            (1, 0) => "no member is up: the only one is down".to_owned(),
            (down, 0) => format!("no member is up: all {down} are down"),
            (0, 1) => "no member takes connections: the only one drains".to_owned(),
            (0, draining) => format!("no member takes connections: all {draining} drain"),
            (down, draining) => format!(
                "no member takes connections: {}, {}",
                counted(down, "is down", "are down"),
                counted(draining, "drains", "drain")
            ),
        }
    }
}

impl PoolSeen {
    /// How it is, and why it is not well.
    pub(super) fn judged(self) -> (Operating, Option<String>) {
        if self.tally.can() < self.min_healthy { self.too_few() } else { by_members(self.tally) }
    }

    fn too_few(self) -> (Operating, Option<String>) {
        let Self { tally, min_healthy, below } = self;
        let (can, all) = (tally.can(), tally.all());
        let words = match can {
            0 => tally.none_can(),
            _ => format!("{can} of {all} members can take connections, want {min_healthy}"),
        };
        match below {
            Below::Refuse if can == 0 => (Operating::Offline, Some(words)),
            Below::Refuse => (Operating::Offline, Some(format!("{words}: they are refused"))),
            Below::AllMembers if can == 0 => {
                (Operating::Offline, Some(format!("{words}, and all are asked")))
            }
            Below::AllMembers => (Operating::Degraded, Some(format!("{words}: all are asked"))),
            Below::BackupPool(backup) => match by_members(backup).0 {
                _ if backup.can() == 0 => {
                    (Operating::Offline, Some(format!("{words}, and of the backup pool neither")))
                }
                Operating::Unknown => {
                    (Operating::Unknown, Some(format!("{words}: the backup pool is asked")))
                }
                _ => (Operating::Degraded, Some(format!("{words}: the backup pool serves"))),
            },
        }
    }
}

/// How a pool is by its members, if there are enough.
fn by_members(tally: Tally) -> (Operating, Option<String>) {
    let Tally { up, down, unknown, unwatched, draining } = tally;
    let all = tally.all();
    match (up + unwatched, down) {
        (_, 0) if draining > 0 => {
            let verb = if draining == 1 { "drains" } else { "drain" };
            (Operating::Degraded, Some(format!("{draining} of {all} members {verb}")))
        }
        (_, 0) if up > 0 && up == all => (Operating::Online, None),
        (0, 0) if unknown > 0 => (Operating::Unknown, Some("no member has been checked yet".to_owned())),
        (_, 0) => (Operating::Unknown, None),
        (0, _) if unknown == 0 => (Operating::Offline, Some(tally.none_can())),
        (0, _) => (Operating::Unknown, Some(format!("{}, none is up yet", some_down(down, all)))),
        _ => (Operating::Degraded, Some(some_down(down, all))),
    }
}

fn counted(number: usize, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

fn some_down(down: usize, all: usize) -> String {
    format!("{down} of {all} members {} down", if down == 1 { "is" } else { "are" })
}

/// What is said of several that are not all well.
fn troubled(all: usize, what: &str, offline: usize, degraded: usize) -> String {
    let are = |number| if number == 1 { "is" } else { "are" };
    match (offline, degraded) {
        (offline, 0) => format!("{offline} of {all} {what} {} offline", are(offline)),
        (0, degraded) => format!("{degraded} of {all} {what} {} degraded", are(degraded)),
        _ => format!("of {all} {what} {offline} {} offline and {degraded} degraded", are(offline)),
    }
}

/// How a service is by its pools: its own, and those that its policies name.
pub(super) fn by_pools(
    mut pools: Vec<(Operating, Option<String>)>,
    has_policies: bool,
) -> (Operating, Option<String>) {
    let all = pools.len();
    match all {
        0 if has_policies => {
            (Operating::Unknown, Some("its policies answer by themselves: no pool is asked".to_owned()))
        }
        0 => PoolSeen::default().judged(),
        1 => pools.swap_remove(0),
        _ => {
            let count = |wanted| pools.iter().filter(|(operating, _)| *operating == wanted).count();
            match (count(Operating::Online), count(Operating::Offline), count(Operating::Degraded)) {
                (online, ..) if online == all => (Operating::Online, None),
                (_, offline, _) if offline == all => {
                    (Operating::Offline, Some(format!("no pool has a live member: all {all} are offline")))
                }
                (_, 0, 0) => (Operating::Unknown, None),
                (_, offline, degraded) => {
                    (Operating::Degraded, Some(troubled(all, "pools", offline, degraded)))
                }
            }
        }
    }
}

/// How an address is by its services.
pub(super) fn by_services(services: impl Iterator<Item = Operating>) -> (Operating, Option<String>) {
    let services: Vec<Operating> = services.collect();
    let all = services.len();
    let count = |wanted| services.iter().filter(|service| **service == wanted).count();
    match (count(Operating::Online), count(Operating::Offline), count(Operating::Degraded)) {
        (online, ..) if online > 0 && online == all => (Operating::Online, None),
        (_, 1, _) if all == 1 => {
            (Operating::Offline, Some("no service has a live member: the only one is offline".to_owned()))
        }
        (_, offline, _) if offline > 0 && offline == all => {
            (Operating::Offline, Some(format!("no service has a live member: all {all} are offline")))
        }
        (_, 0, 0) => (Operating::Unknown, None),
        (_, 0, 1) if all == 1 => (Operating::Degraded, Some("its service is degraded".to_owned())),
        (_, offline, degraded) => (Operating::Degraded, Some(troubled(all, "services", offline, degraded))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn tally(up: usize, down: usize) -> Tally {
        Tally { up, down, unknown: 0, unwatched: 0, draining: 0 }
    }

    fn judged(tally: Tally, min_healthy: usize, below: Below) -> (Operating, String) {
        let (operating, reason) = PoolSeen { tally, min_healthy, below }.judged();
        (operating, reason.unwrap_or_default())
    }

    #[test]
    fn nothing_without_a_live_member_is_well() {
        let unknown = Tally { unknown: 1, ..tally(0, 0) };
        for below in [Below::Refuse, Below::AllMembers, Below::BackupPool(tally(0, 1))] {
            for tally in [tally(0, 3), tally(0, 0), Tally { draining: 2, ..tally(0, 1) }] {
                assert_eq!(judged(tally, 1, below).0, Operating::Offline);
            }
            assert_eq!(judged(unknown, 1, below).0, Operating::Unknown);
        }
    }

    #[test]
    fn below_the_least_number_the_choice_decides() {
        let (few, words) = (tally(1, 2), "1 of 3 members can take connections, want 2");
        assert_eq!(judged(few, 2, Below::Refuse), (Operating::Offline, format!("{words}: they are refused")));
        assert_eq!(
            judged(few, 2, Below::AllMembers),
            (Operating::Degraded, format!("{words}: all are asked"))
        );
        let backup = Below::BackupPool(tally(1, 0));
        assert_eq!(judged(few, 2, backup), (Operating::Degraded, format!("{words}: the backup pool serves")));
        assert_eq!(judged(tally(2, 1), 2, backup).1, "1 of 3 members is down");
    }

    /// Who is neither up nor down is no member that is down, and one is not several.
    #[test]
    fn it_is_said_who_fails_and_who_drains() {
        let said = |down, draining| judged(Tally { draining, ..tally(0, down) }, 1, Below::Refuse).1;
        assert_eq!(said(1, 0), "no member is up: the only one is down");
        assert_eq!(said(3, 0), "no member is up: all 3 are down");
        assert_eq!(said(0, 1), "no member takes connections: the only one drains");
        assert_eq!(said(0, 2), "no member takes connections: all 2 drain");
        assert_eq!(said(1, 1), "no member takes connections: 1 is down, 1 drains");
        assert_eq!(said(2, 3), "no member takes connections: 2 are down, 3 drain");
        let without_least = |tally| judged(tally, 0, Below::Refuse).1;
        assert_eq!(
            without_least(Tally { draining: 1, ..tally(0, 1) }),
            "no member takes connections: 1 is down, 1 drains"
        );
        assert_eq!(without_least(Tally { draining: 1, ..tally(2, 0) }), "1 of 3 members drains");
        assert_eq!(
            without_least(Tally { unknown: 1, ..tally(0, 1) }),
            "1 of 2 members is down, none is up yet"
        );
        let pools = [Operating::Offline, Operating::Online].map(|operating| (operating, None));
        let (_, reason) = by_pools(pools.to_vec(), true);
        assert_eq!(reason.as_deref(), Some("1 of 2 pools is offline"));
        let (_, reason) = by_services([Operating::Offline].into_iter());
        assert_eq!(reason.as_deref(), Some("no service has a live member: the only one is offline"));
    }

    #[test]
    fn a_service_is_as_its_policies_pools_are() {
        use Operating::{Degraded, Offline, Online, Unknown};
        let by = |pools: &[Operating]| {
            by_pools(pools.iter().map(|operating| (*operating, None)).collect(), true).0
        };
        assert_eq!([by(&[Online]), by(&[Offline]), by(&[])], [Online, Offline, Unknown]);
        assert_eq!([by(&[Online, Online]), by(&[Offline, Offline])], [Online, Offline]);
        assert_eq!([by(&[Online, Offline]), by(&[Online, Unknown])], [Degraded, Unknown]);
        assert_eq!(by_pools(Vec::new(), false).0, Offline);
    }

    #[test]
    fn an_address_is_well_if_all_its_services_are() {
        use Operating::{Degraded, Offline, Online, Unknown};
        let by = |services: &[Operating]| by_services(services.iter().copied()).0;
        assert_eq!(
            [by(&[Online, Online]), by(&[Online, Offline]), by(&[Offline])],
            [Online, Degraded, Offline]
        );
        assert_eq!([by(&[]), by(&[Unknown, Online]), by(&[Degraded])], [Unknown, Unknown, Degraded]);
    }
}
