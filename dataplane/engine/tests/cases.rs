//! Packet cases as data: `cases/*.txt`, in the words of `cases/README.md`.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a case that cannot be read has failed; numbers are made to fit"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use lb_engine::network::Strangers;
use lb_engine::{PortIndex, TICKS_PER_SECOND, Verdict};
use lb_mem::FlowFile;
use lb_model::config::ChecksumMode;
use lb_model::counters::DropReason;
use lb_model::snapshot::{Ended, Forwarding, L4Persistence, L4Rates, L4Snapshot, Unserved};
use lb_model::{L4Port, Prefix, Tunnel, Vni};
use support::v6::*;
use support::*;

const LOCAL: Ipv4Addr = Ipv4Addr::new(198, 18, 2, 200);
const LOCAL_6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 0x200);
const ROUTER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const FAR_ROUTER_6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 77);
const OTHER_6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0x77);

/// The appliance of a case.
struct Given {
    lb: Lb,
    wide: bool,
    /// The port that the appliance chose.
    chosen: Option<u16>,
    reached: BTreeSet<String>,
}

/// What is configured, in words.
struct Wanted<'w>(Vec<&'w str>);

impl Wanted<'_> {
    fn has(&self, word: &str) -> bool {
        self.0.contains(&word)
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.0.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse().ok())
    }

    fn tunnel(&self) -> Option<Tunnel> {
        let (port, vni) = (L4Port::new(4789).unwrap(), Vni::new(7).unwrap());
        self.0.iter().find_map(|word| match *word {
            "ipip" => Some(Tunnel::Ipip {}),
            "gre" => Some(Tunnel::Gre {}),
            "gue" => Some(Tunnel::Gue { port }),
            "vxlan" => Some(Tunnel::Vxlan { port, vni }),
            "geneve" => Some(Tunnel::Geneve { port, vni }),
            _ => None,
        })
    }

    fn rates(&self) -> Option<L4Rates> {
        let rate = |key| self.number(key).and_then(NonZeroU32::new);
        let usual = L4Rates::default();
        let rates = L4Rates {
            connections_per_s: rate("flow-rate"),
            source_connections_per_s: rate("source-flow-rate"),
            source_packets_per_s: rate("source-packet-rate"),
            source_prefix: self.number("source-prefix").unwrap_or(usual.source_prefix),
            source_prefix_v6: self.number("source-prefix").unwrap_or(usual.source_prefix_v6),
            packets_per_s: rate("packet-rate"),
            kbits_per_s: rate("kbit-rate"),
        };
        Some(rates).filter(|rates| *rates != usual)
    }

    fn snapshot(&self) -> L4Snapshot {
        let keeps_port = self.has("dr") || self.tunnel().is_some();
        let port = if keeps_port { 80 } else { 8080 };
        let mut members = vec![backend(1, MEMBER_1, port), backend(2, MEMBER_2, port)];
        members.truncate(self.number("members").unwrap_or(2));
        let mut snapshot = web(members);
        if self.has("udp") {
            snapshot = by_udp(snapshot);
        }
        if self.has("ipv6") {
            snapshot = over_ipv6(snapshot);
        }
        let service = &mut snapshot.services[0];
        service.tunnel = self.tunnel();
        service.forwarding = match () {
            () if self.has("full-nat") => Forwarding::FullNat,
            () if self.has("dr") => Forwarding::Dr,
            () if service.tunnel.is_some() => Forwarding::Tunnel,
            () => Forwarding::Nat,
        };
        if self.has("full-nat") {
            service.local_addresses = vec![if self.has("ipv6") { LOCAL_6.into() } else { LOCAL.into() }];
        }
        service.port_end = self.number("last").map(|port| L4Port::new(port).unwrap());
        if self.has("reset") {
            service.unserved = Unserved::Reset;
        }
        if self.has("ended-reset") {
            service.ended = Ended::Reset;
        }
        if self.has("keep") {
            service.persistence =
                Some(L4Persistence { prefix: 32, prefix_v6: 128, timeout_s: 600, shared: false });
        }
        service.admission.connection_limit = self.number("service-limit").and_then(NonZeroU32::new);
        service.admission.rates = self.rates();
        service.admission.syn_cookies_from = self.number("cookies-from");
        service.admission.denied_cidrs.extend(self.number::<Prefix>("deny"));
        service.admission.allowed_cidrs.extend(self.number::<Prefix>("allow"));
        for backend in &mut service.backends {
            backend.connection_limit = self.number("limit").and_then(NonZeroU32::new);
            backend.takes_new = !self.has("drained");
        }
        if self.has("without-m1") {
            service.backends.remove(0);
        }
        snapshot
    }
}

