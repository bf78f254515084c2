//! The script and its log while the lease is good, and its files.

use super::*;

#[test]
fn a_command_runs_as_it_would_without_the_lease() {
    for shell in SHELLS {
        let Some(node) = Node::new(shell) else { continue };
        let mut claim = node.claim();
        let mut lease = claim.grant("").unwrap();
        let path = lease.path();
        let words = ["sh", "-c", "cat; echo \"$1\" >&2; exit 7", "sh", "two  words $HOME 'x' *"];
        let ran = node.run(&path, &words, "in\0put\n");
        assert_eq!(ran.stdout, b"in\0put\n", "{shell}: {}", String::from_utf8_lossy(&ran.stderr));
        assert_eq!(ran.stderr, b"two  words $HOME 'x' *\n", "{shell}");
        assert_eq!(ran.status.code(), Some(7), "{shell}");
        assert!(node.run(&path, &["true"], "").status.success(), "{shell}");
        assert_eq!(node.run(&path, &["no-such-command"], "").status.code(), Some(127), "{shell}");
        let lines = lease.log().unwrap();
        let words: Vec<&str> = lines
            .iter()
            .filter_map(|line| match line {
                LogLine::Began(_, words) => Some(words.split(' ').next().unwrap()),
                LogLine::Ended(..) => None,
            })
            .collect();
        let ended: Vec<i32> = lines
            .iter()
            .filter_map(|line| match line {
                LogLine::Ended(_, status) => Some(*status),
                LogLine::Began(..) => None,
            })
            .collect();
        assert_eq!((words, ended), (vec!["sh", "true", "no-such-command"], vec![7, 0, 127]), "{shell}");
        assert_eq!(lease.log(), Ok(Vec::new()), "{shell}");
        lease.revoke();
        // A watcher that had hardly begun when its command ended may still be dying.
        until("nothing is left of commands that have ended", || lease.drain() == Drain::Drained);
    }
}

#[test]
fn many_commands_run_at_once() {
    let node = Node::new("dash").unwrap();
    let mut claim = node.claim();
    let lease = claim.grant("").unwrap();
    let mut commands: Vec<Child> = (0..20)
        .map(|_| node.command(&lease.path(), &["sleep", "0.1"]).stdin(Stdio::null()).spawn().unwrap())
        .collect();
    assert!(commands.iter_mut().all(|child| child.wait().unwrap().success()));
}

#[test]
fn a_login_shell_takes_the_path_for_nothing_else() {
    let node = Node::new("dash").unwrap();
    let mut claim = node.claim();
    let lease = claim.grant("").unwrap();
    for shell in LOGIN_SHELLS {
        let Some(program) = which(shell) else { continue };
        let run = |words: &str, input: &str| {
            let mut command = Command::new(&program);
            command.env("PATH", &node.path).args(["-c", &format!("sh {} {words}", lease.path())]);
            output(command, input)
        };
        assert_eq!(run("cat", "some data").stdout, b"some data", "{shell}");
        assert_eq!(run("false", "").status.code(), Some(1), "{shell}");
    }
}

#[test]
fn nothing_starts_after_the_revocation() {
    for shell in SHELLS {
        let Some(node) = Node::new(shell) else { continue };
        let mut claim = node.claim();
        let mut lease = claim.grant("").unwrap();
        let script = fs::read(lease.path()).unwrap();
        let file = node.within("file");
        let touch = ["touch", file.to_str().unwrap()];
        lease.revoke();
        assert!(!node.run(&lease.path(), &touch, "").status.success(), "{shell}");
        // A shell may have opened the script before.
        fs::write(node.within("open"), script).unwrap();
        assert!(!node.run(node.within("open").to_str().unwrap(), &touch, "").status.success(), "{shell}");
        let name = lease.path().replace(LEASE, REVOKED);
        assert!(!node.run(&name, &touch, "").status.success(), "{shell}");
        assert_eq!(lease.drain(), Drain::Drained);
        assert!(!file.exists(), "{shell}");
    }
}

/// Not a test: the process that the tests below kill. It claims, grants, tells the path of the lease, and waits.
#[test]
fn files_are_for_their_owner_alone_whatever_the_umask_is() {
    for umask in ["000", "777"] {
        let node = Node::new("dash").unwrap();
        let (mut run, path) = run_elsewhere(&node.data(), umask);
        let directory = Path::new(&path).parent().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(directory), 0o700);
        let entries: Vec<PathBuf> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(entries.len(), 5, "{entries:?}");
        assert!(entries.iter().all(|path| mode(path) == 0o600), "{entries:?}");
        run.kill().unwrap();
        run.wait().unwrap();
    }
}

