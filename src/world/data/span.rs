//! Whether everything in a directory came within a span of time. The file system keeps the time of each change by its
//! own clock, and no program can set it: copying, moving and mounting data does not give it the times of other data.

use std::fs;
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::world::Known;
use crate::world::data::files::unknown;

/// Whether a directory and all that is in it last changed in this span (nanoseconds since 1970), on this device: that of
/// the file from which the end of the span was read, as another may have another clock. Links are not followed.
pub(crate) fn came_within(root: &Path, device: u64, span: &RangeInclusive<i64>) -> Known<bool> {
    let mut waiting = vec![root.to_path_buf()];
    while let Some(path) = waiting.pop() {
        let failed = |error| unknown(&path, &error);
        let found = fs::symlink_metadata(&path).map_err(failed)?;
        let changed = found.ctime().saturating_mul(1_000_000_000).saturating_add(found.ctime_nsec());
        if found.dev() != device || !span.contains(&changed) {
            return Ok(false);
        }
        if found.is_dir() {
            for entry in fs::read_dir(&path).map_err(failed)? {
                waiting.push(entry.map_err(failed)?.path());
            }
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::tempdir;

    #[test]
    fn one_entry_that_is_older_or_newer_or_elsewhere_is_enough() {
        let scratch = tempdir().unwrap();
        let data = scratch.path().join("data");
        fs::create_dir_all(data.join("base/1")).unwrap();
        for name in ["base/1/2", "PG_VERSION"] {
            fs::write(data.join(name), "x").unwrap();
        }
        let times = |path: &Path| {
            let found = fs::symlink_metadata(path).unwrap();
            (found.dev(), found.ctime() * 1_000_000_000 + found.ctime_nsec())
        };
        let all: Vec<(u64, i64)> =
            ["", "base", "base/1", "base/1/2", "PG_VERSION"].map(|name| times(&data.join(name))).into();
        let (device, first) = *all.iter().min_by_key(|(_, changed)| changed).unwrap();
        let last = all.iter().map(|(_, changed)| *changed).max().unwrap();
        let within = |device, from, to| came_within(&data, device, &(from..=to)).unwrap();
        assert!(within(device, first, last));
        assert!(!within(device, last + 1, i64::MAX), "older");
        assert!(!within(device, 0, first - 1), "newer");
        assert!(!within(device + 1, 0, i64::MAX), "on another device");
        assert!(came_within(&scratch.path().join("missing"), device, &(0..=i64::MAX)).is_err());
    }
}
