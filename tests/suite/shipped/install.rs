//! What `./install` installs, from the release build that is published. Needs minutes for it, so `tests/run` asks for
//! these tests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::{env, fs};

use crate::abi::baseline::{exports_exactly_the_header, is_linked_as_a_c_library_should_be};
use crate::support::tools::{output, said, soname, source, tool, version};
use tempfile::TempDir;

use crate::support::table::check_rows;
use crate::support::{Within as _, tempdir};
use standin::{Api, Model, Script};

/// The oldest libc of a host that `docs/packaging.md` promises. That of Debian 11 is 2.31, that of RHEL 8 is 2.28.
const OLDEST_GLIBC: (u32, u32) = (2, 17);

/// As from a shell: what `cargo test` and `tests/run` set would make cargo build everything anew.
fn install(arguments: &[&str], destdir: &str) {
    let mut install = Command::new(source("install"));
    let cargos = |name: &str| name == "OUT_DIR" || (name.starts_with("CARGO_") && name != "CARGO_HOME");
    for (name, _) in env::vars().filter(|(name, _)| cargos(name)) {
        install.env_remove(name);
    }
    output(install.args(arguments).env_remove("RUSTC_BOOTSTRAP").env("DESTDIR", destdir));
}

/// Installs into `prefix` below the scratch directory.
fn installed(scratch: &TempDir) -> PathBuf {
    static BUILT: LazyLock<()> = LazyLock::new(|| install(&["--portable", "--build"], ""));
    LazyLock::force(&BUILT);
    let prefix = scratch.within("prefix");
    install(&["--portable", "--no-build", &format!("--prefix={prefix}")], "");
    prefix.into()
}