#[test]
fn the_log_of_a_full_file_system_has_its_room() {
    let node = Node::new("dash").unwrap();
    let mount = node.within("small");
    fs::create_dir(&mount).unwrap();
    let Some(_mounted) = Mounted::small(&mount) else {
        eprintln!("left out: only root can mount a file system");
        return;
    };
    let mut full = ours(claim(&mount.join("data"), None));
    let mut lease = full.grant("").unwrap();
    let filled = fs::write(mount.join("fill"), vec![0; 4 << 20]);
    assert_eq!(filled.unwrap_err().kind(), io::ErrorKind::StorageFull);
    for _ in 0..100 {
        assert!(node.run(&lease.path(), &["true"], "").status.success());
    }
    assert_eq!(lease.log().unwrap().len(), 200);
    lease.revoke();
    assert_eq!(lease.drain(), Drain::Drained);
    // Another lease finds no room, and says so.
    let problem = full.grant("").err().unwrap();
    assert!(
        problem.message.contains("written to") && problem.hint.as_ref().unwrap().contains("make room"),
        "{problem:?}"
    );
    let left: Vec<String> = fs::read_dir(full.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        left.iter().filter(|name| name.starts_with(LEASE) || name.starts_with(NEW)).count(),
        0,
        "{left:?}"
    );
}

struct Mounted(PathBuf);

impl Mounted {
    fn small(path: &Path) -> Option<Mounted> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"]).arg(path).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then(|| Mounted(path.into()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let path = CString::new(self.0.to_str().unwrap()).unwrap();
        let _ = Command::new("umount").arg("-l").arg(path.to_str().unwrap()).status();
    }
}

#[test]
fn a_log_that_can_not_be_written_refuses_the_command() {
    for shell in SHELLS {
        let Some(node) = Node::new(shell) else { continue };
        let mut claim = node.claim();
        let lease = claim.grant("").unwrap();
        let log = lease.path().replace(LEASE, LOG);
        fs::remove_file(&log).unwrap();
        symlink("/dev/full", &log).unwrap();
        let file = node.within("file");
        let ran = node.run(&lease.path(), &["touch", file.to_str().unwrap()], "");
        assert_eq!((ran.status.code(), file.exists()), (Some(75), false), "{shell}");
    }
}

#[test]
fn the_log_is_untrusted_text() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("log");
    let mut log = Log::new(File::options().read(true).append(true).create(true).open(&path).unwrap());
    let mut writer = File::options().append(true).open(&path).unwrap();
    writer.write_all(b"12 ls /d\n12 = 0\n13 mkdir -p /d -m 700\n13 = 2\n7 half a li").unwrap();
    let began = |pid, words: &str| LogLine::Began(pid, words.into());
    let lines = vec![
        began(12, "ls /d"),
        LogLine::Ended(12, 0),
        began(13, "mkdir -p /d -m 700"),
        LogLine::Ended(13, 2),
    ];
    assert_eq!(log.read().unwrap(), lines);
    assert_eq!(log.read().unwrap(), []);
    writer.write_all(b"ne\n").unwrap();
    assert_eq!(log.read().unwrap(), [began(7, "half a line")]);
    writer
        .write_all(b"\n \nx y\n-1 a\n99999999999 a\n+5 a\n5\n5 \x1b[31m\xff\r\n6 = -1\n6 = 4294967295\n")
        .unwrap();
    let lines = log.read().unwrap();
    assert_eq!(lines, [began(5, " [31m\u{fffd} "), began(6, "= -1")]);
    // A line without an end, and more than is read at once.
    writer.write_all(b"1 ").unwrap();
    writer.write_all(&vec![b'x'; 1 << 20]).unwrap();
    assert_eq!(log.read().unwrap(), []);
    writer.write_all(b"\n2 ").unwrap();
    writer.write_all(&vec![b'y'; 20_000]).unwrap();
    writer.write_all(b"\n3 = 0\n").unwrap();
    let lines = log.read().unwrap();
    assert_eq!(lines, [began(2, &"y".repeat(LONGEST_LINE - 2)), LogLine::Ended(3, 0)]);
    // Where reading begins again, the end of a line may look like one.
    let room = usize::try_from(LOG_ROOM).unwrap();
    let looks_like_one = b"8 rsync\n";
    writer.write_all(&vec![b'z'; room]).unwrap();
    writer.write_all(looks_like_one).unwrap();
    writer.write_all(&vec![b'\n'; room - looks_like_one.len() - 6]).unwrap();
    writer.write_all(b"9 = 0\n").unwrap();
    assert_eq!(log.read().unwrap(), [LogLine::Ended(9, 0)]);
}

#[test]
fn only_names_of_leases_are_taken_for_them() {
    assert_eq!(parse_name("lease-0123456789abcdef"), Some((LEASE, "0123456789abcdef")));
    for name in
        ["lease-", "lease-0123456789ABCDEF", "lease-0123456789abcde", "x-0123456789abcdef", "lock", "run"]
    {
        assert_eq!(parse_name(name), None, "{name}");
    }
    assert_ne!(number(), number());
    assert!(parse_name(&format!("{LOG}{}", number())).is_some());
}
