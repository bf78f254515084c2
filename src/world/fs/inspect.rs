//! Inspects where a data directory is or will be. Read-only.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::sys;
use crate::world::fs::directory::visible_names;
use crate::world::inspection::{Asked, Inspection};
use crate::world::local;

/// More names than a message shows.
const MOST_NAMES: usize = 1000;

pub(crate) fn inspect(path: &Path) -> Inspection {
    let there = nearest(path);
    Inspection {
        free: sys::free_space(there).ok(),
        foreign_owner: foreign_owner(path),
        is_writable: sys::may_write(there),
        names: first_names(path),
        has_rsync: local::in_path("rsync").is_some(),
        backup: Asked::No,
    }
}

/// The directory, or its nearest ancestor that exists.
pub(crate) fn nearest(path: &Path) -> &Path {
    path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"))
}

/// The owner of a directory, if that is another user and this user may not write there.
pub(crate) fn foreign_owner(path: &Path) -> Option<String> {
    let owner = fs::metadata(path).ok().filter(fs::Metadata::is_dir)?.uid();
    let is_foreign = owner != sys::effective_user() && !sys::may_write(path);
    is_foreign.then(|| sys::user_name(owner).unwrap_or_else(|| owner.to_string()))
}

fn first_names(path: &Path) -> Vec<String> {
    let names = visible_names(path).into_iter().flatten().take(MOST_NAMES);
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