impl Given {
    fn new(words: &str) -> Self {
        let wanted = Wanted(words.split_whitespace().collect());
        let snapshot = wanted.snapshot();
        let lb = match (wanted.number("flows"), wanted.number("workers")) {
            (Some(flows), _) => Lb::on_file(&snapshot, FlowFile::anonymous(flows, [3, 5]).unwrap()),
            (None, Some(workers)) => Lb::as_worker(&snapshot, 0, workers),
            (None, None) => Lb::new(&snapshot),
        };
        let mut given = Self { lb, wide: wanted.has("ipv6"), chosen: None, reached: BTreeSet::new() };
        given.change(&wanted);
        given
    }

    fn change(&mut self, wanted: &Wanted<'_>) {
        let network = &mut self.lb.network;
        *network = support::network();
        network.locals.extend([IpAddr::V4(LOCAL), IpAddr::V6(LOCAL_6)]);
        for (port, key) in network.ports.iter_mut().zip(["front-mtu", "mtu"]) {
            port.mtu = wanted.number(key).unwrap_or(1500);
            port.checksum = if wanted.has("sums") { ChecksumMode::Full } else { ChecksumMode::Incremental };
            port.strangers = if wanted.has("copies") { Strangers::Drop } else { Strangers::Punt };
        }
        if wanted.has("no-routes") {
            network.routes.clear();
        }
        if wanted.has("no-neighbours") {
            network.neighbours.clear();
        }
        self.lb.publish(&wanted.snapshot());
    }

    fn address(&self, name: &str) -> IpAddr {
        let both: (Ipv4Addr, Ipv6Addr) = match name {
            "client" => (CLIENT, CLIENT_6),
            "vip" => (VIP, VIP_6),
            "host" => (HOST, HOST_6),
            "m1" => (MEMBER_1, MEMBER_1_6),
            "m2" => (MEMBER_2, MEMBER_2_6),
            "local" => (LOCAL, LOCAL_6),
            "router" => (ROUTER, FAR_ROUTER_6),
            "other" => (OTHER, OTHER_6),
            text => return text.parse().unwrap(),
        };
        if self.wide { both.1.into() } else { both.0.into() }
    }

    fn end(&self, text: &str) -> (IpAddr, u16) {
        let (address, port) = text.rsplit_once(':').unwrap();
        let port = if port == "*" { self.chosen.unwrap_or(0) } else { port.parse().unwrap() };
        (self.address(address), port)
    }

    /// A frame in words; its hop limit is `ttl` unless it is said.
    fn frame(&self, words: &str, ttl: u8) -> Frame {
        let (words, about) = match words.split_once(" about ") {
            Some((words, about)) => (words, Some(about)),
            None => (words, None),
        };
        let all: Vec<&str> = words.split_whitespace().collect();
        let [kind, from, ">", to, rest @ ..] = &all[..] else { panic!("no frame: {words}") };
        let fields = Fields(rest);
        let payload: Vec<u8> = (0..fields.number("len").unwrap_or(0usize)).map(|at| at as u8).collect();
        let mut frame = match (*kind, about) {
            ("icmp", Some(about)) => {
                let quoted = self.frame(about, 64);
                let len = fields.number("quote").unwrap_or(48);
                self.error((self.address(from), self.address(to)), rest[0], &quoted, len)
            }
            ("tcp", _) => {
                let options = fields.options();
                let segment = [&options[..], &payload[..]].concat();
                let mut frame = segment_of(self.end(from), self.end(to), flags(rest[0]), &segment);
                let at = if self.wide { PAYLOAD_6 } else { 34 };
                frame.0[at + 12] = 0x50 + (options.len() as u8 / 4) * 0x10;
                for (key, place) in [("seq", at + 4), ("ack", at + 8)] {
                    let number: u32 = fields.number(key).unwrap_or(0);
                    frame.0[place..place + 4].copy_from_slice(&number.to_be_bytes());
                }
                frame
            }
            ("udp", _) => datagram_of(self.end(from), self.end(to), &payload),
            (kind, _) => panic!("no kind of frame: {kind}"),
        };
        fields.bend(&mut frame, self.wide, ttl);
        frame
    }

