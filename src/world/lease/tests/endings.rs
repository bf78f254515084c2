//! What ends the commands that run through a lease, and what does not.

use super::*;

#[test]
fn the_revocation_ends_what_writes() {
    for shell in SHELLS {
        let Some(node) = Node::new(shell) else { continue };
        let mut claim = node.claim();
        for (what, script) in WRITERS {
            let mut lease = claim.grant("").unwrap();
            let writer = node.writer(&lease.path(), script);
            assert!(matches!(lease.drain(), Drain::Held(_)), "{shell}: {what}");
            let began = Instant::now();
            lease.revoke();
            drained(&mut *lease);
            println!("{shell}: {what}: revoked, drained after {:?}", began.elapsed());
            assert!(!writer.pids.iter().any(|pid| runs(*pid)), "{shell}: {what}: drained, so nothing runs");
            writer.ended();
        }
    }
}

#[test]
fn a_lease_that_can_not_be_renamed_is_revoked_all_the_same() {
    let node = Node::new("dash").unwrap();
    let mut claim = node.claim();
    let mut lease = claim.grant("").unwrap();
    let writer = node.writer(&lease.path(), WRITERS[0].1);
    // Another file is in the way: a directory can't be replaced by a file.
    fs::create_dir(lease.path().replace(LEASE, REVOKED)).unwrap();
    lease.revoke();
    assert!(Path::new(&lease.path()).exists());
    writer.ended();
    drained(&mut *lease);
    assert!(!node.run(&lease.path(), &["true"], "").status.success());
}

#[test]
fn a_dropped_lease_is_revoked() {
    let node = Node::new("dash").unwrap();
    let mut claim = node.claim();
    let lease = claim.grant("").unwrap();
    let (path, writer) = (lease.path(), node.writer(&lease.path(), WRITERS[1].1));
    drop(lease);
    writer.ended();
    assert!(!node.run(&path, &["true"], "").status.success());
    until("the claim drains it", || claim.drain() == Drain::Drained);
}

#[test]
fn the_death_of_the_run_ends_what_writes() {
    for shell in SHELLS {
        let Some(node) = Node::new(shell) else { continue };
        for (what, script) in WRITERS {
            let (mut run, path) = run_elsewhere(&node.data(), "022");
            let writer = node.writer(&path, script);
            let began = Instant::now();
            run.kill().unwrap();
            run.wait().unwrap();
            until("the writers end", || !writer.pids.iter().any(|pid| runs(*pid)));
            println!("{shell}: {what}: SIGKILL of the run, the last writer gone after {:?}", began.elapsed());
            writer.ended();
            assert_eq!(node.run(&path, &["true"], "").status.code(), Some(75), "{shell}: {what}");
            let mut next = node.claim();
            assert_eq!(next.left().unwrap().and_then(|note| note.operation_id).as_deref(), Some("op"));
            until("what is left is drained", || next.drain() == Drain::Drained);
            assert!(!Path::new(&path).exists());
            assert!(Path::new(&path.replace(LEASE, LOG)).exists(), "the log is for the operator");
            let lease = next.grant("").unwrap();
            assert!(!Path::new(&path.replace(LEASE, LOG)).exists());
            drop(lease);
            next.remove().unwrap();
            assert!(!node.within("data.barman-recover").exists());
        }
    }
}

#[test]
fn a_command_that_left_its_group_is_named_and_killed() {
    let node = Node::new("dash").unwrap();
    let mut claim = node.claim();
    let mut lease = claim.grant("").unwrap();
    let script = "setsid sh -c 'echo $$ >>PIDS; echo x >>WRITTEN; exec sleep 1000' & wait";
    let writer = node.writer(&lease.path(), script);
    lease.revoke();
    let name = format!("sleep (pid {})", writer.pids[0]);
    until("the holder is named", || lease.drain() == Drain::Held(vec![name.clone()]));
    lease.kill_holders();
    drained(&mut *lease);
    writer.ended();
}

#[test]
fn what_a_command_moves_is_seen_wherever_it_goes() {
    let node = Node::new("dash").unwrap();
    let mut claim = node.claim();
    let mut lease = claim.grant("").unwrap();
    assert_eq!(lease.moved(), None, "nothing runs");
    let waits = node.writer(&lease.path(), "echo $$ >>PIDS; echo x >>WRITTEN; exec sleep 1000");
    let mut silent = None;
    // A program reads its libraries when it starts.
    until("the command waits", || {
        let before = std::mem::replace(&mut silent, lease.moved());
        std::thread::sleep(Duration::from_millis(50));
        let name = fs::read_to_string(format!("/proc/{}/comm", waits.pids[0])).unwrap_or_default();
        silent.is_some() && silent == before && name.trim_end() == "sleep"
    });
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(lease.moved(), silent, "a command that waits moves nothing");
    }
    let busy = node.writer(&lease.path(), "echo $$ >>PIDS; echo x >>WRITTEN; exec cat /dev/zero >/dev/null");
    let mut before = lease.moved();
    for _ in 0..3 {
        until("data moves", || lease.moved() > before);
        before = lease.moved();
    }
    lease.revoke();
    drained(&mut *lease);
    assert_eq!(lease.moved(), None);
    waits.ended();
    busy.ended();
}

#[test]
fn postgres_and_who_only_reads_the_lease_are_not_killed() {
    let node = Node::new("dash").unwrap();
    let mut claim = node.claim();
    let mut lease = claim.grant("").unwrap();
    symlink(which("sleep").unwrap(), node.bin.path().join("postgres")).unwrap();
    let script = "setsid sh -c 'echo $$ >>PIDS; echo x >>WRITTEN; exec postgres 1000' & wait";
    let writer = node.writer(&lease.path(), script);
    let mut reader =
        Command::new("sleep").arg("1000").stdin(File::open(lease.path()).unwrap()).spawn().unwrap();
    lease.revoke();
    let name = format!("postgres (pid {})", writer.pids[0]);
    until("the holder is named", || lease.drain() == Drain::Held(vec![name.clone()]));
    lease.kill_holders();
    assert!(runs(writer.pids[0]) && runs(i32::try_from(reader.id()).unwrap()));
    reader.kill().unwrap();
    reader.wait().unwrap();
    crate::sys::Process::open(writer.pids[0]).unwrap().kill().unwrap();
    drained(&mut *lease);
    writer.ended();
}

#[test]
fn a_renamed_parent_changes_nothing_for_the_run() {
    let node = Node::new("dash").unwrap();
    let parent = node.within("parent");
    let mut claim = ours(claim(&parent.join("data"), None));
    let mut lease = claim.grant("").unwrap();
    let writer = node.writer(&lease.path(), WRITERS[0].1);
    fs::rename(&parent, node.within("moved")).unwrap();
    fs::create_dir_all(parent.join("data.barman-recover")).unwrap();
    claim.note(&crate::world::Note::default()).unwrap();
    lease.revoke();
    writer.ended();
    drained(&mut *lease);
    claim.remove().unwrap();
    assert!(parent.join("data.barman-recover").exists(), "another directory at the old path is not ours");
    assert!(!node.within("moved/data.barman-recover").exists());
}
