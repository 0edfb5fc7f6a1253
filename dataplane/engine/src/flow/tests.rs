use std::collections::HashMap;

use lb_mem::{FlowFile, PAIR, Wide};
use proptest::prelude::*;

use super::{Direction, FlowTable, Found, Key, NewFlow, WideAddresses};
use crate::rewrite::Mode;

const CAPACITY: u32 = 128;

/// What a flow is of: IPv4, IPv6, or IPv6 clients of an IPv4 member.
fn flow(table: &FlowTable, id: u32) -> NewFlow {
    let client: WideAddresses = [0x2001_0db8, u64::from(id), 1, 2];
    let member: WideAddresses = [1, 3, 0x2001_0db8, u64::from(id)];
    let narrow = |addresses: u64| Key { addresses, ports: id, protocol: 6 };
    let (wide_client, wide_member) = (table.wide_key(&client, id, 6), table.wide_key(&member, id, 6));
    let (keys, wide) = match id % 3 {
        0 => ([wide_client, wide_member], Some(Wide([client, member]))),
        1 => ([wide_client, narrow(u64::from(id) << 32)], Some(Wide([client, [0; 4]]))),
        _ => ([narrow(u64::from(id)), narrow(u64::from(id) << 32)], None),
    };
    NewFlow { keys, wide, deltas: [[0; 2]; 2], backend: (id, 7), mode: Mode::Translated, now: 0, timeout: 10 }
}

fn find(table: &mut FlowTable, id: u32) -> [Found; 2] {
    let flow = flow(table, id);
    [0, 1].map(|way| {
        let is_wide = flow.keys[way].protocol != 6;
        let addresses = flow.wide.as_ref().map(|wide| wide.0[way]).filter(|_| is_wide);
        table.find(flow.keys[way], addresses.as_ref())
    })
}

fn new_table() -> FlowTable {
    FlowTable::attach(FlowFile::anonymous(CAPACITY, [11, 13]).unwrap())
}

proptest! {
    /// Whatever is entered and forgotten in whatever order, by one process or several: the table holds exactly that, finds it
    /// from both ends, and refuses only when it is full.
    #[test]
    fn narrow_and_wide_flows_share_the_table(steps in prop::collection::vec((0u32..150, 0u8..16), 1..500)) {
        let mut table = new_table();
        let mut model = HashMap::new();
        for (id, action) in steps {
            match action {
                0 => table = FlowTable::attach(table.file),
                1..8 => if let Some(found) = model.remove(&id) {
                    prop_assert!(table.remove(found).is_some());
                },
                _ => if let std::collections::hash_map::Entry::Vacant(free) = model.entry(id) {
                    let flow = flow(&table, id);
                    let room = table.has_room(flow.wide.is_some());
                    let entered = table.insert(&flow);
                    prop_assert_eq!(entered.is_some(), room);
                    if let Some(found) = entered {
                        free.insert(found);
                    }
                },
            }
            prop_assert_eq!(table.live() as usize, model.len());
        }
        for id in 0..150 {
            let [from_client, from_member] = find(&mut table, id);
            if let Some(found) = model.get(&id) {
                prop_assert_eq!(from_client, *found);
                prop_assert_eq!(from_member.direction(), Direction::FromMember);
                prop_assert_eq!(from_member.entry(), from_client.entry());
                prop_assert_eq!(table.wide(*found), flow(&table, id).wide);
            } else {
                prop_assert_eq!([from_client, from_member], [Found::NOTHING; 2]);
            }
        }
    }
}

#[test]
fn two_free_neighbours_become_a_pair_again() {
    let mut table = new_table();
    let narrow = |n: u32| 3 * n + 2;
    let flows: Vec<_> = (0..CAPACITY).map(|n| flow(&table, narrow(n))).collect();
    let entered: Vec<_> = flows.iter().map(|flow| table.insert(flow).unwrap()).collect();
    let wide = flow(&table, 0);
    assert_eq!(table.insert(&wide), None, "every entry is taken");
    table.remove(entered[40]);
    assert_eq!(table.insert(&wide), None, "one free entry is no pair");
    table.remove(entered[41]);
    assert!(table.insert(&wide).is_some());
    assert_eq!(table.live(), CAPACITY - 1);
}

#[test]
fn eviction_for_a_pair_takes_two_neighbours_that_may_go() {
    let mut table = new_table();
    for n in 0..CAPACITY {
        let narrow = flow(&table, 3 * n + 2);
        table.insert(&narrow).unwrap();
    }
    let mut gone = Vec::new();
    assert!(table.evict(0, true, |conn| gone.push(conn.backend)));
    assert_eq!(gone.len(), 2);
    let wide = flow(&table, 0);
    assert!(table.insert(&wide).is_some());
}

#[test]
fn a_pair_in_doubt_is_undone_whole() {
    let mut table = new_table();
    let wide = flow(&table, 0);
    let found = table.insert(&wide).unwrap();
    // As if killed before it was declared.
    table.file.parts().header.in_doubt = found.entry() | PAIR;
    let mut after = FlowTable::attach(table.file);
    assert_eq!((after.live(), find(&mut after, 0)), (0, [Found::NOTHING; 2]));
    for n in 0..CAPACITY {
        let narrow = flow(&after, 3 * n + 2);
        assert!(after.insert(&narrow).is_some(), "both entries are free");
    }
}
