//! The flit-level model against latency curves of BookSim 2 (`data/booksim2.csv`): meshes of 8 by 8 routers, several patterns,
//! virtual channels, buffers and packet lengths, and a concentrated mesh.
//!
//! Saturation is the rate at which the mean latency is three times that of an idle network. BookSim's lies between two rates of the
//! file, and ours must not be more than 10 % beyond them. Below 80 % of it, latencies must agree within 5 %.
//! A part runs always, all of it with `cargo test -p snncc-noc --test booksim -- --ignored --nocapture`.

use snncc_noc::flit::{FlitPacket, FlitSimulator, Mesh};

const CURVES: &str = include_str!("data/booksim2.csv");
const WARM_UP: u64 = 3_000;
const MEASURED: u64 = 6_000;

/// Steele, Lea, Flood: SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u32) -> u32 {
        (self.next() % u64::from(end)) as u32
    }

    fn chance(&mut self, part: f64) -> bool {
        ((self.next() >> 11) as f64) < part * (1_u64 << 53) as f64
    }
}

struct Case {
    mesh: Mesh,
    pattern: &'static str,
    flits: u32,
    link_cycles: u32,
}

fn case(name: &str) -> Case {
    let (cores, link_cycles) = if name.starts_with("cmesh") { (4, 2) } else { (1, 1) };
    let channels = if name.contains("vc2") { 2 } else { 1 };
    let buffers = [("buf2_", 2), ("buf4_", 4), ("buf16", 16)];
    let buffer = buffers.iter().find(|(part, _)| name.contains(part)).map_or(8, |(_, flits)| *flits);
    let mut mesh = Mesh::uniform(8, 8, cores, channels, buffer);
    // BookSim's concentrated mesh has links of two cycles.
    mesh.link_cycles.fill([link_cycles; 4]);
    let patterns = ["uniform", "transpose", "bitcomp", "neighbor"];
    let pattern = patterns.into_iter().find(|pattern| name.ends_with(pattern)).unwrap();
    Case { mesh, pattern, flits: if name.contains("pkt4") { 4 } else { 1 }, link_cycles }
}

impl Case {
    fn target(&self, source: u32, random: &mut Random) -> u32 {
        let (x, y) = (source % 8, source / 8);
        match self.pattern {
            "uniform" => random.below(64 * self.mesh.cores_per_router),
            "transpose" => x * 8 + y,
            "bitcomp" => 63 - source,
            _ => (y + 1) % 8 * 8 + (x + 1) % 8,
        }
    }

    /// Mean latency, the part of it that an idle network would take, and whether all packets arrived.
    fn run(&self, rate: f64) -> (f64, f64, bool) {
        let cores = 64 * self.mesh.cores_per_router;
        let mut random = Random(7);
        let mut packets = Vec::new();
        for ready in 0..WARM_UP + MEASURED {
            for source in 0..cores {
                if random.chance(rate) {
                    let target = self.target(source, &mut random);
                    packets.push(FlitPacket { source, target, ready, flits: self.flits, service_ps: 0 });
                }
            }
        }
        let outcome = FlitSimulator::new(&self.mesh, &packets).run(3 * (WARM_UP + MEASURED));
        let (mut sum, mut idle, mut count, mut all) = (0, 0, 0_u64, true);
        for (packet, arrived) in packets.iter().zip(&outcome.arrived) {
            if packet.ready < WARM_UP {
                continue;
            }
            all &= *arrived != u64::MAX;
            sum += arrived.saturating_sub(packet.ready).min(1 << 20);
            count += 1;
            let (from, to) = (packet.source / self.mesh.cores_per_router, packet.target / self.mesh.cores_per_router);
            let hops = (from % 8).abs_diff(to % 8) + (from / 8).abs_diff(to / 8);
            let alone = 4 * (hops + 1) + 2 + hops * (self.link_cycles - 1) + self.flits - 1;
            assert!(arrived - packet.ready >= u64::from(alone), "faster than an idle network");
            idle += u64::from(alone);
        }
        (sum as f64 / count as f64, idle as f64 / count as f64, all)
    }

