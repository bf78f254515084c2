//! The text of an HTML error page. Pure.

/// The text of the first `<p>` (or else `<title>`) of a page, tags removed and entities decoded.
pub(crate) fn page_text(page: &str) -> String {
    let lower = page.to_ascii_lowercase(); // same length, so byte positions hold for both
    let inside = |tag: &str| {
        let open = lower.find(&format!("<{tag}>"))? + tag.len() + 2;
        let rest = page.get(open..)?;
        let end = lower.get(open..)?.find(&format!("</{tag}>")).unwrap_or(rest.len());
        rest.get(..end)
    };
    let Some(marked) = inside("p").or_else(|| inside("title")) else { return String::new() };
    let mut text = String::new();
    let mut in_tag = false;
    for c in marked.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => in_tag = false,
            _ if !in_tag => text.push(c),
            _ => {}
        }
    }
    for (entity, plain) in [
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&#34;", "\""),
        ("&quot;", "\""),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
    ] {
        text = text.replace(entity, plain);
    }
    text
}