    fn error(&self, ends: (IpAddr, IpAddr), kind: &str, quoted: &Frame, len: usize) -> Frame {
        let number = |v4, v6| if self.wide { v6 } else { v4 };
        let kind = match kind {
            "unreachable" => number(3, 1),
            "toobig" => number(3, 2),
            "exceeded" => number(11, 3),
            "parameter" => number(12, 4),
            "echo" => number(8, 128),
            "quench" => number(4, 100),
            kind => panic!("no kind of error: {kind}"),
        };
        match ends {
            (IpAddr::V4(from), IpAddr::V4(to)) => Frame::error(from, to, kind, quoted, len),
            (IpAddr::V6(from), IpAddr::V6(to)) => Frame::error6(from, to, kind, quoted, len + 20),
            _ => panic!("two families"),
        }
    }

    fn step(&mut self, line: &str) {
        let (arrival, outcome) = line.split_once("=>").unwrap();
        let (port, words) = arrival.trim().split_once(' ').unwrap();
        let (port, mac) = if port == "front" { (FRONT, FRONT_MAC) } else { (BACK, BACK_MAC) };
        let frame = self.frame(words, 64);
        let came = if frame.0.get(..6) == Some(&FRONT_MAC.0[..]) { frame.arriving_at(mac) } else { frame };
        self.lb.bad_checksum = words.split_whitespace().any(|word| word == "bad");
        let (verdict, out) = self.lb.send_at(port, came.clone());
        self.reached.insert(name(verdict));
        self.judge(outcome.trim(), (port, &came), (verdict, out));
    }

    fn judge(&mut self, outcome: &str, (port, came): (PortIndex, &Frame), (verdict, out): (Verdict, Frame)) {
        let (word, rest) = outcome.split_once(' ').unwrap_or((outcome, ""));
        match word {
            "drop" | "punt" | "hold" | "consume" => assert_eq!(name(verdict), outcome),
            "handoff" => assert!(matches!(verdict, Verdict::Handoff(_)), "{verdict:?}"),
            "wrapped" => {
                let (to, growth) = rest.split_once(' ').unwrap();
                assert_eq!(verdict, Verdict::Send(port_named(to)));
                let growth: usize = growth.parse().unwrap();
                assert_eq!(out.0[14 + growth..], came.0[14..], "what is within is as it came");
            }
            "reply" => {
                assert_eq!(verdict, Verdict::Reply(port));
                self.compare(rest, 64, &out);
            }
            _ if rest == "*" => assert_eq!(verdict, Verdict::Send(port_named(word))),
            _ if rest == "as it came" => {
                assert_eq!(verdict, Verdict::Send(port_named(word)));
                assert_eq!(out.0[12..], came.0[12..]);
            }
            _ => {
                assert_eq!(verdict, Verdict::Send(port_named(word)));
                self.compare(rest, 63, &out);
            }
        }
    }

    fn compare(&mut self, words: &str, ttl: u8, out: &Frame) {
        if words.contains(":*") {
            let at = if self.wide { PAYLOAD_6 } else { 34 };
            let source = words.split(" > ").next().is_some_and(|from| from.contains(":*"));
            let at = if source { at } else { at + 2 };
            self.chosen = Some(u16::from_be_bytes([out.0[at], out.0[at + 1]]));
        }
        let mut expected = self.frame(words, ttl);
        if words.starts_with("icmp") {
            // What an error says beside whom it is about is not said in words.
            let at = if self.wide { PAYLOAD_6 } else { 34 };
            expected.0[at + 1..at + 8].copy_from_slice(&out.0[at + 1..at + 8]);
            assert!(out.is_right(), "the checksums of {out:02x?}");
        }
        assert_eq!(hex(&out.0[12..]), hex(&expected.0[12..]));
    }
}

