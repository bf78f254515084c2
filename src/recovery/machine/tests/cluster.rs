//! Many nodes that start in the same second, each with its own data directory, before one Barman whose IDs
//! have a resolution of one second and whose API has four workers: all get their operation. The race of two
//! workers for one ID is left out: nothing in the API shows it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::World;
use super::barman::{id_at, ms, recording, reply, secs};
use crate::api::{Reply, Request};
use crate::outcome::Code;
use crate::recovery::machine::{Claim, Course, Machine, Seen, Step};
use crate::world::fs::directory::{Content, Identity, Inode, Look, Stamp};

const WORKERS: usize = 4;
const RESTORE: Duration = Duration::from_secs(600);

struct Cluster {
    /// When each worker is free.
    workers: [Duration; WORKERS],
    /// When each operation was created, and for which node.
    operations: HashMap<String, (Duration, usize)>,
    refused: usize,
    creates: usize,
}

impl Cluster {
    /// A request that arrives at `now`: the answer, and when it is there.
    fn exchange(&mut self, node: usize, request: &Request, now: Duration) -> (Reply, Duration) {
        let work = if matches!(request, Request::Create(_)) { ms(150) } else { ms(15) };
        let free = self.workers.iter_mut().min().unwrap();
        *free = (*free).max(now) + work;
        let at = *free;
        (self.answer(node, request, at), at + ms(1))
    }

    fn answer(&mut self, node: usize, request: &Request, now: Duration) -> Reply {
        match request {
            Request::Diagnose | Request::Switch(_) => unreachable!("not the machine's"),
            Request::Status => recording!("status"),
            Request::List => {
                let entries: Vec<String> = self
                    .operations
                    .keys()
                    .map(|id| format!("{{\"id\":\"{id}\",\"type\":\"recovery\"}}"))
                    .collect();
                reply(200, format!("{{\"operations\":[{}]}}", entries.join(",")))
            }
            Request::Create(_) => {
                self.creates += 1;
                let id = id_at(now);
                if self.operations.contains_key(&id) {
                    self.refused += 1;
                    return recording!("create-recovery-same-second");
                }
                self.operations.insert(id.clone(), (now, node));
                reply(202, format!("{{\"operation_id\":\"{id}\"}}"))
            }
            Request::Poll(id) => {
                let (created, _) = self.operations[id];
                let word = if now < created + RESTORE { "IN_PROGRESS" } else { "DONE" };
                reply(200, format!("{{\"operation_id\":\"{id}\",\"status\":\"{word}\"}}"))
            }
        }
    }

    fn look(&self, node: usize, now: Duration) -> Look {
        let inode = Inode { device: 1, inode: 1, born: 1 };
        let mut look = Look { content: Content::Missing, removable: true, ..Look::NOTHING };
        let mine = self.operations.values().filter(|(_, of)| *of == node).map(|(created, _)| *created).min();
        if let Some(created) = mine.filter(|created| now > *created + secs(1)) {
            look.content = Content::Something;
            look.identity = Some(Identity { directory: inode, marks: [Some(inode); 3] });
            if now > created + RESTORE {
                let stamp = Some(Stamp { inode: 1, ctime: (1, 1) });
                (look.pg_version, look.pg_control) = (stamp, stamp);
            }
        }
        look
    }
}

/// Starts `nodes` runs at once. Tells when the last of them had its operation and how many creates there were
/// and were refused.
fn start(nodes: usize) -> (Duration, usize, usize) {
    let mut settings = World::new().settings();
    settings.verify = true;
    settings.max_retries = 20;
    let mut cluster =
        Cluster { workers: [Duration::ZERO; WORKERS], operations: HashMap::new(), refused: 0, creates: 0 };
    // Spread over the first second, as no two processes start together to the millisecond.
    let starts: Vec<Duration> = (0..nodes as u64).map(|node| ms(node * 7919 % 1000)).collect();
    let mut machines: Vec<Machine> = (0..nodes as u64)
        .map(|node| Machine::new(settings.clone(), node.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    let mut waiting: Vec<Option<(Duration, Seen)>> =
        starts.iter().map(|at| Some((*at, Seen::Start))).collect();
    let (mut last_created, mut done) = (Duration::ZERO, HashSet::new());
    while let Some(node) =
        (0..nodes).filter(|n| waiting[*n].is_some()).min_by_key(|n| waiting[*n].as_ref().map(|w| w.0))
    {
        let (now, seen) = waiting[node].take().unwrap();
        assert!(now < secs(7200), "{nodes} nodes: {} done after two hours", done.len());
        let created = cluster.operations.len();
        let (_, step) = machines[node].advance(seen, now - starts[node]);
        let next = match step {
            Step::Look => (now, Seen::Looked(cluster.look(node, now))),
            Step::Claim => (now, Seen::Claimed(Claim::Mine { record: None, garbage: None })),
            Step::Save(_) => (now, Seen::Saved(None)),
            Step::Forget(_) => (now, Seen::Forgotten(None)),
            Step::Wait(wait) => (now + wait, Seen::Waited),
            Step::Send(request, timeout) => {
                let (reply, at) = cluster.exchange(node, &request, now);
                assert!(at - now < timeout, "{nodes} nodes: the API is too slow");
                (at, Seen::Reply(reply))
            }
            Step::Finish(outcome) => {
                assert_eq!(outcome.code, Code::RecoveryDone, "{nodes} nodes, node {node}: {outcome:?}");
                assert_eq!(cluster.operations[&outcome.operation_id.unwrap()].1, node, "its own operation");
                done.insert(node);
                continue;
            }
        };
        if cluster.operations.len() > created {
            last_created = last_created.max(next.0);
        }
        waiting[node] = Some(next);
    }
    assert_eq!((done.len(), cluster.operations.len()), (nodes, nodes), "one operation for each node");
    (last_created, cluster.creates, cluster.refused)
}

#[test]
fn all_nodes_that_start_in_one_second_get_their_operation() {
    for nodes in [1, 8, 50, 200] {
        let (last, creates, refused) = start(nodes);
        println!(
            "{nodes:4} nodes: the last was created after {last:.1?}, {creates} creates, {refused} refused"
        );
        // IDs are handed out once a second at best.
        assert!(last < secs(30) + secs(nodes as u64) * 4, "{nodes} nodes: {last:?}");
        assert!(refused < 20 * nodes, "{nodes} nodes: {refused} creates refused");
    }
}