/// Every file below a directory, relative to it.
fn files(directory: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut todo = vec![directory.to_owned()];
    while let Some(next) = todo.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                todo.push(entry.path());
            } else {
                found.insert(entry.path().strip_prefix(directory).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found
}

/// Compiles a C program with nothing but what `pkg-config` says, and restores with it.
fn restores_with(prefix: &Path, scratch: &TempDir) {
    let (Some(mut pkg_config), Some(mut cc)) = (tool("pkg-config"), tool("cc")) else { return };
    pkg_config.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
    let flags = output(pkg_config.args(["--cflags", "--libs", "barman_recover"]));
    let program = scratch.within("program");
    output(cc.arg(source("examples/recover.c")).args(["-o", &program]).args(flags.split_whitespace()));
    let api = Api::start(Model::new().server("main").backup("20261122T101942").fill(), Script::new());
    let data = scratch.within("data");
    let done = Command::new(program)
        .env("LD_LIBRARY_PATH", prefix.join("lib"))
        .args([&api.url(), "main", "ssh node", &data])
        .output()
        .unwrap();
    assert_eq!((done.status.code(), api.applied()), (Some(0), 1), "{}", said(&done));
}

#[test]
#[ignore = "needs a release build: tests/run"]
fn a_prefix_has_all_that_a_c_program_and_a_user_need() {
    let scratch = tempdir();
    let prefix = installed(&scratch);
    let library = format!("lib/libbarman_recover.so.{}", version());
    let soname = format!("lib/{}", soname());
    let expected = [
        "bin/patroni_barman",
        "include/barman_recover.h",
        "lib/libbarman_recover.a",
        "lib/libbarman_recover.so",
        &soname,
        &library,
        "lib/pkgconfig/barman_recover.pc",
        "share/bash-completion/completions/patroni_barman",
        "share/fish/vendor_completions.d/patroni_barman.fish",
        "share/man/man1/patroni_barman.1",
        "share/man/man3/barman_recover.3",
        "share/zsh/site-functions/_patroni_barman",
    ];
    let (documents, others): (BTreeSet<String>, BTreeSet<String>) =
        files(&prefix).into_iter().partition(|file| file.starts_with("share/doc/barman-recover/"));
    assert_eq!(others, expected.into_iter().map(str::to_owned).collect());
    for name in ["README.md", "LICENSE-MIT", "LICENSE-APACHE", "docs/abi.md", "examples/recover.c"] {
        assert!(documents.contains(&format!("share/doc/barman-recover/{name}")), "{name}: {documents:?}");
    }

    restores_with(&prefix, &scratch);
    let said = output(Command::new(prefix.join("bin/patroni_barman")).arg("--version"));
    assert!(said.starts_with(&format!("patroni_barman {} ", version())), "{said}");
    if let Some(mut pkg_config) = tool("pkg-config") {
        pkg_config.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
        assert_eq!(output(pkg_config.args(["--modversion", "barman_recover"])).trim(), version());
    }
}

/// They are made anew when they are installed, so there is no committed copy to look at.
#[test]
#[ignore = "needs a release build: tests/run"]
fn the_completions_know_the_commands_and_their_options() {
    let scratch = tempdir();
    let share = installed(&scratch).join("share");
    check_rows(
        [
            ("bash-completion/completions/patroni_barman", "--ssh-command"),
            ("zsh/site-functions/_patroni_barman", "--ssh-command"),
            ("fish/vendor_completions.d/patroni_barman.fish", "ssh-command"),
        ],
        |(file, option)| {
            let text = fs::read_to_string(share.join(file)).unwrap();
            for word in ["recover", "check", "config-switch", option, "datadir"] {
                assert!(text.contains(word), "{file} does not have {word}");
            }
        },
    );
    output(Command::new("bash").arg("-n").arg(share.join("bash-completion/completions/patroni_barman")));
}

/// What is not installed is named by its address, or not at all.
#[test]
#[ignore = "needs a release build: tests/run"]
fn the_installed_documentation_has_no_dead_links() {
    let scratch = tempdir();
    let root = installed(&scratch).join("share/doc/barman-recover");
    let pages: Vec<String> = files(&root)
        .into_iter()
        .filter(|file| Path::new(file).extension().is_some_and(|ending| ending == "md"))
        .collect();
    check_rows(pages, |page| {
        let text = fs::read_to_string(root.join(&page)).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#', ' ']).next());
        for target in targets.filter(|target| !target.is_empty() && !target.contains("://")) {
            let path = root.join(&page).with_file_name("").join(target);
            assert!(path.exists(), "{page} links to {target}");
        }
    });
}

#[test]
#[ignore = "needs a release build: tests/run"]
fn a_program_can_be_linked_with_the_static_library() {
    let scratch = tempdir();
    let prefix = installed(&scratch);
    let (Some(mut pkg_config), Some(mut cc)) = (tool("pkg-config"), tool("cc")) else { return };
    pkg_config.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
    let flags = output(pkg_config.args(["--static", "--cflags", "--libs", "barman_recover"]));
    // The linker takes the shared one where both are in a folder.
    let flags = flags.replace("-lbarman_recover", "-l:libbarman_recover.a");
    let program = scratch.within("program");
    output(cc.arg(source("examples/recover.c")).args(["-o", &program]).args(flags.split_whitespace()));
    let api = Api::start(Model::new().server("main").backup("20261122T101942").fill(), Script::new());
    let done = Command::new(program)
        .args([&api.url(), "main", "ssh node", &scratch.within("data")])
        .output()
        .unwrap();
    assert_eq!((done.status.code(), api.applied()), (Some(0), 1), "{}", said(&done));
}

#[test]
#[ignore = "needs a release build: tests/run"]
fn a_prefix_can_be_moved() {
    let scratch = tempdir();
    let moved = PathBuf::from(scratch.within("elsewhere"));
    fs::rename(installed(&scratch), &moved).unwrap();
    restores_with(&moved, &scratch);
}

#[test]
#[ignore = "needs a release build: tests/run"]
fn destdir_comes_before_every_path() {
    let scratch = tempdir();
    let prefix = installed(&scratch);
    let destdir = scratch.within("root");
    let folders = ["--prefix=/usr", "--libdir=/usr/lib/somewhere", "--bindir=/opt/bin"];
    install(&[&["--portable", "--no-build"][..], &folders].concat(), &destdir);
    let staged = files(Path::new(&destdir));
    assert_eq!(staged.len(), files(&prefix).len());
    for file in
        ["opt/bin/patroni_barman", "usr/lib/somewhere/libbarman_recover.so", "usr/include/barman_recover.h"]
    {
        assert!(staged.contains(file), "{file} is not in {staged:?}");
    }
    let described =
        fs::read_to_string(format!("{destdir}/usr/lib/somewhere/pkgconfig/barman_recover.pc")).unwrap();
    assert!(
        described.contains("prefix=${pcfiledir}/../../..\nlibdir=${prefix}/lib/somewhere\n"),
        "{described}"
    );
}

#[test]
#[ignore = "needs a release build: tests/run"]
fn the_shipped_library_keeps_the_abi() {
    let scratch = tempdir();
    let library = installed(&scratch).join("lib/libbarman_recover.so");
    exports_exactly_the_header(&library);
    is_linked_as_a_c_library_should_be(&library);
}

#[test]
#[ignore = "needs a release build: tests/run"]
fn what_is_shipped_runs_with_an_old_glibc() {
    let scratch = tempdir();
    let prefix = installed(&scratch);
    check_rows(["lib/libbarman_recover.so", "bin/patroni_barman"], |file| {
        let Some(mut readelf) = tool("readelf") else { return };
        let listed = output(readelf.args(["-W", "--version-info"]).arg(prefix.join(file)));
        let versions = listed.split("Name: GLIBC_").skip(1).map(|rest| {
            let number = rest.split_whitespace().next().unwrap();
            let (major, minor) = number.split_once('.').unwrap();
            (major.parse().unwrap(), minor.split('.').next().unwrap().parse().unwrap())
        });
        let newest: (u32, u32) = versions.max().expect("it needs some glibc");
        assert!(newest <= OLDEST_GLIBC, "{file} needs glibc {newest:?}");

        let Some(mut readelf) = tool("readelf") else { return };
        let listed = output(readelf.args(["-W", "--dynamic"]).arg(prefix.join(file)));
        let needed = listed.split("Shared library: [").skip(1).map(|rest| rest.split_once(']').unwrap().0);
        let of_glibc = ["libc", "libm", "libdl", "libpthread", "librt", "ld-linux"];
        for library in needed {
            let name = library.split(['.', '-']).next().unwrap();
            assert!(of_glibc.iter().any(|of| of.starts_with(name)), "{file} needs {library} too");
        }
    });
}

#[test]
#[ignore = "needs a release build: tests/run"]
fn what_is_shipped_has_no_path_of_this_machine() {
    let scratch = tempdir();
    let prefix = installed(&scratch);
    let home = env::var("HOME").unwrap();
    let here = [env!("CARGO_MANIFEST_DIR"), &home, &format!("{}/", env::temp_dir().display())];
    check_rows(
        [
            "lib/libbarman_recover.so",
            "lib/libbarman_recover.a",
            "bin/patroni_barman",
            "lib/pkgconfig/barman_recover.pc",
        ],
        |file| {
            let bytes = fs::read(prefix.join(file)).unwrap();
            for path in here {
                let found = bytes.windows(path.len()).position(|window| window == path.as_bytes());
                assert_eq!(found, None, "{file} has {path}");
            }
        },
    );
}