/// The fields of a frame, in words.
struct Fields<'f>(&'f [&'f str]);

impl Fields<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.0.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.text(key).and_then(|text| text.parse().ok())
    }

    fn has(&self, word: &str) -> bool {
        self.0.contains(&word)
    }

    fn options(&self) -> Vec<u8> {
        match self.number::<u16>("mss") {
            Some(mss) => [&[2, 4][..], &mss.to_be_bytes()].concat(),
            None => Vec::new(),
        }
    }

    /// Bends a frame as the fields say; its checksums are right afterwards unless they say otherwise.
    fn bend(&self, frame: &mut Frame, wide: bool, ttl: u8) {
        let ttl = self.number("ttl").unwrap_or(ttl);
        if wide {
            frame.0[21] = ttl;
            if let Some(tos) = self.number::<u8>("tos") {
                frame.0[14] |= tos >> 4;
                frame.0[15] |= tos << 4;
            }
            frame.fix_checksum_6();
            self.extend_v6(frame);
        } else {
            self.bend_v4(frame, ttl);
        }
        if self.text("sum") == Some("none") {
            let at = if wide { PAYLOAD_6 } else { 34 } + 6;
            frame.0[at..at + 2].fill(0);
        }
        match self.text("mac") {
            Some("own") => {
                let own: [u8; 6] = frame.0[..6].try_into().unwrap();
                frame.0[..6].copy_from_slice(&[2, 0, 0, 0, 0, 0xaa]);
                frame.0[6..12].copy_from_slice(&own);
            }
            Some("group") => frame.0[..6].fill(0xff),
            Some("other") => frame.0[..6].copy_from_slice(&[2, 0, 0, 0, 0, 0xaa]),
            _ => {}
        }
        for (at, bytes) in self.0.iter().filter_map(|word| word.strip_prefix("at=")?.split_once(':')) {
            let at: usize = at.parse().unwrap();
            let bytes: Vec<u8> = (0..bytes.len() / 2)
                .map(|pair| u8::from_str_radix(&bytes[2 * pair..2 * pair + 2], 16).unwrap())
                .collect();
            frame.0[at..at + bytes.len()].copy_from_slice(&bytes);
        }
        frame.0.extend(vec![0; self.number("pad").unwrap_or(0)]);
        if let Some(len) = self.number("cut") {
            frame.0.truncate(len);
        }
    }

    fn bend_v4(&self, frame: &mut Frame, ttl: u8) {
        frame.0[22] = ttl;
        frame.0[15] = self.number("tos").unwrap_or(frame.0[15]);
        let id: u16 = self.number("id").unwrap_or(0);
        frame.0[18..20].copy_from_slice(&id.to_be_bytes());
        let flags = u16::from(self.has("mf")) << 13 | u16::from(self.has("df")) << 14;
        let offset = flags | self.number("off").unwrap_or(0u16);
        frame.fix_checksums();
        frame.0[20..22].copy_from_slice(&offset.to_be_bytes());
        frame.fix_header();
        if let Some(words) = self.number::<usize>("options") {
            frame.0.splice(34..34, vec![1; 4 * words]);
            frame.0[14] += words as u8;
            let total = u16::from_be_bytes([frame.0[16], frame.0[17]]) + 4 * words as u16;
            frame.0[16..18].copy_from_slice(&total.to_be_bytes());
            frame.fix_long_header();
        }
    }

    fn extend_v6(&self, frame: &mut Frame) {
        let of = |kind: &str| -> u8 { kind.parse().unwrap() };
        if let Some(kinds) = self.text("extensions") {
            let headers: Vec<(u8, &[u8])> = kinds.split(',').map(|kind| (of(kind), &[0; 8][..])).collect();
            *frame = frame.clone().with_extensions(&headers);
        }
        if self.has("mf") || self.text("off").is_some() {
            let offset = self.number("off").unwrap_or(0u16) << 3 | u16::from(self.has("mf"));
            let [high, low] = offset.to_be_bytes();
            let id = self.number("id").unwrap_or(0u8);
            *frame = frame.clone().with_extensions(&[(44, &[0, 0, high, low, 0, 0, 0, id])]);
        }
    }
}

fn segment_of(from: (IpAddr, u16), to: (IpAddr, u16), flags: u8, segment: &[u8]) -> Frame {
    match (from.0, to.0) {
        (IpAddr::V4(a), IpAddr::V4(b)) => Frame::tcp((a, from.1), (b, to.1), flags, segment),
        (IpAddr::V6(a), IpAddr::V6(b)) => Frame::tcp6((a, from.1), (b, to.1), flags, segment),
        _ => panic!("two families"),
    }
}

fn datagram_of(from: (IpAddr, u16), to: (IpAddr, u16), payload: &[u8]) -> Frame {
    match (from.0, to.0) {
        (IpAddr::V4(a), IpAddr::V4(b)) => Frame::udp((a, from.1), (b, to.1), payload),
        (IpAddr::V6(a), IpAddr::V6(b)) => Frame::udp6((a, from.1), (b, to.1), payload),
        _ => panic!("two families"),
    }
}

fn flags(letters: &str) -> u8 {
    let bit = |letter| match letter {
        'F' => 0x01,
        'S' => 0x02,
        'R' => 0x04,
        'P' => 0x08,
        'A' => 0x10,
        'U' => 0x20,
        '-' => 0,
        other => panic!("no flag: {other}"),
    };
    letters.chars().map(bit).fold(0, |all, one| all | one)
}

