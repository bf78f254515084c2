//! Tables of rows: each is checked to its end, and all rows that failed are reported.

use std::any::Any;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use standin::Api;

/// What a row expects of a command: the same words in every table.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// The exit status.
    pub code: i32,
    /// Creates that the API received.
    pub creates: usize,
    /// Creates that took effect; None: whatever is right.
    pub took: Option<usize>,
    /// Words of what it prints or logs.
    pub says: Vec<String>,
}

impl Expected {
    /// What is otherwise, a line each.
    pub fn differences(&self, code: Option<i32>, said: &str, api: &Api) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut expect = |what: &str, found: &dyn Debug, expected: &dyn Debug| {
            if format!("{found:?}") != format!("{expected:?}") {
                wrong.push(format!("  {what}: {found:?} instead of {expected:?}"));
            }
        };
        expect("code", &code, &Some(self.code));
        expect("creates", &api.creates(), &self.creates);
        expect("took effect", &api.applied(), &self.took.unwrap_or(api.applied()));
        for words in &self.says {
            expect(&format!("says '{words}'"), &said.contains(words.as_str()), &true);
        }
        wrong
    }
}

/// Checks the rows one after the other; a row that failed is named by what it holds.
#[track_caller]
pub fn check_rows<T: Debug>(rows: impl IntoIterator<Item = T>, mut check: impl FnMut(T)) {
    let mut failures = Vec::new();
    let mut count = 0;
    for row in rows {
        count += 1;
        let name = format!("{row:?}").chars().take(300).collect::<String>();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(row))) {
            failures.push(format!("{name}: {}", said(&*panic)));
        }
    }
    report(&failures, count);
}

/// Checks the rows, so many at a time.
#[track_caller]
pub fn check_at_once<T: Sync>(
    threads: usize,
    rows: &[T],
    name: impl Fn(&T) -> String + Sync,
    check: impl Fn(&T) -> Result<(), String> + Sync,
) {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let checked = catch_unwind(AssertUnwindSafe(|| check(row)));
                    let failure = checked.map_or_else(|panic| Some(said(&*panic)), Result::err);
                    failures.lock().unwrap().extend(failure.map(|why| format!("{}: {why}", name(row))));
                }
            });
        }
    });
    report(&failures.into_inner().unwrap(), rows.len());
}

#[track_caller]
fn report(failures: &[String], rows: usize) {
    assert!(rows > 0, "a table without rows");
    assert!(failures.is_empty(), "{} of {rows} rows failed:\n\n{}", failures.len(), failures.join("\n\n"));
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned())
}

#[test]
fn a_table_runs_to_its_end_and_reports_every_row_that_failed() {
    let even = |row: &i32| assert!(row % 2 == 1, "it is even");
    let known = |row: &i32| {
        even(&(row % 4));
        if *row < 4 { Ok(()) } else { Err("too large".to_owned()) }
    };
    for (table, words) in [
        (catch_unwind(|| check_rows(&[1, 2, 3, 4], even)), ["2: it is even", "4: it is even"]),
        (
            catch_unwind(|| check_at_once(2, &[1, 2, 3, 5], i32::to_string, known)),
            ["2: it is even", "5: too large"],
        ),
    ] {
        let said = said(&*table.unwrap_err());
        assert!(said.starts_with("2 of 4 rows failed"), "{said}");
        assert!(words.iter().all(|words| said.contains(words)), "{said}");
    }
}
