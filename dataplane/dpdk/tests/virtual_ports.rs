//! Ports without a kernel interface: a loop of rings, an endless source, a capture file.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::process;

use lb_dpdk::{Burst, Checksum, Driver, Eal, EalConfig, Mbuf, Mempool, OpenPort, Port, PortConfig};

const BUFFERS: u32 = 8191;

#[test]
fn frames_come_and_go_without_a_kernel() {
    let eal = Eal::init(&EalConfig::default()).unwrap();
    let pool = Mempool::new(eal, "frames", BUFFERS, Mempool::DEFAULT_CACHE).unwrap();
    a_ring_refuses_what_does_not_fit(&pool, open(eal, &pool, "net_ring0"));
    a_source_never_ends(&pool, open(eal, &pool, "net_null0,size=60"));
    split_frames_are_dropped_and_counted(eal, &pool);
    assert_eq!(pool.free_count(), pool.capacity());
}

fn open(eal: Eal, pool: &Mempool, device: &str) -> OpenPort {
    let driver = Driver::Vdev { device: device.to_owned() };
    Port::open(eal, pool, &PortConfig::new(driver)).unwrap_or_else(|error| panic!("{error}"))
}

fn a_ring_refuses_what_does_not_fit(pool: &Mempool, mut open: OpenPort) {
    let mut burst = Burst::new();
    let mut number = 0_u64;
    while burst.is_empty() {
        assert!(pool.alloc_bulk(&mut burst, 32));
        for mbuf in burst.iter_mut() {
            mbuf.fill(&number.to_be_bytes()).unwrap();
            number += 1;
        }
        open.tx[0].send(&mut burst);
    }
    let refused: Vec<_> = burst.drain().map(|mbuf| value(mbuf.frame())).collect();
    assert!(refused.iter().copied().eq(number - refused.len() as u64..number), "in order: {refused:?}");

    let mut expected = 0;
    while open.rx[0].receive(&mut burst) > 0 {
        for mbuf in burst.drain() {
            assert_eq!(value(mbuf.frame()), expected);
            assert_eq!(mbuf.l4_checksum(), Checksum::Unknown);
            expected += 1;
        }
    }
    assert_eq!(expected, number - refused.len() as u64);
    assert_eq!(pool.used_count(), 0);
}

fn value(frame: &[u8]) -> u64 {
    u64::from_be_bytes(frame.try_into().unwrap())
}

fn a_source_never_ends(pool: &Mempool, mut open: OpenPort) {
    let mut burst = Burst::new();
    for _ in 0..1000 {
        assert_eq!(open.rx[0].receive(&mut burst), Burst::CAPACITY);
        assert_eq!(open.rx[0].receive(&mut burst), 0);
        assert!(burst.frames_mut().all(|frame| frame.len() == 60));
        assert_eq!(open.tx[0].send(&mut burst), Burst::CAPACITY);
    }
    assert_eq!(open.port.stats().unwrap().rx_packets, 64_000);
    assert_eq!(pool.used_count(), 0);
}

fn split_frames_are_dropped_and_counted(eal: Eal, pool: &Mempool) {
    let path = std::env::temp_dir().join(format!("penstock-split-{}.pcap", process::id()));
    fs::write(&path, capture(&[60, 5000, 2048, 2049, 100])).unwrap();
    let mut open = open(eal, pool, &format!("net_pcap0,rx_pcap={}", path.display()));
    fs::remove_file(&path).unwrap();

    let mut burst = Burst::new();
    burst.push(pool.alloc().unwrap()).unwrap();
    assert_eq!(open.rx[0].receive(&mut burst), 3);
    assert_eq!(burst.iter().map(Mbuf::len).collect::<Vec<_>>(), [0, 60, 2048, 100]);
    assert_eq!(open.rx[0].split_dropped(), 2);
}

/// A capture file (pcap-savefile(5)) with frames of these lengths.
fn capture(lengths: &[u32]) -> Vec<u8> {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let mut file = words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1]);
    for len in lengths {
        file.extend(words(&[0, 0, *len, *len]));
        file.resize(file.len() + *len as usize, 0);
    }
    file
}
