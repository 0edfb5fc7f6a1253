//! The reconciler against peers that speak the contract: in this process, over real sockets.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use lb_link::{Link, LinkError, Listener, unseal};
use lb_model::contract::{CONTRACT, Hello, L4Answer, L4Request, L4Status, L7Answer, L7Request};
use lb_model::{HostPlan, L4Snapshot};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::domain::{Author, Scope, Spec, VirtualIp};

const PATIENCE: Duration = Duration::from_secs(20);

/// What a peer was asked to do.
#[derive(Debug, PartialEq)]
enum Asked {
    Publish(L4Snapshot),
    Apply(HostPlan),
}

/// How a played plane answers `Publish`: `None` closes the connection, as a plane that dies.
type Answers = Box<dyn FnMut(Generation) -> Option<L4Answer> + Send>;

fn greet(link: &mut Link, contract: u32) {
    let hello = Hello { contract, process: "penstock-played".into(), version: "9.9".into() };
    link.send(&hello, None).unwrap();
    link.receive::<Hello>().unwrap();
}

/// Answers on one connection after the other until `answer` closes it or the asker leaves.
fn play<Q: DeserializeOwned, A: Serialize>(
    socket: &Path,
    contract: u32,
    mut answer: impl FnMut(Q, Result<Vec<u8>, LinkError>) -> Option<A> + Send + 'static,
) {
    let listener = Listener::bind(socket, None).unwrap();
    thread::spawn(move || {
        while let Ok(mut link) = listener.accept() {
            greet(&mut link, contract);
            while let Ok((question, payload)) = link.receive::<Q>() {
                let Some(answer) = answer(question, unseal(payload)) else { break };
                if link.send(&answer, None).is_err() {
                    break;
                }
            }
        }
    });
}

fn play_plane(socket: &Path, asked: Sender<Asked>, mut answers: Answers) {
    let mut generation = Generation(0);
    play(socket, CONTRACT, move |question: L4Request, payload| match question {
        L4Request::Health { delta } => Some(L4Answer::Forwarding { generation: delta.generation }),
        L4Request::Status => Some(L4Answer::Status(L4Status { generation, ..L4Status::default() })),
        L4Request::Explain { .. }
        | L4Request::ExplainPacket { .. }
        | L4Request::Requests { .. }
        | L4Request::HandOver
        | L4Request::TakenOver
        | L4Request::Flows { .. }
        | L4Request::EndFlow { .. } => None,
        L4Request::Publish { generation: published } => {
            let snapshot = serde_json::from_slice(&payload.unwrap()).unwrap();
            asked.send(Asked::Publish(snapshot)).unwrap();
            let answer = answers(published);
            if matches!(answer, Some(L4Answer::Forwarding { .. })) {
                generation = published;
            }
            answer
        }
    });
}

fn play_host(socket: &Path, asked: Sender<Asked>) {
    let mut generation = Generation(0);
    play(socket, CONTRACT, move |question: HostRequest, payload| {
        if let HostRequest::Apply { generation: applied } = question {
            asked.send(Asked::Apply(serde_json::from_slice(&payload.unwrap()).unwrap())).unwrap();
            generation = applied;
        }
        Some(HostAnswer::Applied { generation, off_link: Vec::new() })
    });
}

fn forwards() -> Answers {
    Box::new(|generation| Some(L4Answer::Forwarding { generation }))
}

struct Stage {
    folder: TempDir,
    store: Store,
    observed: Observation,
    asked: Receiver<Asked>,
    asks: Sender<Asked>,
}

