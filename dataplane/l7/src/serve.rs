//! The socket that penstockd speaks to.

use std::sync::Arc;
use std::thread;

use lb_link::{Link, LinkError, Listener, unseal};
use lb_model::contract::{CONTRACT, HandedSocket, Hello, L7Answer, L7Request};
use lb_model::snapshot::HealthDelta;
use lb_model::{Generation, L7Snapshot};
use rustix::fd::OwnedFd;

use crate::control::Control;
use crate::takeover::PATIENCE;

/// Answers every peer in a thread of its own, for as long as the process lives.
pub(crate) fn serve(listener: Listener, control: Arc<Control>) -> std::io::Result<()> {
    thread::Builder::new().name("serve".into()).spawn(move || {
        loop {
            match listener.accept() {
                Ok(link) => converse_in_thread(link, &control),
                Err(error) => {
                    tracing::error!(%error, "cannot accept a peer");
                    thread::sleep(std::time::Duration::from_millis(100));
                }
            }
        }
    })?;
    Ok(())
}

fn converse_in_thread(mut link: Link, control: &Arc<Control>) {
    let control = Arc::clone(control);
    let spawned =
        thread::Builder::new().name("peer".into()).spawn(move || match converse(&mut link, &control) {
            Ok(()) | Err(LinkError::Closed) => {}
            Err(error) => tracing::warn!(error = %chain(&error), "a peer was lost"),
        });
    if let Err(error) = spawned {
        tracing::error!(%error, "cannot answer a peer");
    }
}

fn converse(link: &mut Link, control: &Control) -> Result<(), LinkError> {
    let own = Hello {
        contract: CONTRACT,
        process: "penstock-l7".into(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    link.send(&own, None)?;
    let (peer, _) = link.receive::<Hello>()?;
    if peer.contract != CONTRACT {
        let Hello { process, contract, .. } = peer;
        tracing::error!(process, contract, "{process} speaks contract {contract}, this is {CONTRACT}");
        return Ok(());
    }
    let refused = |reason| L7Answer::Refused { generation: control.status().generation, reason };
    loop {
        let (request, payload) = link.receive::<L7Request>()?;
        if control.has_left() {
            // Whoever asks again finds the process that has taken over.
            return Ok(());
        }
        let answer = match request {
            L7Request::Publish { generation } => publish(control, generation, payload),
            L7Request::Health { delta } => change_health(control, &delta),
            L7Request::Status => L7Answer::Status(control.status()),
            L7Request::Explain { service, request } => match control.explain(service, &request) {
                Ok(explanation) => L7Answer::Explained(Box::new(explanation)),
                Err(reason) => refused(reason),
            },
            L7Request::Requests { filter, before, limit } => {
                let (requests, next) = control.requests(&filter, before, limit as usize);
                L7Answer::Requests { requests, next }
            }
            L7Request::HandOver if hand_over(link, control)? => L7Answer::Left,
            L7Request::HandOver => refused("the sockets were not taken".into()),
            L7Request::TakenOver => refused("nothing is being handed over".into()),
            L7Request::ExplainPacket { .. } | L7Request::Flows { .. } | L7Request::EndFlow { .. } => {
                refused("layer 7 knows no packets".into())
            }
        };
        link.send(&answer, None)?;
    }
}

/// Gives the listening sockets away, if they are taken.
fn hand_over(link: &mut Link, control: &Control) -> Result<bool, LinkError> {
    control.hand_over(|sockets| {
        let all = sockets.iter().flat_map(|(address, all)| all.iter().map(|socket| (*address, socket)));
        let all = all.map(|(address, socket)| Ok((address, OwnedFd::from(socket.try_clone()?))));
        let all = all.collect::<std::io::Result<Vec<_>>>()?;
        let sockets = u32::try_from(all.len()).unwrap_or(u32::MAX);
        link.set_timeout(PATIENCE)?;
        link.send(&L7Answer::HandingOver { sockets }, None)?;
        for (address, socket) in &all {
            link.send(&HandedSocket { address: *address }, Some(socket))?;
        }
        Ok(matches!(link.receive()?, (L7Request::TakenOver, _)))
    })
}

fn publish(control: &Control, generation: Generation, payload: Option<OwnedFd>) -> L7Answer {
    let result = read(payload).and_then(|snapshot| control.publish(snapshot).map_err(|error| chain(&error)));
    match result {
        Ok(generation) => {
            tracing::info!(%generation, "working by generation {generation}");
            L7Answer::Forwarding { generation }
        }
        Err(reason) => {
            tracing::error!(%generation, reason, "refused generation {generation}: {reason}");
            L7Answer::Refused { generation, reason }
        }
    }
}

fn change_health(control: &Control, delta: &HealthDelta) -> L7Answer {
    match control.change_health(delta) {
        Ok(generation) => L7Answer::Forwarding { generation },
        Err(error) => {
            let (generation, reason) = (delta.generation, chain(&error));
            tracing::warn!(%generation, reason, "refused a change of health: {reason}");
            L7Answer::Refused { generation, reason }
        }
    }
}

fn read(payload: Option<OwnedFd>) -> Result<L7Snapshot, String> {
    let bytes = unseal(payload).map_err(|error| chain(&error))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("the snapshot cannot be read: {error}"))
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
