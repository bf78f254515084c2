//! Options by name, and the table of them.

use std::ffi::{CString, c_char};
use std::sync::LazyLock;

use super::entry::{text, with};
use super::guard::guard;
use super::handle::Handle;
use super::numbers::barman_recover_kind as CKind;
use super::queue::c_text;
use crate::config::options::{Kind, OPTIONS, Opt, OptionSpec};
use crate::config::{ConfigError, Value};
use crate::outcome::Code;

/// Sets an option of any command. name: with "-" or "_" between its words. value: as on the command line of
/// patroni_barman, for example "5"; for a flag "true" or "false".
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set(handle: *mut Handle, name: *const c_char, value: *const c_char) -> i32 {
    with(handle, Code::InvalidArgument, Code::Panic, |handle| {
        handle.change(|config| {
            let name = text(&name).map_err(|why| ConfigError::new(format!("the name of an option {why}")))?;
            let option = Opt::find(name)?;
            let value = text(&value).map_err(|why| ConfigError::of(option, why))?;
            config.set(option, Value::Text(value)).map(|_| ())
        })
    }) as i32
}

/// How many options there are. New ones come last.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_option_count() -> u32 {
    guard(0, || u32::try_from(OPTIONS.len()).unwrap_or(u32::MAX))
}

/// The name of an option: "api-url".
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_option_name(i: u32) -> *const c_char {
    of_option(i, |[name, ..]| name)
}

/// Its default as text; "" when there is none.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_option_default(i: u32) -> *const c_char {
    of_option(i, |[_, default, _]| default)
}

/// Its meaning, in one line.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_option_help(i: u32) -> *const c_char {
    of_option(i, |[.., help]| help)
}

/// The BARMAN_RECOVER_KIND_... of its value.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_option_kind(i: u32) -> i32 {
    guard(-1, || row(i).map_or(-1, |spec| kind(spec.kind) as i32))
}

/// 1 if a command that has it can't begin without it, else 0. ("ssh-command" is not needed with
/// "operation-id".)
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_option_required(i: u32) -> i32 {
    guard(-1, || row(i).map_or(-1, |spec| i32::from(spec.required)))
}

fn row(i: u32) -> Option<&'static OptionSpec> {
    OPTIONS.get(usize::try_from(i).ok()?)
}

fn kind(kind: Kind) -> CKind {
    match kind {
        Kind::Text => CKind::BARMAN_RECOVER_KIND_TEXT,
        Kind::Word(_) => CKind::BARMAN_RECOVER_KIND_WORD,
        Kind::Path => CKind::BARMAN_RECOVER_KIND_PATH,
        Kind::Url => CKind::BARMAN_RECOVER_KIND_URL,
        Kind::Seconds => CKind::BARMAN_RECOVER_KIND_SECONDS,
        Kind::Count => CKind::BARMAN_RECOVER_KIND_COUNT,
        Kind::Flag => CKind::BARMAN_RECOVER_KIND_FLAG,
    }
}

/// A text of a row: its name, default or help.
fn of_option(i: u32, of: impl FnOnce(&[CString; 3]) -> &CString) -> *const c_char {
    static TEXTS: LazyLock<Vec<[CString; 3]>> = LazyLock::new(|| {
        OPTIONS.iter().map(|spec| [spec.name, spec.default, spec.help].map(c_text)).collect()
    });
    guard(c"".as_ptr(), || {
        let texts = usize::try_from(i).ok().and_then(|i| TEXTS.get(i));
        texts.map_or(c"".as_ptr(), |texts| of(texts).as_ptr())
    })
}
