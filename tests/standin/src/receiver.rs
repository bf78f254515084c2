//! Processes that look like rsync's receiving side: `rsync --server` by their arguments, the destination as their
//! working directory. They do nothing but live.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The two processes of one transfer; ended when dropped, and by the death of the stand-in.
pub struct Receivers(Vec<Child>);

impl Receivers {
    /// None: the directory is not there, or this machine has no `/bin/sh`.
    pub fn start(directory: &Path) -> Option<Self> {
        // Its standard input is a pipe of ours that nobody writes to.
        let one = || {
            let mut shell = Command::new("/bin/sh");
            shell.arg0("rsync").args(["-c", "read _", "--server", "-sKtprRe.iLsfxCIvu"]);
            shell.current_dir(directory).env_clear();
            shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
        };
        Some(Self(vec![one()?, one()?]))
    }

    /// Whether both still live; when one has been ended, Barman fails.
    pub fn live(&mut self) -> bool {
        self.0.iter_mut().all(|child| matches!(child.try_wait(), Ok(None)))
    }
}

impl Drop for Receivers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
