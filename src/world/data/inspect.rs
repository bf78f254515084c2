//! Inspects where a data directory is or will be: room, rights, names, and the commands that a restore needs.

use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::Errno;

use crate::sys;
use crate::world::data::files::{Entry, Files, if_there, is_hidden, unknown};
use crate::world::node;
use crate::world::{Inspection, Known};

/// More names than a message shows.
const MOST_NAMES: usize = 1000;

pub(super) fn inspect(files: &dyn Files, path: &Path) -> Known<Inspection> {
    let (there, found) = nearest(files, path)?;
    let is_writable = may_write(there)?;
    let is_foreign = there == path && found.owner != sys::effective_user() && !is_writable;
    let names = if there == path { first_names(files, path)? } else { Vec::new() };
    Ok(Inspection {
        free: sys::free_space(there).ok(),
        foreign_owner: is_foreign
            .then(|| sys::user_name(found.owner).unwrap_or_else(|| found.owner.to_string())),
        is_writable,
        names,
        missing_commands: node::missing_commands(),
    })
}

/// The directory, or its nearest ancestor that exists.
fn nearest<'a>(files: &dyn Files, path: &'a Path) -> Known<(&'a Path, Entry)> {
    for above in path.ancestors() {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        if let Some(found) = if_there(above, files.stat(above))?.filter(Entry::is_directory) {
            return Ok((above, found));
        }
    }
    Err(format!("no directory is above {}", path.display()))
}

/// Whether this user may make and remove files in a directory.
pub(crate) fn may_write(directory: &Path) -> Known<bool> {
    match rustix::fs::accessat(CWD, directory, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
        Ok(()) => Ok(true),
        Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Ok(false),
        Err(error) => Err(unknown(directory, &error.into())),
    }
}

fn first_names(files: &dyn Files, path: &Path) -> Known<Vec<String>> {
    let mut names = Vec::new();
    let mut add = |name: std::ffi::OsString| {
        if !is_hidden(&name) {
            names.push(name.to_string_lossy().into_owned());
        }
        names.len() < MOST_NAMES
    };
    files.names(path, &mut add).map_err(|error| unknown(path, &error))?;
    names.sort();
    Ok(names)
}
