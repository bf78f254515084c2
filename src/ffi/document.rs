//! A JSON value that hands out texts to C.

use std::collections::BTreeSet;
use std::ffi::{CString, c_char};

use serde_json::Value;

use crate::text::printable;

/// A value, and the texts of it that C has got.
#[derive(Default)]
pub(super) struct Document {
    value: Value,
    texts: BTreeSet<CString>,
}

impl Document {
    /// Another value. Texts of the one before stay valid until `forget`.
    pub(super) fn set(&mut self, value: Value) {
        self.value = value;
    }

    /// Frees all texts.
    pub(super) fn forget(&mut self) {
        self.texts.clear();
    }

    /// What stands at a pointer (RFC 6901): a text or number as text, an object or list as JSON, nothing as "".
    pub(super) fn text(&mut self, pointer: &str) -> *const c_char {
        let text = match self.value.pointer(pointer) {
            None | Some(Value::Null) => return c"".as_ptr(),
            // On one line, and thus without NUL.
            Some(Value::String(text)) => printable(text),
            Some(other) => other.to_string(),
        };
        let text = CString::new(text).unwrap_or_default();
        if let Some(known) = self.texts.get(&text) {
            return known.as_ptr();
        }
        let given = text.as_ptr(); // points to the heap, which doesn't move with the CString
        self.texts.insert(text);
        given
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use serde_json::json;

    use super::*;

    fn text(document: &mut Document, pointer: &str) -> String {
        // SAFETY: the document is alive, and has forgotten nothing.
        unsafe { CStr::from_ptr(document.text(pointer)) }.to_str().unwrap().into()
    }

    #[test]
    fn each_kind_of_value_has_its_text() {
        let mut document = Document::default();
        assert_eq!(text(&mut document, ""), "");
        document.set(json!({"a": "b\nc\0", "n": [1, -2.5, null, true], "x/y": {"~": "é"}, "e": ""}));
        for (pointer, expected) in [
            ("/a", "b c "),
            ("/n/0", "1"),
            ("/n/1", "-2.5"),
            ("/n/2", ""),
            ("/n/3", "true"),
            ("/n", "[1,-2.5,null,true]"),
            ("/x~1y/~0", "é"),
            ("/x~1y", r#"{"~":"é"}"#),
            ("/e", ""),
            ("/n/4", ""),
            ("/n/-1", ""),
            ("a", ""),
            ("/", ""),
        ] {
            assert_eq!(text(&mut document, pointer), expected, "{pointer}");
        }
        assert!(text(&mut document, "").starts_with(r#"{"a":"b\nc\u0000","#));
    }

    #[test]
    fn a_text_stays_where_it_is_and_is_kept_once() {
        let mut document = Document::default();
        document.set(json!({"a": "text", "b": "text"}));
        let first = document.text("/a");
        assert_eq!((first, first), (document.text("/a"), document.text("/b")));
        document.set(json!({"a": "other"}));
        document.text("/a");
        assert_eq!(document.texts.len(), 2);
        document.forget();
        assert!(document.texts.is_empty());
    }
}
