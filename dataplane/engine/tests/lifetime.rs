//! How long flows live, and what survives a process.

mod support;

use lb_engine::{FlowTable, TICKS_PER_SECOND, Verdict};
use lb_mem::{FlowFile, Origin};
use lb_model::counters::DropReason;
use proptest::prelude::*;
use support::*;

#[test]
fn silence_ends_a_flow_after_the_timeout_of_its_state() {
    let mut lb = Lb::new(&two_members());
    lb.open(1);
    lb.send(from_client(2, SYN, b""));
    lb.now += 61 * TICKS_PER_SECOND;
    assert_eq!((lb.sweep(), lb.flows()), (1, 1), "the unfinished handshake is gone");
    lb.now += 230 * TICKS_PER_SECOND;
    assert_eq!((lb.sweep(), lb.flows()), (0, 1));
    lb.now += 10 * TICKS_PER_SECOND;
    assert_eq!((lb.sweep(), lb.flows()), (1, 0));
    assert_eq!(lb.send(from_client(1, ACK, b"x")).0, Verdict::Drop(DropReason::NoFlow));
}

#[test]
fn packets_keep_a_flow_alive() {
    let mut lb = Lb::new(&two_members());
    lb.open(1);
    for _ in 0..10 {
        lb.now += 299 * TICKS_PER_SECOND;
        assert_eq!(lb.sweep(), 0);
        assert_eq!(lb.send(from_client(1, ACK, b"x")).0, Verdict::Send(BACK));
    }
}

#[test]
fn a_closed_connection_makes_room_soon_and_its_port_can_be_used_again() {
    let mut lb = Lb::new(&two_members());
    let member = lb.open(1);
    lb.send(from_client(1, FIN | ACK, b""));
    lb.send(from_member(member, 1, FIN | ACK, b""));
    assert_eq!(lb.send(from_client(1, ACK, b"")).0, Verdict::Send(BACK), "the last ACK still passes");
    let next = lb.open(1);
    assert_ne!(next, member, "a SYN on a closed flow begins a new one, on the next member");
    assert_eq!(lb.flows(), 1);
}

#[test]
fn a_forged_reset_does_not_end_a_flow_that_goes_on() {
    let mut lb = Lb::new(&two_members());
    let member = lb.open(1);
    lb.send(from_client(1, RST, b""));
    for _ in 0..20 {
        lb.now += 9 * TICKS_PER_SECOND;
        assert_eq!(lb.sweep(), 0);
        assert_eq!(lb.send(from_client(1, ACK, b"x")).1.dst(), member);
    }
    lb.now += 11 * TICKS_PER_SECOND;
    assert_eq!(lb.sweep(), 1);
}

#[test]
fn a_full_table_evicts_unfinished_handshakes_and_no_one_else() {
    let mut lb = Lb::with_capacity(&two_members(), 1024);
    for port in 1..=1000 {
        lb.open(port);
    }
    let entered =
        (2000..4000).filter(|port| lb.send(from_client(*port, SYN, b"")).0 == Verdict::Send(BACK)).count();
    assert!(entered > 1000, "{entered} of 2000 SYNs found room by evicting others");
    assert_eq!(lb.flows(), 1024);
    assert!((1..=1000).all(|port| lb.send(from_client(port, ACK, b"x")).0 == Verdict::Send(BACK)));
}

#[test]
fn a_table_full_of_living_flows_refuses() {
    let mut lb = Lb::with_capacity(&two_members(), 1024);
    for port in 1..=1024 {
        lb.open(port);
    }
    assert_eq!(lb.send(from_client(5000, SYN, b"")).0, Verdict::Drop(DropReason::FlowTableFull));
}

#[test]
fn flows_outlive_the_process() {
    let dir = std::env::temp_dir().join(format!("lb-engine-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let open = || FlowFile::open(&dir.join("flows"), 4096, [7; 16], [11, 13]).unwrap();

    let mut before = Lb::on_file(&two_members(), open().0);
    let members: Vec<_> = (1..=100).map(|port| before.open(port)).collect();
    drop(before);

    let (file, origin) = open();
    assert_eq!(origin, Origin::Attached);
    let mut after = Lb::on_file(&two_members(), file);
    assert_eq!(after.flows(), 100);
    for (port, member) in (1..=100).zip(members) {
        assert_eq!(after.send(from_client(port, ACK, b"x")).1.dst(), member);
        assert_eq!(after.send(from_member(member, port, ACK, b"x")).0, Verdict::Send(FRONT));
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn what_was_in_doubt_when_the_process_died_is_undone() {
    let mut file = FlowFile::anonymous(4096, [11, 13]).unwrap();
    // As if killed between entering the flow and declaring it.
    file.parts().header.in_doubt = 0;
    file.parts().header.untouched = 2;
    let mut table = FlowTable::attach(file);
    assert_eq!(table.live(), 0);
    let mut lb = Lb::on_file(&two_members(), FlowFile::anonymous(4096, [11, 13]).unwrap());
    lb.open(1);
    assert_eq!(lb.flows(), 1);
}

proptest! {
    /// Whatever is opened, closed and swept in whatever order: the table holds exactly what is alive, and finds it.
    #[test]
    fn the_table_agrees_with_a_plain_model(steps in prop::collection::vec((0u16..300, 0u8..3), 1..600)) {
        let mut lb = Lb::with_capacity(&two_members(), 1024);
        let mut model = std::collections::HashMap::new();
        for (port, action) in steps {
            let port = port + 1;
            match action {
                0 => { model.entry(port).or_insert_with(|| lb.open(port)); }
                1 => if let Some(member) = model.remove(&port) {
                    lb.send(from_client(port, RST, b""));
                    lb.now += 11 * TICKS_PER_SECOND;
                    for (port, member) in &model {
                        prop_assert_eq!(lb.send(from_client(*port, ACK, b"")).1.dst(), *member);
                    }
                    lb.sweep();
                    let stray = lb.send(from_member(member, port, ACK, b"")).0;
                    prop_assert_eq!(stray, Verdict::Drop(DropReason::NoFlow));
                },
                _ => if let Some(member) = model.get(&port) {
                    prop_assert_eq!(lb.send(from_client(port, ACK, b"x")).1.dst(), *member);
                },
            }
            prop_assert_eq!(lb.flows() as usize, model.len());
        }
    }
}
