//! Buffers come from a pool and go back to it, whatever way a frame takes. Without ports.

#![allow(clippy::unwrap_used)]

use lb_dpdk::{Burst, Eal, EalConfig, EalError, Mempool, NoRoom, register_thread, ring};

#[test]
fn every_buffer_comes_back() {
    let config = EalConfig { memory_mib: 64, ..EalConfig::default() };
    let eal = Eal::init(&config).unwrap();
    assert!(matches!(Eal::init(&EalConfig::default()), Err(EalError::AlreadyStarted)));
    let buffers = Mempool::buffers_in(config.memory_mib);
    let pool = Mempool::new(eal, "frames", buffers, Mempool::DEFAULT_CACHE).unwrap();
    assert_eq!(pool.capacity(), buffers, "none is taken out of use without PCI devices");

    frames_are_shaped(&pool);
    bursts_are_owned(&pool);
    an_exhausted_pool_says_so(&pool);
    frames_cross_threads(eal, &pool);
    names_and_sizes_are_checked(eal);
    assert_eq!(pool.free_count(), pool.capacity());
    assert_eq!(pool.used_count(), 0);
}

fn frames_are_shaped(pool: &Mempool) {
    let mut frame = pool.alloc().unwrap();
    assert!(frame.is_empty());
    assert_eq!(frame.headroom(), usize::from(Mempool::HEADROOM));
    assert_eq!(frame.tailroom(), usize::from(Mempool::FRAME_ROOM));

    frame.fill(b"payload").unwrap();
    frame.prepend(4).unwrap()[..4].copy_from_slice(b"head");
    frame.append(4).unwrap()[11..].copy_from_slice(b"tail");
    assert_eq!(frame.frame(), b"headpayloadtail");
    frame.trim_front(4);
    frame.truncate(7);
    assert_eq!(frame.frame(), b"payload");

    assert_eq!(frame.prepend(usize::from(Mempool::HEADROOM) + 1).unwrap_err(), NoRoom);
    assert_eq!(frame.append(usize::from(Mempool::FRAME_ROOM) - 6).unwrap_err(), NoRoom);
    assert_eq!(frame.set_len(usize::from(Mempool::FRAME_ROOM) + 1).unwrap_err(), NoRoom);
    assert_eq!(frame.set_len(usize::from(Mempool::FRAME_ROOM)).unwrap().len(), 2048);
    assert_eq!(frame.frame_mut().len(), 2048);
    frame.trim_front(5000);
    assert!(frame.is_empty());
}

fn bursts_are_owned(pool: &Mempool) {
    let mut burst = Burst::new();
    assert!(pool.alloc_bulk(&mut burst, Burst::CAPACITY));
    assert!(burst.is_full() && !pool.alloc_bulk(&mut burst, 1));
    let refused = burst.push(pool.alloc().unwrap()).unwrap_err();
    drop(refused);
    for (number, mbuf) in (0_u8..).zip(burst.iter_mut()) {
        mbuf.fill(&[number]).unwrap();
    }
    assert!(burst.frames_mut().map(|frame| frame[0]).eq(0..64));

    assert_eq!(burst.pop().unwrap().frame(), [63]);
    let kept: Vec<_> = burst.drain().take(3).collect();
    assert_eq!(kept.iter().map(|mbuf| mbuf.frame()[0]).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(burst.is_empty());
    assert_eq!(pool.used_count(), 3);
}

fn an_exhausted_pool_says_so(pool: &Mempool) {
    let all: Vec<_> = std::iter::from_fn(|| pool.alloc()).collect();
    assert_eq!(u32::try_from(all.len()).unwrap(), pool.capacity());
    assert!(!pool.alloc_bulk(&mut Burst::new(), 1));
}

fn frames_cross_threads(eal: Eal, pool: &Mempool) {
    const FRAMES: usize = 100_000;
    let (sender, mut receiver) = ring::ring(eal, "crossing", 256).unwrap();
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let (mut sender, pool) = (sender.clone(), *pool);
            std::thread::spawn(move || {
                let _registration = register_thread(eal).unwrap();
                let mut burst = Burst::new();
                for number in 0..FRAMES {
                    while !pool.alloc_bulk(&mut burst, 1) || burst.is_empty() {}
                    burst[0].fill(&number.to_be_bytes()).unwrap();
                    while sender.send(&mut burst) == 0 {
                        std::thread::yield_now();
                    }
                }
            })
        })
        .collect();
    let mut burst = Burst::new();
    let (mut count, mut sum) = (0, 0);
    while count < 2 * FRAMES {
        count += receiver.receive(&mut burst);
        sum +=
            burst.drain().map(|mbuf| usize::from_be_bytes(mbuf.frame().try_into().unwrap())).sum::<usize>();
    }
    for worker in workers {
        worker.join().unwrap();
    }
    assert_eq!(sum, FRAMES * (FRAMES - 1));

    // What is still inside goes back as well.
    let mut sender = sender;
    assert!(pool.alloc_bulk(&mut burst, 32));
    assert_eq!(sender.send(&mut burst), 32);
    drop(receiver);
    assert!(pool.alloc_bulk(&mut burst, 32));
    assert_eq!(sender.send(&mut burst), 32);
}

fn names_and_sizes_are_checked(eal: Eal) {
    let text = |name: &str, buffers, cache| Mempool::new(eal, name, buffers, cache).unwrap_err().to_string();
    assert!(text("", 1000, 0).contains("cannot be the name"));
    assert!(text("small", 100, 100).contains("does not suit"));
    let too_many = text("many", 1 << 27, 0);
    assert!(too_many.contains("packet buffers") && too_many.contains("MiB"), "{too_many}");
}
