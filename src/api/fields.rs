//! Fields of a JSON object that may be missing or have an unexpected type: an unreadable field counts as missing.
//! Pure.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::text::one_line;

/// An object of which only some fields matter.
pub(crate) struct Fields(Value);

impl Fields {
    pub(crate) fn of(raw: Option<&RawValue>) -> Fields {
        Fields(raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default())
    }

    /// An object in a field.
    pub(crate) fn object(&self, key: &str) -> Fields {
        Fields(self.get(key).cloned().unwrap_or_default())
    }

    /// A field that is present and not `null`.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// Every field whose value is an object.
    pub(crate) fn objects(self) -> impl Iterator<Item = Fields> {
        let map = if let Value::Object(map) = self.0 { map } else { serde_json::Map::new() };
        map.into_iter().map(|(_, value)| Fields(value)).filter(|fields| fields.0.is_object())
    }

    /// A text as it is, a path for example. An empty one counts as missing.
    pub(crate) fn exact(&self, key: &str) -> Option<String> {
        self.get(key)?.as_str().filter(|text| !text.is_empty()).map(Into::into)
    }

    /// A text or a number as one printable line.
    pub(crate) fn line(&self, key: &str) -> Option<String> {
        let line = one_line(&as_text(self.get(key)?)?);
        Some(line).filter(|line| !line.is_empty())
    }

    /// A whole number, possibly written as a text; fractions are cut off.
    pub(crate) fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        let text = as_text(self.get(key)?)?;
        text.trim().split('.').next()?.parse().ok()
    }

    /// Whether a list contains this word: a JSON array, or a text separated by commas or spaces.
    pub(crate) fn has_word(&self, key: &str, word: &str) -> bool {
        let is_in = |text: &str| text.split(|c: char| c == ',' || c.is_whitespace()).any(|one| one == word);
        match self.get(key) {
            Some(Value::String(text)) => is_in(text),
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).any(is_in),
            _ => false,
        }
    }
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_odd_is_missing_and_never_an_error() {
        let fields = |text: &str| {
            let raw = RawValue::from_string(text.into()).unwrap();
            Fields::of(Some(&raw))
        };
        for odd in ["null", "[]", "7", r#"{"x":null}"#, r#"{"x":{}}"#, r#"{"x":""}"#, r#"{"x":true}"#] {
            let fields = fields(odd);
            assert_eq!((fields.exact("x"), fields.line("x"), fields.number::<u64>("x")), (None, None, None));
            assert!(!fields.has_word("x", "x") && !fields.has_word("x", "null"), "{odd}");
        }
        let fields = fields(r#"{"n":" 12","f":1.9,"big":18446744073709551615,"t":"a\nb","w":["a","b c",7]}"#);
        assert_eq!(
            (fields.number("n"), fields.number("f"), fields.number("big")),
            (Some(12), Some(1), Some(u64::MAX))
        );
        assert_eq!((fields.line("t").as_deref(), fields.exact("t").as_deref()), (Some("a b"), Some("a\nb")));
        assert_eq!(fields.number::<u32>("big"), None);
        for (word, is_in) in [("a", true), ("b", true), ("c", true), ("b c", false), ("7", false)] {
            assert_eq!(fields.has_word("w", word), is_in, "{word}");
        }
    }
}
