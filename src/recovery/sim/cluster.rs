//! Many nodes that start in the same second, each with its own data directory, before one Barman whose IDs have a
//! resolution of one second and whose API has four workers: all get their data.

use std::time::Duration;

use super::api::Kind;
use super::caller::{Script, Sim, once};
use super::state::{ms, secs};
use crate::outcome::Code;

fn cluster(nodes: usize) -> Sim {
    let mut sim = Sim::with_nodes(nodes);
    sim.state.api.workers = vec![Duration::ZERO; 4];
    sim
}

/// Everybody does this, from somewhere in the first second on: no two processes start together to the millisecond.
fn play(sim: &mut Sim, nodes: usize, script: impl Fn() -> Script) {
    let start = |node: usize| ms(node as u64 * 7919 % 1000);
    sim.play((0..nodes).map(|node| (node, start(node), script())).collect());
}

#[test]
fn all_nodes_that_start_in_one_second_are_served() {
    for nodes in [1, 8, 50, 200] {
        let mut sim = cluster(nodes);
        sim.state.silent = nodes > 8;
        play(&mut sim, nodes, || once(vec![], vec![]));
        let (mut last, mut creates) = (Duration::ZERO, 0);
        for ran in &sim.state.runs {
            let (outcome, story) = (&ran.outcome, sim.story());
            assert_eq!(ran.code(), Some(Code::RecoveryDone), "{nodes} nodes: {outcome:?}\n{story}");
            creates += ran.creates();
            last = last.max(ran.of(Kind::Create).max().unwrap() + ran.started);
        }
        assert!(sim.state.broken.is_empty(), "{nodes} nodes: {:?}\n{}", sim.state.broken, sim.story());
        println!("{nodes:4} nodes: the last create after {last:.1?}, {creates} creates");
        let most = secs(20) + ms(1250) * u32::try_from(nodes).unwrap();
        assert!(last <= most, "{nodes} nodes: the last create after {last:?}");
        assert!(creates <= nodes * 10, "{nodes} nodes: {creates} creates");
    }
}

/// Two creates of one second get one ID: both Barmans restore to the node of the later create, through its lease, which has
/// two writers then. The API says to the node of the earlier one what has become of that, and nothing has come to it.
#[test]
fn creates_that_got_one_id_cost_an_attempt_and_no_call() {
    let nodes = 16;
    let mut sim = cluster(nodes);
    sim.state.api.race = ms(40);
    sim.state.plan.length = secs(30);
    play(&mut sim, nodes, || once(vec![], vec![]));
    assert!(sim.state.broken.is_empty(), "{:?}\n{}", sim.state.broken, sim.story());
    let failed: Vec<_> = sim.state.runs.iter().filter(|ran| ran.code() != Some(Code::RecoveryDone)).collect();
    assert!(failed.is_empty(), "{} calls failed\n{}", failed.len(), sim.story());
    let doubts = sim.state.runs.iter().filter(|ran| ran.says("may be another node's")).count();
    assert!(doubts > 0, "no two creates got one ID");
}
