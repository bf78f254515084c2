//! Where the state directory of a data directory is: beside it, with links resolved, so that all runs for a
//! data directory find the same one; or else in the home directory of its owner.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::outcome::Problem;
use crate::sys;
use crate::world::folder::{Folder, Owner, Rights};

const ENDING: &str = ".barman-recover";
/// Links that lead to links; the kernel follows no more either.
const MOST_LINKS: usize = 40;
const ROOT: u32 = 0;
const STICKY: u32 = 0o1000;
const WRITABLE_BY_OTHERS: u32 = 0o002;
const WRITABLE_BY_GROUP: u32 = 0o020;

/// A state directory, open.
pub(crate) struct Place {
    /// Its path, with links resolved, fit for a shell without quotes.
    pub(crate) path: String,
    pub(crate) folder: Arc<Folder>,
    /// Whether it was made just now.
    pub(crate) made: bool,
    /// The user of Barman's login here: this one or, if that is root, the owner of the data directory.
    pub(crate) user: u32,
    parent: Folder,
    name: OsString,
}

impl Place {
    /// Opens the state directory of a data directory, and makes it if necessary.
    pub(crate) fn open(data_directory: &Path, state_dir: Option<&Path>) -> Result<Place, Problem> {
        let data = resolve(data_directory).map_err(|error| unseen(data_directory, &error))?;
        let user = User::of(&data).map_err(|error| unseen(&data, &error))?;
        match state_dir {
            Some(given) => Place::given(&data, given, &user),
            None => Place::found(&data, &user),
        }
    }

    /// At `--state-dir`, and nowhere else.
    fn given(data: &Path, given: &Path, user: &User) -> Result<Place, Problem> {
        let path = resolve(given).map_err(|error| unseen(given, &error))?;
        if path.starts_with(data) {
            let message = format!("the state directory {} is in the data directory", path.display());
            return Err(Problem::new(message, "--state-dir must name a directory outside it"));
        }
        make(&path, user).map_err(|refused| refused.problem(&path))
    }

    /// Beside the data directory or, if it can't be there, in the home directory.
    fn found(data: &Path, user: &User) -> Result<Place, Problem> {
        let Some(path) = beside(data) else {
            return Err(Refused::Elsewhere("nothing can be beside it".into()).problem(data));
        };
        let why = match make(&path, user) {
            Err(Refused::Elsewhere(why)) => why,
            made => return made.map_err(|refused| refused.problem(&path)),
        };
        let also = |more: &str| {
            Refused::Elsewhere(format!("{why}; and it can't be made in the home directory: {more}"))
        };
        let Some(home) = user.state_directory(data) else {
            return Err(
                also("this user has no home directory, or that directory does not exist").problem(&path)
            );
        };
        make(&home, user).map_err(|refused| also(&refused.why()).problem(&path))
    }

