use std::fs::File;
use std::io::Write;
use std::os::unix::fs::symlink;

use super::*;
use tempfile::{TempDir, tempdir};

fn file(scratch: &TempDir, name: &str, bytes: usize) {
    let path = scratch.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, vec![0; bytes]).unwrap();
}

/// Entries that a look of these tests counts.
const STEP: usize = 1500;

/// A tree too large for one look.
fn large() -> TempDir {
    let scratch = tempdir().unwrap();
    for n in 0..STEP * 3 {
        file(&scratch, &format!("base/{}/f{n}", n % 7), 10);
    }
    scratch
}

fn look(usage: &mut DiskUsage) -> Usage {
    let until = Instant::now() + Duration::from_secs(60);
    usage.watch(until);
    usage.count(STEP, until);
    usage.usage()
}

fn pass(usage: &mut DiskUsage) -> Usage {
    let before = usage.passes;
    while look(usage).passes == before {}
    usage.usage()
}

/// Whether the next look finds a change.
fn changes(usage: &mut DiskUsage) -> bool {
    let before = usage.changes;
    look(usage).changes > before
}

#[test]
fn tablespaces_and_a_linked_wal_directory_count_and_other_links_do_not() {
    let scratch = tempdir().unwrap();
    file(&scratch, "data/PG_VERSION", 3);
    file(&scratch, "data/base/5/1", 1000);
    file(&scratch, "data/.snapshot/base/5/1", 7777);
    file(&scratch, "space/PG_15/1", 500);
    file(&scratch, "wal/0001", 200);
    file(&scratch, "wal/archive_status/0001.ready", 20);
    file(&scratch, "other/big", 9999);
    fs::create_dir(scratch.path().join("data/pg_tblspc")).unwrap();
    for (link, to) in [("pg_tblspc/16384", "space"), ("pg_wal", "wal"), ("base/link", "other")] {
        symlink(scratch.path().join(to), scratch.path().join("data").join(link)).unwrap();
    }
    let seen = look(&mut DiskUsage::new(&scratch.path().join("data")));
    assert_eq!(seen, Usage { bytes: 1723, wal_bytes: 220, changes: 0, passes: 1, total: None });
}

#[test]
fn a_small_tree_is_counted_whole_at_every_look() {
    let scratch = tempdir().unwrap();
    for n in 0..STEP / 2 {
        file(&scratch, &format!("d{}/f{n}", n % 7), 10);
    }
    let mut usage = DiskUsage::new(scratch.path());
    look(&mut usage);
    let seen = look(&mut usage);
    assert_eq!((seen.bytes, seen.passes), (STEP as u64 / 2 * 10, 2));
    assert!(!changes(&mut usage), "nothing has changed");
    file(&scratch, "d3/f3", 11);
    assert!(changes(&mut usage) && !changes(&mut usage), "a file has grown");
    file(&scratch, "new", 10);
    fs::rename(scratch.path().join("new"), scratch.path().join("d5/f5")).unwrap();
    assert!(changes(&mut usage) && !changes(&mut usage), "a file has replaced another");
    file(&scratch, "d4/new", 0);
    assert!(changes(&mut usage) && !changes(&mut usage), "an empty file has come");
    fs::remove_dir_all(scratch.path().join("d2")).unwrap();
    assert!(changes(&mut usage), "a directory has gone");
    fs::create_dir(scratch.path().join("e")).unwrap();
    assert!(changes(&mut usage), "a directory has come");
}

#[test]
fn a_look_counts_a_bounded_number_of_entries_and_several_add_up() {
    let scratch = large();
    let mut usage = DiskUsage::new(scratch.path());
    let first = look(&mut usage);
    assert!(first.passes == 0 && first.bytes < STEP as u64 * 10, "all at once");
    let whole = pass(&mut usage);
    assert_eq!((whole.bytes, whole.passes), (STEP as u64 * 30, 1));
}

