//! Makes the C header in `OUT_DIR` (a test compares it with `include/barman_recover.h`) and tells the linker
//! what a C library needs: a SONAME, and that it stays mapped.
#![allow(clippy::expect_used, reason = "a panic is how a build script fails")]

use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=include/cbindgen.toml");
    println!("cargo::rerun-if-changed=src/ffi");
    println!("cargo::rerun-if-changed=src/outcome.rs");
    let [major, minor, patch] = ["MAJOR", "MINOR", "PATCH"].map(|part| {
        let number = env::var(format!("CARGO_PKG_VERSION_{part}")).expect("set by cargo");
        number.parse::<u32>().expect("a number")
    });
    let header = Path::new(&env::var_os("OUT_DIR").expect("set by cargo")).join("barman_recover.h");
    fs::write(&header, c_header(major, minor, patch)).expect("OUT_DIR is writable");
    println!("cargo::rustc-env=BARMAN_RECOVER_HEADER={}", header.display());

    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        // nodelete: dlclose must not unmap the code of a library that has had threads and thread-locals.
        // A fuzz target provides the symbols that its instrumented library calls; the .so built with it is never loaded.
        let complete = if env::var_os("CARGO_CFG_FUZZING").is_some() { "-z,undefs" } else { "-z,defs" };
        for argument in ["-z,nodelete", complete, "-z,relro,-z,now"] {
            println!("cargo::rustc-cdylib-link-arg=-Wl,{argument}");
        }
        // cargo-c sets this feature, and sets the SONAME itself.
        if env::var_os("CARGO_FEATURE_CAPI").is_none() {
            let soname = soname(major, minor, patch);
            println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,{soname}");
        }
    }
}

/// The same rule as in cargo-c: versions that Cargo calls compatible share a SONAME.
fn soname(major: u32, minor: u32, patch: u32) -> String {
    let version = match (major, minor) {
        (0, 0) => format!("0.0.{patch}"),
        (0, _) => format!("0.{minor}"),
        _ => major.to_string(),
    };
    format!("libbarman_recover.so.{version}")
}

fn c_header(major: u32, minor: u32, patch: u32) -> String {
    let mut config = cbindgen::Config::from_file("include/cbindgen.toml").expect("a correct cbindgen.toml");
    let number = major << 16 | minor << 8 | patch;
    let version = env::var("CARGO_PKG_VERSION").expect("set by cargo");
    config.after_includes = Some(format!(
        "
/** The version of this header; compare with barman_recover_version_number(). */
#define BARMAN_RECOVER_VERSION_MAJOR {major}
#define BARMAN_RECOVER_VERSION_MINOR {minor}
#define BARMAN_RECOVER_VERSION_PATCH {patch}
/** MAJOR << 16 | MINOR << 8 | PATCH */
#define BARMAN_RECOVER_VERSION_NUMBER 0x{number:06x}
#define BARMAN_RECOVER_VERSION \"{version}\""
    ));
    let sources = ["src/ffi/handle.rs", "src/ffi/functions.rs", "src/outcome.rs"];
    let builder = cbindgen::Builder::new().with_config(config);
    let builder = sources.into_iter().fold(builder, cbindgen::Builder::with_src);
    let mut text = Vec::new();
    builder.generate().expect("the sources can be read").write(&mut text);
    codes_last(&tidy(&String::from_utf8(text).expect("the sources are UTF-8")))
}

/// Moves the codes, which cbindgen puts first, behind the functions.
fn codes_last(header: &str) -> String {
    let (before, rest) = header.split_once("/** How a command ended").expect("the codes have this comment");
    let (codes, rest) = rest.split_once("} barman_recover_codes;\n\n").expect("the codes have this name");
    let (functions, end) = rest.rsplit_once("#endif").expect("the end of the include guard");
    let codes = codes.replace("BARMAN_RECOVER_CODES_", "BARMAN_RECOVER_");
    format!("{before}{functions}/** How a command ended{codes}}} barman_recover_codes;\n\n#endif{end}")
}

/// Makes the text valid C89 and C++98 (no `//` comments, no comma after the last enumerator), and puts one-line
/// comments on one line.
fn tidy(header: &str) -> String {
    let mut tidy: Vec<String> = Vec::new();
    for line in header.lines() {
        let line = line
            .replace("// __cplusplus", "/* __cplusplus */")
            .replace("// extern \"C\"", "/* extern \"C\" */");
        if line.starts_with("} barman_recover_")
            && let Some(last) = tidy.last_mut()
        {
            *last = last.trim_end_matches(',').into();
        }
        let indent = line.len() - line.trim_start().len();
        if line.trim() == "*/"
            && let [.., open, text] = &tidy[..]
            && let (true, Some(text)) = (open.trim() == "/**", text.trim().strip_prefix("* "))
            && indent + text.len() + 7 <= 110
        {
            let one = format!("{}/** {text} */", &open[..open.len() - 3]);
            tidy.truncate(tidy.len() - 2);
            tidy.push(one);
            continue;
        }
        tidy.push(line);
    }
    tidy.join("\n") + "\n"
}