fn port_named(name: &str) -> PortIndex {
    match name {
        "front" => FRONT,
        "back" => BACK,
        other => panic!("no port: {other}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// A verdict in words, without what it is about but for a reason.
fn name(verdict: Verdict) -> String {
    match verdict {
        Verdict::Send(_) => "send".into(),
        Verdict::Reply(_) => "reply".into(),
        Verdict::Punt => "punt".into(),
        Verdict::Hold(_) => "hold".into(),
        Verdict::Handoff(_) => "handoff".into(),
        Verdict::Consume => "consume".into(),
        Verdict::Drop(reason) => format!("drop {}", reason.as_str()),
    }
}

/// A case of a file, in all its forms.
struct Case<'c> {
    text: &'c str,
    choices: Vec<(String, Vec<&'c str>)>,
    lines: Vec<&'c str>,
}

impl Case<'_> {
    /// Its lines for each combination of what it is for.
    fn forms(&self) -> Vec<Vec<String>> {
        let mut forms = vec![self.lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>()];
        for (name, choices) in &self.choices {
            let with = |form: &Vec<String>, choice: &str| -> Vec<String> {
                form.iter().map(|line| line.replace(name, choice)).collect()
            };
            forms = choices
                .iter()
                .flat_map(|choice| forms.iter().map(move |form| with(form, choice)).collect::<Vec<_>>())
                .collect();
        }
        forms
    }
}

fn cases(text: &str) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(text) = line.strip_prefix("case ") {
            cases.push(Case { text, choices: Vec::new(), lines: Vec::new() });
            continue;
        }
        let case = cases.last_mut().unwrap();
        match line.strip_prefix("for ").map(|choice| choice.split_once(" = ").unwrap()) {
            Some((name, choices)) => {
                case.choices.push((format!("${name}"), choices.split_whitespace().collect()));
            }
            None => case.lines.push(line),
        }
    }
    cases
}

/// Runs one form of a case; says what verdicts it reached.
fn run(form: &[String]) -> BTreeSet<String> {
    let mut given: Option<Given> = None;
    for line in form {
        let (word, rest) = line.split_once(' ').unwrap();
        match (word, &mut given) {
            ("given", None) => given = Some(Given::new(rest)),
            ("given", Some(given)) => given.change(&Wanted(rest.split_whitespace().collect())),
            ("wait", Some(given)) => {
                given.lb.now += rest.parse::<u32>().unwrap() * TICKS_PER_SECOND;
                given.lb.sweep();
            }
            (_, Some(given)) => given.step(line),
            _ => panic!("a case begins with what is given: {line}"),
        }
    }
    given.map(|given| given.reached).unwrap_or_default()
}

/// What only a worker can say (see `lb-l4`), and what takes 64,512 connections to reach: `tests/full_nat.rs` does.
const ELSEWHERE: [DropReason; 4] =
    [DropReason::NoNeighbour, DropReason::TxFull, DropReason::PuntFull, DropReason::NoLocalPort];

#[test]
fn every_case_comes_out_as_it_should_and_every_verdict_is_reached() {
    let mut files: Vec<_> =
        std::fs::read_dir("tests/cases").unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    let (mut count, mut reached, mut failed) = (0, BTreeSet::new(), BTreeMap::new());
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        for case in cases(&text) {
            for form in case.forms() {
                count += 1;
                match std::panic::catch_unwind(|| run(&form)) {
                    Ok(verdicts) => reached.extend(verdicts),
                    Err(_) => {
                        failed.insert(format!("{}: {}", path.display(), case.text), form.join("\n  "));
                    }
                }
            }
        }
    }
    for (case, form) in &failed {
        eprintln!("\n{case}\n  {form}");
    }
    assert!(failed.is_empty(), "{} of {count} cases failed: see above", failed.len());
    assert!(count >= 200, "{count} cases");
    let of_engine = DropReason::ALL.iter().filter(|reason| !ELSEWHERE.contains(reason));
    let wanted = of_engine.map(|reason| format!("drop {}", reason.as_str()));
    let wanted = wanted.chain(["send", "reply", "punt", "hold", "handoff", "consume"].map(str::to_owned));
    let missing: Vec<_> = wanted.filter(|verdict| !reached.contains(verdict)).collect();
    assert!(missing.is_empty(), "no case ends so: {missing:?}");
}