#[test]
fn a_large_tree_changes_at_each_look_while_files_come_and_grow_in_it() {
    let scratch = large();
    let mut usage = DiskUsage::new(scratch.path());
    pass(&mut usage);
    pass(&mut usage);
    let still = usage.changes;
    pass(&mut usage);
    assert_eq!(usage.changes, still, "nothing has changed");
    let mut written = File::create(scratch.path().join("base/6/.f1.X8yz")).unwrap();
    assert!(changes(&mut usage), "rsync has begun a file");
    // The directory with it is read again before long, and from then on each look finds the file grown.
    while !usage.changed.is_empty() {
        look(&mut usage);
    }
    for _ in 0..20 {
        written.write_all(&[0; 100]).unwrap();
        assert!(changes(&mut usage), "and goes on writing it");
    }
    fs::rename(scratch.path().join("base/6/.f1.X8yz"), scratch.path().join("base/6/f1")).unwrap();
    assert!(changes(&mut usage), "and puts it in its place");
    pass(&mut usage);
    let whole = pass(&mut usage);
    assert_eq!(whole.bytes, STEP as u64 * 30 + 2000);
}

#[test]
fn what_comes_during_the_first_pass_over_a_large_tree_is_a_change() {
    let scratch = large();
    let mut usage = DiskUsage::new(scratch.path());
    look(&mut usage);
    assert_eq!(usage.changes, 0, "what was there");
    std::thread::sleep(Duration::from_millis(20)); // a clock tick of the kernel
    for n in 0..7 {
        file(&scratch, &format!("base/{n}/new"), 1);
    }
    pass(&mut usage);
    assert!(usage.changes > 0);
}

#[test]
fn the_figures_at_the_end_come_soon() {
    let scratch = large();
    let mut usage = DiskUsage::new(scratch.path());
    pass(&mut usage);
    look(&mut usage); // a second pass is under way
    for n in 0..7 {
        File::options()
            .append(true)
            .open(scratch.path().join(format!("base/{n}/f{n}")))
            .unwrap()
            .set_len(110)
            .unwrap();
    }
    usage.hurry();
    let last = (0..100).map(|_| usage.look()).find(|last| last.passes == 3).unwrap();
    assert_eq!(last.bytes, STEP as u64 * 30 + 700);
}

#[test]
fn growth_and_removal_are_seen_in_the_next_pass() {
    let scratch = tempdir().unwrap();
    file(&scratch, "a/1", 10);
    let mut usage = DiskUsage::new(scratch.path());
    assert_eq!(pass(&mut usage).bytes, 10);
    file(&scratch, "a/1", 30);
    file(&scratch, "b/2", 5);
    assert_eq!(pass(&mut usage).bytes, 35);
    fs::remove_dir_all(scratch.path().join("a")).unwrap();
    assert_eq!(pass(&mut usage).bytes, 5);
}

#[test]
fn a_directory_that_is_not_there_counts_nothing_until_it_comes() {
    let scratch = tempdir().unwrap();
    let data = scratch.path().join("data");
    let mut usage = DiskUsage::new(&data);
    assert_eq!(look(&mut usage), Usage { passes: 1, ..Usage::default() });
    fs::create_dir(&data).unwrap();
    assert!(changes(&mut usage));
    file(&scratch, "data/base/1", 7);
    assert!(changes(&mut usage));
    assert_eq!(look(&mut usage).bytes, 7);
    fs::remove_dir_all(&data).unwrap();
    assert!(changes(&mut usage));
    assert_eq!(look(&mut usage).bytes, 0);
}

/// Time that this thread has had of a core.
fn cpu() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// What counting costs: `cargo test -- --ignored --nocapture cost`.
#[test]
#[ignore = "a measurement"]
fn the_cost_of_looks() {
    for files in [1000, 100_000] {
        let scratch = tempdir().unwrap();
        for n in 0..files {
            file(&scratch, &format!("base/{}/f{n}", n / 1000), 1);
        }
        let mut usage = DiskUsage::new(scratch.path());
        let quarter = Duration::from_millis(250);
        let mut look = || {
            usage.looked = Instant::now().checked_sub(quarter).unwrap();
            let began = (cpu(), Instant::now());
            usage.look();
            (cpu() - began.0, began.1.elapsed(), usage.passes)
        };
        while look().2 == 0 {}
        let looks: Vec<_> = (0..400).map(|_| look()).collect();
        let average = looks.iter().map(|look| look.0).sum::<Duration>() / 400;
        let longest = looks.iter().map(|look| look.1).max().unwrap();
        let share = average.as_secs_f64() / quarter.as_secs_f64() * 100.0;
        println!("{files} files: {average:?} CPU a look ({share:.2} %), at most {longest:?} long");
    }
}
