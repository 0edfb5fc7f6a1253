//! From what the planes answer to what each service, pool, member, port and worker did in the meantime.

use std::collections::{HashMap, HashSet};

use lb_model::contract::{L4Status, L7Status, PortStatus};
use lb_model::counters::{BackendCounters, DropReason};
use lb_model::observed::Liveness;
use lb_model::{MemberId, PoolId, VirtualServiceId};

use super::chunk::Values;
use super::meter::Meter;
use super::metric::{Key, Subject, TRAFFIC};
use crate::probe::Survey;

/// Members are recorded of as many pools as have so many together: first of those in trouble, then of the busiest.
const MEMBERS_MOST: usize = 1000;

const SERVICE: usize = TRAFFIC + 5;
const POOL: usize = TRAFFIC + 3;
const MEMBER: usize = TRAFFIC + 3;

/// What was last read of each source.
#[derive(Debug, Default)]
pub(super) struct Reader {
    backends: Meter<(VirtualServiceId, MemberId), 5>,
    proxied: Meter<VirtualServiceId, 10>,
    proxied_members: Meter<(PoolId, MemberId), 3>,
    ports: Meter<String, 6>,
    workers: Meter<usize, 3>,
    drops: Meter<&'static str, 1>,
    frames: Meter<(), 4>,
    /// Connections, requests and packets of each pool since the members were last chosen.
    activity: HashMap<PoolId, u64>,
    chosen: HashSet<PoolId>,
    /// There were so many pools to choose from.
    choice: usize,
}

/// A second's worth of everything.
#[derive(Debug, Default)]
pub(super) struct Reading {
    services: HashMap<VirtualServiceId, [u64; SERVICE]>,
    pools: HashMap<PoolId, [u64; POOL]>,
    members: HashMap<MemberId, (PoolId, [u64; MEMBER])>,
    others: Vec<(Key, Values)>,
}

impl Reader {
    /// What was counted since the last reading.
    pub(super) fn read(&mut self, l4: Option<&L4Status>, l7: Option<&L7Status>, survey: &Survey) -> Reading {
        let mut reading = Reading::default();
        if let Some(status) = l4 {
            self.read_backends(status, survey, &mut reading);
            self.read_machine(status, &mut reading.others);
        }
        if let Some(status) = l7 {
            self.read_proxy(status, &mut reading);
        }
        if l4.is_some() || l7.is_some() {
            reading.look_at(survey);
        }
        for (pool, values) in &reading.pools {
            *self.activity.entry(*pool).or_default() += values[0] + values[2] + values[6];
        }
        reading
    }

    fn read_backends(&mut self, status: &L4Status, survey: &Survey, reading: &mut Reading) {
        let counted = status.backends.iter().map(|backend| {
            let BackendCounters {
                connections,
                active: _,
                packets_in,
                bytes_in,
                packets_out,
                bytes_out,
                unopened: _,
            } = backend.counters;
            ((backend.service, backend.member), [connections, packets_in, bytes_in, packets_out, bytes_out])
        });
        let rises = self.backends.rise(counted);
        // Both are in the order of the status.
        for (((service, member), rise), backend) in rises.into_iter().zip(&status.backends) {
            let [connections, packets_in, bytes_in, packets_out, bytes_out] = rise;
            let open = backend.counters.active;
            let traffic = [connections, open, packets_in, bytes_in, packets_out, bytes_out];
            add(reading.services.entry(service).or_insert([0; SERVICE]), &traffic);
            let Some(pool) = survey.pool_of(service, member) else { continue };
            add(reading.pools.entry(pool).or_insert([0; POOL]), &traffic);
            add(&mut reading.members.entry(member).or_insert((pool, [0; MEMBER])).1, &traffic);
        }
    }

    fn read_proxy(&mut self, status: &L7Status, reading: &mut Reading) {
        let counted = status.services.iter().map(|service| {
            let counters = &service.counters;
            let failed = counters.endings.values().sum();
            let [a1, a2, a3, a4, a5] = counters.answers;
            let lb_model::l7::L7ServiceCounters { connections, requests, bytes_in, bytes_out, .. } = counters;
            (service.service, [*connections, *bytes_in, *bytes_out, *requests, failed, a1, a2, a3, a4, a5])
        });
        let rises = self.proxied.rise(counted);
        for ((id, rise), service) in rises.into_iter().zip(&status.services) {
            let [connections, bytes_in, bytes_out, requests, failed, a1, a2, a3, a4, a5] = rise;
            let open = service.counters.connections_open;
            let did = [connections, open, 0, bytes_in, 0, bytes_out, requests, failed, a1, a2, a3, a4, a5];
            add(reading.services.entry(id).or_insert([0; SERVICE]), &did);
        }
        let counted = status.members.iter().map(|member| {
            let counters = member.counters;
            ((member.pool, member.member), [counters.connections, counters.requests, counters.failures])
        });
        let rises = self.proxied_members.rise(counted);
        for (((pool, id), rise), member) in rises.into_iter().zip(&status.members) {
            let [connections, requests, failed] = rise;
            let did = [connections, 0, 0, 0, 0, 0, requests, failed, member.counters.requests_open];
            add(reading.pools.entry(pool).or_insert([0; POOL]), &did);
            add(&mut reading.members.entry(id).or_insert((pool, [0; MEMBER])).1, &did);
        }
    }

