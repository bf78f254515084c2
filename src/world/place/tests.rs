//! Where the state directory comes to be, and where it must not be.

use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;

/// A user whose home directory is in the directory of the test.
fn user(place: &TempDir) -> User {
    let home = place.path().join("home");
    let _ = fs::create_dir(&home);
    User { home: Some(home), ..User::of(place.path()).unwrap() }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn found(place: &TempDir, data: &str) -> Result<Place, Problem> {
    Place::found(&resolve(&place.path().join(data)).unwrap(), &user(place))
}

fn path_in(place: &TempDir, path: &str) -> String {
    place.path().canonicalize().unwrap().join(path).to_str().unwrap().into()
}

#[test]
fn it_is_beside_the_data_directory() {
    let place = TempDir::new().unwrap();
    let first = found(&place, "a/b/data").unwrap();
    assert_eq!(first.path, path_in(&place, "a/b/data.barman-recover"));
    assert!(first.made && first.is_there().unwrap());
    let again = found(&place, "a/b/data/").unwrap();
    assert!(!again.made && again.path == first.path);
    again.remove().unwrap();
    assert!(!first.is_there().unwrap());
}

#[test]
fn odd_characters_lead_to_the_home_directory() {
    let place = TempDir::new().unwrap();
    for data in ["my data/d", "d$HOME", "d'x", "дані/d", "d;x", "d\nx", "d%x", "d~", "d*", "d#", "d{a,b}"]
    {
        let open = found(&place, data).unwrap();
        assert!(open.path.starts_with(&path_in(&place, "home/.barman-recover/d")), "{data}: {}", open.path);
        assert!(open.path.chars().all(|c| c == '/' || is_plain(c)), "{}", open.path);
        assert!(!place.path().join(data).with_extension("barman-recover").exists());
        let other = found(&place, &format!("{data}2")).unwrap();
        assert_ne!(open.path, other.path);
    }
}

#[test]
fn a_parent_that_everybody_can_write_to_leads_to_the_home_directory() {
    let place = TempDir::new().unwrap();
    let open = place.path().join("open");
    fs::create_dir_all(open.join("safe")).unwrap();
    set_mode(&open, 0o777);
    assert!(found(&place, "open/data").unwrap().path.contains("/home/"));
    assert!(found(&place, "open/safe/data").unwrap().path.contains("/home/"));
    set_mode(&open, 0o1777);
    assert_eq!(found(&place, "open/data").unwrap().path, path_in(&place, "open/data.barman-recover"));
}

#[test]
fn one_that_is_there_and_can_not_be_trusted_is_refused() {
    let place = TempDir::new().unwrap();
    let there = place.path().join("data.barman-recover");
    fs::create_dir(&there).unwrap();
    set_mode(&there, 0o770);
    assert!(
        found(&place, "data").err().unwrap().message.contains("users other than its owner can write there")
    );
    fs::remove_dir(&there).unwrap();
    symlink(place.path(), &there).unwrap();
    assert!(found(&place, "data").is_err(), "a link is not followed");
    fs::remove_file(&there).unwrap();
    fs::write(&there, "").unwrap();
    let problem = found(&place, "data").err().unwrap();
    assert!(problem.hint.as_ref().unwrap().contains("--state-dir"), "{problem:?}");
    assert!(!place.path().join("home/.barman-recover").exists(), "another place would be a second claim");
}

#[test]
fn without_any_place_both_reasons_are_named() {
    let place = TempDir::new().unwrap();
    let user = User { home: None, ..user(&place) };
    let problem = Place::found(&place.path().join("d$"), &user).err().unwrap();
    assert!(problem.message.contains("characters") && problem.message.contains("home"), "{problem:?}");
    assert!(Place::found(Path::new("/"), &user).is_err());
}

#[test]
fn a_given_one_is_used_and_no_other() {
    let place = TempDir::new().unwrap();
    let data = place.path().join("data");
    let open = |given: &str| Place::given(&data, &place.path().join(given), &user(&place));
    assert_eq!(open("x/state").unwrap().path, path_in(&place, "x/state"));
    assert!(open("x/st ate").is_err() && open("data/state").is_err() && open("data").is_err());
    assert!(!place.path().join("home/.barman-recover").exists());
}

#[test]
fn root_gives_what_it_makes_to_the_owner_and_only_that() {
    const NOBODY: u32 = 65534;
    let place = TempDir::new().unwrap();
    if sys::effective_user() != ROOT {
        eprintln!("left out: only root can give something away");
        return;
    }
    let owned = place.path().join("owned");
    fs::create_dir(&owned).unwrap();
    fs::write(owned.join("other"), "").unwrap();
    std::os::unix::fs::chown(&owned, Some(NOBODY), Some(NOBODY)).unwrap();
    let data = resolve(&owned.join("15/main")).unwrap();
    let open = Place::found(&data, &User { home: None, ..User::of(&data).unwrap() }).unwrap();
    assert_eq!(open.user, NOBODY);
    open.folder.create("file").unwrap();
    for path in ["15", "15/main.barman-recover", "15/main.barman-recover/file"] {
        assert_eq!(
            Owner::of(&fs::metadata(owned.join(path)).unwrap()),
            Owner { user: NOBODY, group: NOBODY },
            "{path}"
        );
    }
    assert_eq!(fs::metadata(owned.join("other")).unwrap().uid(), ROOT);
    // Where the owner can make nothing, as beside a mount point, root makes nothing for him either.
    let mount = resolve(&place.path().join("mount")).unwrap();
    fs::create_dir(&mount).unwrap();
    std::os::unix::fs::chown(&mount, Some(NOBODY), Some(NOBODY)).unwrap();
    let home = place.path().join("owned");
    let open = Place::found(&mount, &User { home: Some(home), ..User::of(&mount).unwrap() }).unwrap();
    assert!(open.path.starts_with(&path_in(&place, "owned/.barman-recover/mount-")), "{}", open.path);
}

#[test]
fn links_are_resolved_also_of_what_is_not_there_yet() {
    let place = TempDir::new().unwrap();
    let real = place.path().canonicalize().unwrap();
    symlink("real/x", real.join("link")).unwrap();
    symlink("loop", real.join("loop")).unwrap();
    assert_eq!(resolve(&real.join("link")).unwrap(), real.join("real/x"));
    assert_eq!(resolve(&real.join("link/y/z")).unwrap(), real.join("real/x/y/z"));
    assert_eq!(resolve(&real.join("a/./b")).unwrap(), real.join("a/b"));
    assert!(resolve(&real.join("a/../b")).is_err());
    assert!(resolve(&real.join("loop")).is_err());
    assert_eq!(resolve(Path::new("/")).unwrap(), Path::new("/"));
}