impl Stage {
    async fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let wake = Arc::new(Notify::new());
        let store = Store::open(&folder.path().join("test.db"), Arc::clone(&wake)).await.unwrap();
        let socket = |name: &str| folder.path().join(name);
        let sockets = Sockets { l4: socket("l4.sock"), l7: socket("l7.sock"), host: socket("host.sock") };
        let events = crate::events::queue(store.clone()).0;
        let health = watch::Sender::default().subscribe();
        let reconciler =
            Reconciler::start(store.clone(), wake, events, health, Arc::default(), &sockets).unwrap();
        let observed = reconciler.observation();
        tokio::spawn(reconciler.run());
        let (asks, asked) = channel();
        Self { folder, store, observed, asked, asks }
    }

    fn l4(&self) -> PathBuf {
        self.folder.path().join("l4.sock")
    }

    fn host(&self) -> PathBuf {
        self.folder.path().join("host.sock")
    }

    async fn create(&self, last: u8) -> Generation {
        let document = json!({ "name": format!("ip-{last}"), "address": format!("192.0.2.{last}") });
        let spec = Spec::<VirtualIp>::read(document.as_object().unwrap()).unwrap();
        self.store
            .create(&Author::appliance(""), (Scope::Appliance, ()), spec, None)
            .await
            .unwrap()
            .generation
    }

    async fn until(&mut self, wanted: impl FnMut(&Observed) -> bool) -> Observed {
        let seen = tokio::time::timeout(PATIENCE, self.observed.wait_for(wanted)).await;
        seen.expect("in time").expect("the reconciler runs").clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plane_is_told_first_and_what_is_acknowledged_is_observed() {
    let mut stage = Stage::set().await;
    let generation = stage.create(1).await;
    play_plane(&stage.l4(), stage.asks.clone(), forwards());
    play_host(&stage.host(), stage.asks.clone());

    let observed = stage.until(|observed| observed.generation == generation).await;
    assert_eq!(observed.failure, None);
    assert_eq!(observed.l4.process.version.as_deref(), Some("9.9"));

    let (first, second) = (stage.asked.recv().unwrap(), stage.asked.recv().unwrap());
    assert_eq!(first, Asked::Publish(L4Snapshot { generation, services: vec![], probes: vec![] }));
    let addresses = vec!["192.0.2.1".parse().unwrap()];
    assert_eq!(second, Asked::Apply(HostPlan { generation, addresses, ..HostPlan::default() }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_plane_blocks_no_write_and_gets_the_newest_when_it_comes() {
    let mut stage = Stage::set().await;
    play_host(&stage.host(), stage.asks.clone());
    stage.create(1).await;
    let newest = stage.create(2).await;
    let observed = stage.until(|observed| observed.l4.process.error.is_some()).await;
    assert_eq!((observed.generation, observed.failure), (Generation(0), None));

    play_plane(&stage.l4(), stage.asks.clone(), forwards());
    stage.until(|observed| observed.generation == newest).await;
    let Asked::Publish(snapshot) = stage.asked.recv().unwrap() else { panic!("the host was asked first") };
    assert_eq!(snapshot.generation, newest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_generation_is_a_failure_and_the_host_is_not_told() {
    let mut stage = Stage::set().await;
    let bad = stage.create(1).await;
    play_plane(
        &stage.l4(),
        stage.asks.clone(),
        Box::new(move |generation| {
            Some(if generation == bad {
                L4Answer::Refused { generation, reason: "no room".into() }
            } else {
                L4Answer::Forwarding { generation }
            })
        }),
    );
    play_host(&stage.host(), stage.asks.clone());

    let observed = stage.until(|observed| observed.failure.is_some()).await;
    let reason = "penstock-l4 refused: no room".to_owned();
    assert_eq!(observed.failure, Some(Failure { generation: bad, reason }));
    assert_eq!(observed.host.acknowledged, None);

    let good = stage.create(2).await;
    let observed = stage.until(|observed| observed.generation == good).await;
    assert_eq!((observed.failure, observed.l4.process.error), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plane_that_was_restarted_is_told_again() {
    let mut stage = Stage::set().await;
    let generation = stage.create(1).await;
    let dies = Arc::new(Mutex::new(true));
    play_plane(
        &stage.l4(),
        stage.asks.clone(),
        Box::new(move |generation| {
            let dies = std::mem::replace(&mut *dies.lock().unwrap(), false);
            (!dies).then_some(L4Answer::Forwarding { generation })
        }),
    );
    play_host(&stage.host(), stage.asks.clone());

    stage.until(|observed| observed.generation == generation).await;
    let published = L4Snapshot { generation, services: vec![], probes: vec![] };
    assert_eq!(stage.asked.recv().unwrap(), Asked::Publish(published.clone()));
    assert_eq!(stage.asked.recv().unwrap(), Asked::Publish(published));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_of_another_contract_is_named() {
    let mut stage = Stage::set().await;
    play(&stage.l4(), CONTRACT + 1, |_: L4Request, _| None::<L4Answer>);
    let named = |observed: &Observed| {
        observed
            .l4
            .process
            .error
            .as_ref()
            .is_some_and(|error| error.contains("penstock-played 9.9 speaks version"))
    };
    let observed = stage.until(named).await;
    assert!(!observed.l4.process.is_connected());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plane_with_nothing_to_do_is_waited_for_only_while_it_is_there() {
    let mut stage = Stage::set().await;
    let first = stage.create(1).await;
    play_plane(&stage.l4(), stage.asks.clone(), forwards());
    play_host(&stage.host(), stage.asks.clone());
    let observed = stage.until(|observed| observed.generation == first).await;
    assert!(!observed.l7.concerned);

    let (told, tell) = channel();
    play(&stage.folder.path().join("l7.sock"), CONTRACT, move |question: L7Request, _| match question {
        L7Request::Publish { generation } => {
            told.send(generation).unwrap();
            Some(L7Answer::Forwarding { generation })
        }
        L7Request::Status
        | L7Request::Health { .. }
        | L7Request::Explain { .. }
        | L7Request::ExplainPacket { .. }
        | L7Request::Requests { .. }
        | L7Request::HandOver
        | L7Request::TakenOver
        | L7Request::Flows { .. }
        | L7Request::EndFlow { .. } => None,
    });
    let observed = stage.until(|observed| observed.l7.process.acknowledged == Some(first)).await;
    assert!(observed.l7.concerned);
    assert_eq!(tell.recv().unwrap(), first);
}