    /// The numbers of the layer-4 plane that are nobody's in particular.
    fn read_machine(&mut self, status: &L4Status, others: &mut Vec<(Key, Values)>) {
        let rises = self.ports.rise(status.ports.iter().map(|port| (port.name.clone(), driven(port))));
        for ((name, rise), port) in rises.into_iter().zip(&status.ports) {
            let [packets_in, bytes_in, packets_out, bytes_out, missed, errors] = rise;
            let up = u64::from(port.up);
            let values = [packets_in, bytes_in, packets_out, bytes_out, missed, errors, up];
            others.push((Key::new(Subject::Port, &name), values.into()));
        }
        let counted = status.workers.iter().map(|worker| [worker.received, worker.sent, worker.dropped]);
        let rises = self.workers.rise(counted.enumerate());
        for ((number, [received, sent, dropped]), worker) in rises.into_iter().zip(&status.workers) {
            let values = [received, sent, dropped, worker.flows];
            others.push((Key::new(Subject::Worker, &number), values.into()));
        }
        let accounting = &status.accounting;
        let dropped = |reason: &str| accounting.drops.get(reason).copied().unwrap_or_default();
        let reasons = DropReason::ALL.iter().map(|reason| reason.as_str());
        for (reason, rise) in self.drops.rise(reasons.map(|reason| (reason, [dropped(reason)]))) {
            others.push((Key::new(Subject::Drop, reason), rise.into()));
        }
        let all = accounting.drops.values().sum();
        let frames = [accounting.received, accounting.sent, accounting.punted, all];
        for ((), [received, sent, punted, dropped]) in self.frames.rise(std::iter::once(((), frames))) {
            let values = [received, sent, punted, dropped, accounting.held, status.flows];
            others.push((Key::new(Subject::Appliance, ""), values.into()));
        }
    }

    /// Whether there are other pools to choose from than there were.
    pub(super) fn is_outdated(&self, survey: &Survey) -> bool {
        self.choice != survey.pools.len()
    }

    /// Chooses the pools whose members are recorded from now on.
    pub(super) fn choose(&mut self, survey: &Survey) {
        let activity = std::mem::take(&mut self.activity);
        let mut pools: Vec<_> = survey
            .pools
            .iter()
            .map(|(id, tally)| {
                let busy = activity.get(id).copied().unwrap_or_default();
                ((tally.down > 0, busy), *id, tally.all())
            })
            .collect();
        pools.sort_by(|one, other| other.cmp(one));
        self.choice = pools.len();
        let mut room = MEMBERS_MOST;
        self.chosen.clear();
        for (_, id, members) in pools {
            if members <= room {
                room -= members;
                self.chosen.insert(id);
            }
        }
    }
}

impl Reading {
    /// Adds what the checks say.
    fn look_at(&mut self, survey: &Survey) {
        for (pool, tally) in &survey.pools {
            let values = self.pools.entry(*pool).or_insert([0; POOL]);
            values[TRAFFIC + 1] = (tally.up + tally.unwatched) as u64;
            values[TRAFFIC + 2] = tally.down as u64;
        }
        for (id, (_, values)) in &mut self.members {
            let (liveness, took_ms) = survey.members.get(id).copied().unwrap_or((Liveness::Up, None));
            values[TRAFFIC + 1] = u64::from(liveness == Liveness::Up);
            values[TRAFFIC + 2] = took_ms.unwrap_or_default().into();
        }
    }

    /// All of it, but members of chosen pools alone.
    pub(super) fn into_samples(self, reader: &Reader) -> Vec<(Key, Values)> {
        let Self { services, pools, members, mut others } = self;
        if !services.is_empty() {
            let mut all = [0; SERVICE];
            for values in services.values() {
                add(&mut all, values);
            }
            others.push(sample(Subject::AllServices, "", &all));
        }
        others.extend(services.into_iter().map(|(id, values)| sample(Subject::VirtualService, &id, &values)));
        others.extend(pools.into_iter().map(|(id, values)| sample(Subject::Pool, &id, &values)));
        let chosen = members.into_iter().filter(|(_, (pool, _))| reader.chosen.contains(pool));
        others.extend(chosen.map(|(id, (_, values))| sample(Subject::Member, &id, &values)));
        others
    }
}

fn sample(subject: Subject, id: &(impl ToString + ?Sized), values: &[u64]) -> (Key, Values) {
    (Key::new(subject, id), values.into())
}

fn add(sum: &mut [u64], values: &[u64]) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

/// What the driver counts, by the names that DPDK gives to all drivers (`rte_eth_xstats_get_names`).
fn driven(port: &PortStatus) -> [u64; 6] {
    let counter = |name: &str| port.driver_counters.get(name).copied().unwrap_or_default();
    [
        counter("rx_good_packets"),
        counter("rx_good_bytes"),
        counter("tx_good_packets"),
        counter("tx_good_bytes"),
        counter("rx_missed_errors"),
        counter("rx_errors") + counter("tx_errors") + counter("rx_mbuf_allocation_errors"),
    ]
}