    /// Whether the path still leads to this directory.
    pub(crate) fn is_there(&self) -> io::Result<bool> {
        let open = self.folder.stat()?;
        match self.parent.stat_of(&self.name) {
            Ok(found) => Ok((found.st_dev, found.st_ino) == (open.st_dev, open.st_ino)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes the directory if nothing is in it.
    pub(crate) fn remove(&self) -> io::Result<()> {
        if self.is_there()? {
            self.parent.remove_directory(&self.name)?;
        }
        Ok(())
    }
}

/// Why the state directory is not at a place.
enum Refused {
    /// It can't be there, and never was: another place will do.
    Elsewhere(String),
    /// It is there but can't be used, or that is unknown: a second place would allow a second claim.
    Broken(String),
}

impl Refused {
    fn why(self) -> String {
        match self {
            Refused::Elsewhere(why) | Refused::Broken(why) => why,
        }
    }

    fn problem(self, path: &Path) -> Problem {
        Problem::new(
            format!("the state directory can't be made at {}: {}", path.display(), self.why()),
            "--state-dir must name a directory that this user and Barman's login can use, with a path of letters, \
             digits and _./+,:@=- only",
        )
    }
}

/// Whose state directory it is.
struct User {
    user: u32,
    /// If this is root: the owner of the data directory, or of what it will be made in.
    owner: Option<Owner>,
    home: Option<PathBuf>,
}

impl User {
    fn of(data: &Path) -> io::Result<User> {
        let user = sys::effective_user();
        let owner = if user == ROOT { Some(Owner::of(&nearest(data)?.1)) } else { None };
        let user = owner.map_or(user, |owner| owner.user);
        Ok(User { user, owner, home: sys::user_home(user) })
    }

    /// Where the state directory of a data directory is in the home directory.
    fn state_directory(&self, data: &Path) -> Option<PathBuf> {
        let home = self.home.as_ref()?.canonicalize().ok().filter(|home| home.is_dir())?;
        let name = data.file_name().unwrap_or_default().to_string_lossy().replace(|c| !is_plain(c), "_");
        Some(home.join(ENDING).join(format!("{name}-{:016x}", hash(data.as_os_str().as_bytes()))))
    }

    /// Whether root may make something in this directory for the owner: only where the owner could do it, so that both
    /// come to the same place.
    fn could_make_in(&self, parent: &fs::Metadata) -> bool {
        let Some(owner) = self.owner else { return true };
        let mode = parent.mode();
        owner.user == ROOT
            || owner.user == parent.uid()
            || owner.group == parent.gid() && mode & WRITABLE_BY_GROUP != 0
            || mode & WRITABLE_BY_OTHERS != 0
    }
}

fn unseen(path: &Path, error: &io::Error) -> Problem {
    Problem::new(
        format!("{} can't be accessed: {error}", path.display()),
        "check the permissions of its parent directories",
    )
}

fn beside(data: &Path) -> Option<PathBuf> {
    let mut name = data.file_name()?.to_os_string();
    name.push(ENDING);
    Some(data.with_file_name(name))
}

fn broken(error: io::Error) -> Refused {
    Refused::Broken(error.to_string())
}

/// Opens the state directory at a path, or makes it there with its parents.
fn make(path: &Path, user: &User) -> Result<Place, Refused> {
    let text =
        path.to_str().filter(|path| path.starts_with('/') && path.chars().all(|c| c == '/' || is_plain(c)));
    let (Some(text), Some(name), Some(parent)) = (text, path.file_name(), path.parent()) else {
        return Err(Refused::Elsewhere(
            "its path has characters that have a special meaning to a shell".into(),
        ));
    };
    let (existing, found) = nearest(path).map_err(broken)?;
    if existing == path {
        others_keep_out(parent)?;
    } else {
        others_keep_out(&existing)?;
        if !user.could_make_in(&found) {
            let why =
                format!("the owner of the data directory can't create anything in {}", existing.display());
            return Err(Refused::Elsewhere(why));
        }
    }
    let cannot = |error: io::Error| match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem if existing != path => {
            Refused::Elsewhere(error.to_string())
        }
        _ => broken(error),
    };
    let parent = make_parents(&existing, parent, user).map_err(cannot)?;
    let (folder, made) = parent.directory(name, Rights::OwnerAlone).map_err(cannot)?;
    let found = folder.stat().map_err(broken)?;
    if found.st_uid != user.user && found.st_uid != sys::effective_user() {
        let owner = sys::user_name(found.st_uid).unwrap_or_else(|| found.st_uid.to_string());
        return Err(Refused::Broken(format!("it belongs to {owner}")));
    }
    if found.st_mode & (WRITABLE_BY_OTHERS | WRITABLE_BY_GROUP) != 0 {
        return Err(Refused::Broken("users other than its owner can write there".into()));
    }
    Ok(Place {
        path: text.into(),
        folder: Arc::new(folder),
        made,
        user: user.user,
        parent,
        name: name.into(),
    })
}

/// Makes what is missing between a directory that is there and one that is to be.
fn make_parents(existing: &Path, wanted: &Path, user: &User) -> io::Result<Folder> {
    let (start, missing) = match wanted.strip_prefix(existing) {
        Ok(missing) => (existing, missing),
        Err(_) => (wanted, Path::new("")),
    };
    let mut folder = Folder::open(start, user.owner)?;
    for name in missing {
        folder = folder.directory(name, Rights::Usual)?.0;
    }
    Ok(folder)
}

/// Refuses a path if others can rename a part of it (as sshd does with its `StrictModes`). The owner and the
/// group of a part may, because they could replace the data directory itself as well.
fn others_keep_out(directory: &Path) -> Result<(), Refused> {
    for part in directory.ancestors() {
        let mode = fs::metadata(part).map_err(broken)?.mode();
        if mode & WRITABLE_BY_OTHERS != 0 && mode & STICKY == 0 {
            return Err(Refused::Elsewhere(format!("everybody can write to {}", part.display())));
        }
    }
    Ok(())
}

/// The path, or the nearest parent, that is there.
fn nearest(path: &Path) -> io::Result<(PathBuf, fs::Metadata)> {
    let mut last = ErrorKind::NotFound.into();
    for part in path.ancestors() {
        match fs::metadata(part) {
            Ok(found) => return Ok((part.into(), found)),
            Err(error) if error.kind() == ErrorKind::NotFound => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// The absolute path with links resolved, even if it does not exist yet.
pub(crate) fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut path = std::path::absolute(path)?;
    let mut missing: Vec<OsString> = Vec::new();
    let mut links = 0;
    loop {
        match path.canonicalize() {
            Ok(real) => return Ok(missing.into_iter().rev().fold(real, |path, name| path.join(name))),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let Some(Component::Normal(name)) = path.components().next_back() else {
            return Err(ErrorKind::NotFound.into()); // ".." of what is not there
        };
        let (name, parent) = (name.to_os_string(), path.parent().unwrap_or(Path::new("/")).to_path_buf());
        // A link to what is not there yet.
        path = match fs::read_link(&path) {
            Ok(_) if links == MOST_LINKS => return Err(rustix::io::Errno::LOOP.into()),
            Ok(target) => {
                links += 1;
                parent.join(target)
            }
            Err(_) => {
                missing.push(name);
                parent
            }
        };
    }
}

/// Whether a character has no special meaning to a shell or to Barman, wherever it is in an absolute path.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_.+,:@=-".contains(c)
}

/// FNV-1a: the same in every version of this program.
fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests;