    /// Rate at which the latency is three times that of an idle network, to 1 %, between two rates.
    fn saturation(&self, mut low: f64, mut high: f64) -> f64 {
        while high / low > 1.01 {
            let middle = (low * high).sqrt();
            let (latency, idle, all) = self.run(middle);
            if all && latency < 3.0 * idle {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// Compares a case at the rates that `wanted` keeps, and where it saturates.
fn compare(name: &str, wanted: impl Fn(f64) -> bool, saturation: bool) {
    let lines = CURVES.lines().filter(|line| line.split(',').next() == Some(name));
    let curve: Vec<(f64, Option<f64>, f64)> = lines
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            (fields[1].parse().unwrap(), fields[2].parse().ok(), fields[3].parse().unwrap_or(0.0))
        })
        .collect();
    let case = case(name);
    let idle = curve[0].1.unwrap();
    let beyond = |latency: Option<f64>| latency.is_none_or(|latency| latency > 3.0 * idle);
    let first_beyond = curve.iter().find(|(_, latency, _)| beyond(*latency)).map(|(rate, ..)| *rate);
    let last_below =
        curve.iter().filter(|(_, latency, _)| !beyond(*latency)).map(|(rate, ..)| *rate).next_back().unwrap();
    let mut most = f64::INFINITY;
    if let (true, Some(first)) = (saturation, first_beyond) {
        let rate = case.saturation(last_below * 0.7, first * 1.3);
        println!("{name}: BookSim saturates between {last_below} and {first}, ours at {rate:.3}");
        assert!(rate >= 0.9 * last_below && rate <= 1.1 * first, "{name} saturates at {rate}");
        most = 0.8 * rate;
    }
    for &(rate, theirs, routers) in &curve {
        let Some(theirs) = theirs.filter(|_| wanted(rate)) else { continue };
        let (ours, alone, _) = case.run(rate);
        let error = ours / theirs - 1.0;
        println!("{name} {rate}: BookSim {theirs:.2}, ours {ours:.2} ({:+.1} %), alone {alone:.2}", error * 100.0);
        if rate <= most {
            assert!(error.abs() < 0.05, "{name} at {rate}: {ours} instead of {theirs}");
        }
        if rate <= 0.005 {
            // Their random targets are not ours: what is left beyond the way itself is compared.
            let way =
                4.0 * routers + 2.0 + (routers - 1.0) * f64::from(case.link_cycles - 1) + f64::from(case.flits - 1);
            assert!((theirs - way - (ours - alone)).abs() < 0.3, "{name}: {theirs} for {way}, {ours} for {alone}");
        }
    }
}

#[test]
fn latencies_agree_with_booksim() {
    compare("mesh8x8_vc1_uniform", |rate| [0.005, 0.05, 0.15].contains(&rate), false);
    compare("mesh8x8_vc1_transpose", |rate| rate == 0.05, true);
    compare("mesh8x8_vc1_bitcomp", |rate| rate == 0.1, false);
    compare("mesh8x8_vc1_neighbor", |rate| rate == 0.3, false);
    compare("mesh8x8_vc2_uniform", |rate| rate == 0.3, false);
    compare("mesh8x8_vc1_buf2_uniform", |rate| rate == 0.05, false);
    compare("mesh8x8_pkt4_uniform", |rate| rate == 0.04, false);
    compare("cmesh8x4x4_uniform", |rate| rate == 0.02, false);
}

#[test]
#[ignore = "all curves: seconds in an optimized build"]
fn whole_curves_agree_with_booksim() {
    let mut names: Vec<&str> =
        CURVES.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(',').next().unwrap()).collect();
    names.dedup();
    assert_eq!(names.len(), 10);
    names.into_iter().for_each(|name| compare(name, |_| true, true));
}
