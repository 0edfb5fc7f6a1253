//! The socket that penstockd speaks to.

use std::sync::Arc;
use std::thread;

use lb_link::{Link, LinkError, Listener, unseal};
use lb_model::contract::{CONTRACT, Hello, L4Answer, L4Request};
use lb_model::snapshot::{Generation, HealthDelta, L4Snapshot};
use rustix::fd::OwnedFd;

use crate::control::Control;

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
        process: "penstock-l4".into(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    link.send(&own, None)?;
    let (peer, _) = link.receive::<Hello>()?;
    if peer.contract != CONTRACT {
        let Hello { process, contract, .. } = peer;
        tracing::error!(process, contract, "{process} speaks contract {contract}, this is {CONTRACT}");
        return Ok(());
    }
    let refused = |reason| L4Answer::Refused { generation: control.generation(), reason };
    loop {
        let (request, payload) = link.receive::<L4Request>()?;
        let answer = match request {
            L4Request::Publish { generation } => publish(control, generation, payload),
            L4Request::Health { delta } => change_health(control, &delta),
            L4Request::Status => L4Answer::Status(control.status()),
            L4Request::Explain { .. } | L4Request::Requests { .. } => {
                refused("layer 4 knows no requests".into())
            }
            L4Request::HandOver | L4Request::TakenOver => {
                refused("layer 4 has no connections to hand over".into())
            }
            L4Request::ExplainPacket { packet } => control.explain_packet(&packet).unwrap_or_else(refused),
            L4Request::Flows { filter, from, limit } => {
                control.flows(filter, from, limit).unwrap_or_else(refused)
            }
            L4Request::EndFlow { key } => control.end_flow(key).unwrap_or_else(refused),
        };
        link.send(&answer, None)?;
    }
}

fn publish(control: &Control, generation: Generation, payload: Option<OwnedFd>) -> L4Answer {
    let result =
        read(payload).and_then(|snapshot| control.publish(&snapshot).map_err(|error| error.to_string()));
    match result {
        Ok(generation) => {
            tracing::info!(%generation, "forwarding by generation {generation}");
            L4Answer::Forwarding { generation }
        }
        Err(reason) => {
            tracing::error!(%generation, reason, "refused generation {generation}: {reason}");
            L4Answer::Refused { generation, reason }
        }
    }
}

fn change_health(control: &Control, delta: &HealthDelta) -> L4Answer {
    match control.change_health(delta) {
        Ok(generation) => L4Answer::Forwarding { generation },
        Err(error) => {
            let (generation, reason) = (delta.generation, error.to_string());
            tracing::warn!(%generation, reason, "refused a change of health: {reason}");
            L4Answer::Refused { generation, reason }
        }
    }
}

fn read(payload: Option<OwnedFd>) -> Result<L4Snapshot, String> {
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
