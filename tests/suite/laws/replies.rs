//! Rows of the table of faults: each thing that can go wrong with a reply, in each stage of a recovery.

use crate::laws::row::{Row, nothing, restore, row};
use crate::support::node::{Node, Run};
use std::path::Path;

use standin::{Api, At, Endless, Foreign, Script, Stage, Step, wait_until};

/// A fault that leaves open whether the request was processed. What takes long comes with short limits.
struct Fault {
    name: &'static str,
    step: Step,
    limits: &'static [&'static str],
    /// The API was not able to answer in time.
    times_out: bool,
}

const SHORT: &[&str] = &["--request-timeout", "1", "--create-timeout", "1"];

fn lost() -> Vec<Fault> {
    let fault = |name, step| Fault { name, step, limits: &[], times_out: false };
    let slow = |name, step| Fault { name, step, limits: SHORT, times_out: true };
    let endless = |name, what| Fault { times_out: false, ..slow(name, Step::model().endless(what)) };
    let json = |body: &str| Step::reply(200, "application/json", body);
    let raw = |text: &str| Step::raw(text);
    vec![
        fault("reset instead of a reply", Step::model().reset(At::Request)),
        fault("close instead of a reply", Step::model().close(At::Request)),
        slow("silence", Step::model().hang_ms(60_000)),
        slow("a reply that drips", Step::model().drip_ms(60)),
        fault("no HTTP", raw("\x05\0\x01garbage\r\n\r\n")),
        fault("HTTP of another version", raw("HTTP/9.9 200 OK\r\n\r\n")),
        fault("a status line that is cut", Step::model().cut(9)),
        fault("a head that is cut", Step::model().cut(60)),
        fault("a body that is cut", raw("HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"stat")),
        fault("a chunk that is cut", raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{\"o")),
        fault(
            "a chunk size that is none",
            raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"),
        ),
        fault("a length that is none", raw("HTTP/1.1 200 OK\r\nContent-Length: -7\r\n\r\n{}")),
        fault("only 100 Continue", raw("HTTP/1.1 100 Continue\r\n\r\n")),
        fault("a page", Step::reply(200, "text/html", "<html><p>Welcome</p></html>")),
        fault("an empty body", json("")),
        fault("a JSON array", json("[]")),
        fault("a JSON number", json("7")),
        fault("JSON null", json("null")),
        fault("other JSON", json("{\"hello\":1}")),
        fault("wrong JSON types", json("{\"operation_id\":7,\"status\":7,\"operations\":7}")),
        fault("deep JSON", json(&"[".repeat(200_000))),
        fault("a huge body", json(&"x".repeat(3 << 20))),
        fault(
            "a body that is not UTF-8",
            Step::raw(b"HTTP/1.1 200 OK\r\n\r\n{\"operation_id\":\"\xff\xfe\"}"),
        ),
        endless("an endless head", Endless::Head),
        endless("an endless body", Endless::Body),
        fault("502", Step::proxy_error(502)),
        fault("503", Step::proxy_error(503)),
        fault("504", Step::proxy_error(504)),
        fault("500 of a worker that was killed in its work", Step::recording("create-gunicorn-500")),
        fault("500 of a proxy", Step::proxy_error(500)),
    ]
}

/// Odd, and still a good reply.
fn good() -> Vec<(&'static str, Step)> {
    vec![
        ("a chunked reply", Step::model().chunked()),
        ("HTTP/1.0 without a length", Step::model().http10()),
        ("a connection that says keep-alive and closes", Step::model().keep_alive()),
        ("a reply that comes late", Step::model().delay_ms(300)),
        ("a reply in single bytes", Step::model().drip_ms(1)),
        ("a reset behind the reply", Step::model().delay_ms(1).reset(At::Reply)),
    ]
}

/// Asking again gives the same answer, and nothing was started.
const REFUSALS: [u16; 8] = [302, 307, 400, 401, 403, 404, 405, 415];

/// Nothing was started, and asking again may help.
const LATER: [u16; 2] = [408, 429];

fn refusal(status: u16) -> Step {
    let step = Step::proxy_error(status);
    if status < 400 { step.header("Location", "http://127.0.0.1:9/elsewhere") } else { step }
}

pub fn rows() -> Vec<Row> {
    [status(), list(), create(), poll(), connections(), restarts()].into_iter().flatten().collect()
}

fn status() -> Vec<Row> {
    let mut rows = Vec::new();
    for Fault { name, step, limits, .. } in lost() {
        let once = row("status", format!("{name}: asked again"));
        rows.push(once.script(Script::new().status([step.clone()])).with(limits));
        if limits.is_empty() {
            let always = row("status", format!("{name} always: nothing is started")).code(254).creates(0);
            let script = Script::new().status([step.forever()]);
            rows.push(always.script(script).says("pg-backup-api is not working").says("(3 tries)"));
        }
    }
    for (name, step) in good() {
        rows.push(row("status", format!("{name} is good")).script(Script::new().status([step])));
    }
    for status in REFUSALS.into_iter().filter(|status| *status >= 400) {
        let script = Script::new().status([Step::proxy_error(status)]);
        let row = row("status", format!("{status} is final")).script(script).code(254).creates(0);
        rows.push(row.says(format!("HTTP {status}")));
    }
    for status in LATER.into_iter().chain([500]) {
        let script = Script::new().status([Step::proxy_error(status).header("Retry-After", "3600")]);
        rows.push(
            row("status", format!("{status}: asked again, at the latest after a loop wait")).script(script),
        );
    }
    let says_no = Script::new().status([Step::reply(200, "text/html", "\"maintenance\"")]);
    let says_no = row("status", "another word than OK is final").script(says_no).code(254).creates(0);
    rows.push(says_no.says("it answers \"maintenance\" instead of \"OK\""));
    let moved = Script::new().status([Step::reply(301, "text/html", "").header("Location", "/status")]);
    rows.push(row("status", "a redirect of a question is followed").script(moved));
    let circle = Step::reply(302, "text/html", "").header("Location", "/status").forever();
    let circle = row("status", "redirects in a circle end").script(Script::new().status([circle]));
    rows.push(circle.code(254).creates(0).says("more than 5 redirects"));
    rows
}

fn list() -> Vec<Row> {
    let mut rows = Vec::new();
    for Fault { name, step, limits, .. } in lost() {
        let row = row("list", format!("{name}: goes on without the list")).with(limits);
        rows.push(row.script(Script::new().list([step.times(3)])).says("continuing without the list"));
    }
    let once = Script::new().list([Step::proxy_error(500)]);
    rows.push(row("list", "500 once: asked for again").script(once));
    for status in REFUSALS.into_iter().chain(LATER).chain([500]) {
        let row = row("list", format!("{status}: goes on without the list"));
        let script = Script::new().list([refusal(status).forever()]);
        rows.push(row.script(script).says("continuing without the list"));
    }
    for (name, step) in good() {
        rows.push(row("list", format!("{name} is good")).script(Script::new().list([step])));
    }
    rows
}

fn create() -> Vec<Row> {
    let mut rows = Vec::new();
    for Fault { name, step, limits, times_out } in lost() {
        let behind = row("create", format!("{name} with the operation behind: followed, no second one"));
        let script = Script::new().create([step.clone().apply(true)]);
        rows.push(behind.script(script).with(limits).says("but its reply does not say so"));
        let script = Script::new().create([step.apply(false)]);
        rows.push(if times_out {
            let unable =
                row("create", format!("{name} with nothing behind: the API is not able to start one"));
            let unable = unable.script(script).with(limits).code(2).creates(1).took(0);
            unable.says("did not answer the create request in time").keeps_state_file()
        } else {
            let nothing = row("create", format!("{name} with nothing behind: created once that is certain"));
            nothing.script(script).with(limits).creates(2).says("no operation was created")
        });
    }
    for (name, step) in good() {
        rows.push(row("create", format!("{name} is good")).script(Script::new().create([step])));
    }
    for status in REFUSALS {
        let row = row("create", format!("{status} is final")).code(2).creates(1).took(0);
        let script = Script::new().create([refusal(status).forever()]);
        rows.push(row.script(script).says("An issue was faced").says(format!("HTTP {status}")));
        // A server that names an operation has started one, whatever its status says.
        let contradiction = Step::reply(status, "application/json", "{\"operation_id\":\"20261122T999999\"}");
        let row = row_of_contradiction(status);
        rows.push(row.script(Script::new().create([contradiction.apply(true)])));
    }
    for status in LATER {
        let row = row("create", format!("{status} started nothing: created again")).creates(2);
        let script = Script::new().create([Step::proxy_error(status)]);
        rows.push(row.script(script).says("Attempt 1 of 3").says(format!("HTTP {status}")));
    }
    for id in ["\"\"", "\"a\\u0000b\"", &format!("\"{}\"", "x".repeat(5000)), "[]", "null"] {
        let short = id.chars().take(8).collect::<String>();
        let step = Step::reply(202, "application/json", &format!("{{\"operation_id\":{id}}}")).apply(true);
        let row = row("create", format!("the ID {short} is none: the operation is looked for"));
        rows.push(row.script(Script::new().create([step])).says("but its reply does not say so"));
    }
    let error = || Step::recording("create-recovery-same-second");
    let row_500 = row("create", "500 started nothing: created again").creates(2);
    rows.push(row_500.script(Script::new().create([error()])).says("Attempt 1 of 3"));
    let other = Foreign { duration_ms: None, ..Foreign::default() };
    let list = Script::new().list([Step::model(), Step::model().foreign(other)]);
    let queue = row("create", "500 while other nodes are served is no failed attempt");
    let queue = queue.script(list.create([error()])).with(&["--max-retries", "1"]);
    rows.push(queue.creates(2).says("busy with other nodes"));
    let always =
        row("create", "500 ends after the last attempt").code(2).creates(3).took(0).says("(3 tries)");
    rows.push(always.script(Script::new().create([error().forever()])));
    let head = row("create", "reset before its body was read: created again");
    rows.push(head.script(Script::new().create([Step::model().reset(At::Head)])));
    let head = row("create", "close before its body was read: created again");
    rows.push(head.script(Script::new().create([Step::model().close(At::Head)])));
    let lost_twice = Script::new().create([Step::model().apply(false).close(At::Request).times(2)]);
    rows.push(row("create", "lost twice with nothing behind").script(lost_twice).creates(3));
    let lost_always = Script::new().create([Step::model().apply(false).close(At::Request).forever()]);
    let lost_always = row("create", "lost always: ends after the last attempt").script(lost_always);
    rows.push(lost_always.code(2).creates(3).took(0).says("(3 tries)"));
    rows
}

fn row_of_contradiction(status: u16) -> Row {
    let rule = format!("{status} that names an operation is no refusal: the operation is looked for");
    row("create", rule).says("but its reply does not say so")
}

fn poll() -> Vec<Row> {
    let mut rows = Vec::new();
    let lost = lost().into_iter().map(|Fault { name, step, limits, .. }| (name.to_owned(), step, limits));
    let statuses = REFUSALS.into_iter().chain(LATER).chain([500]);
    let statuses = statuses.map(|status| (status.to_string(), refusal(status), &[] as &[_]));
    for (name, step, limits) in lost.chain(statuses) {
        let twice = row("poll", format!("{name} twice: asked again"));
        rows.push(twice.script(Script::new().poll([step.clone().times(2)])).with(limits));
        let always = row("poll", format!("{name} always: ends with 2 when the outage budget is used up"));
        let always = always.model(nothing()).script(Script::new().poll([step.forever()])).with(limits);
        let always = always.with(&["--max-outage", "1"]).code(2).keeps_state_file();
        rows.push(always.says("Maximum number of retries exceeded").says("may still be running"));
    }
    for (name, step) in good() {
        rows.push(row("poll", format!("{name} is good")).script(Script::new().poll([step])));
    }
    for (name, body) in [
        ("a status word that is not known", "{\"status\":\"PAUSED\"}"),
        ("a status word in small letters", "{\"status\":\"done\"}"),
        ("a word instead of an object", "\"DONE\""),
        ("a list of statuses", "{\"status\":[\"DONE\"]}"),
    ] {
        let step = Step::reply(200, "application/json", body).times(2);
        let row = row("poll", format!("{name} is not believed")).script(Script::new().poll([step]));
        rows.push(row.says("Attempt 1 to ask about operation"));
    }
    let other_status = Step::reply(202, "application/json", "{\"status\":\"DONE\"}").times(2);
    let other_status = row("poll", "DONE with another status than 200 is not believed")
        .script(Script::new().poll([other_status]));
    rows.push(other_status.says("Attempt 1 to ask"));
    let blips = Script::new().poll([Step::recording("operation-unknown-id").times(3)]);
    rows.push(row("poll", "404 for an operation that exists is a blip").script(blips));
    let patient = Script::new().poll([Step::proxy_error(503).header("Retry-After", "3600")]);
    rows.push(row("poll", "Retry-After is honoured up to the loop wait").script(patient));
    rows
}

/// Connections that end, or speak, before the API has read anything; the stages come one connection each.
fn connections() -> Vec<Row> {
    let mut rows = Vec::new();
    for (at, stage) in ["status", "list", "create", "poll"].into_iter().enumerate() {
        for (name, step) in [
            ("reset", Step::model().reset(At::Head)),
            ("closed", Step::model().close(At::Head)),
            ("answered before a request", Step::raw("220 mail ready\r\n")),
        ] {
            let steps = vec![Step::model(); at].into_iter().chain([step]);
            let row = row("connection", format!("{name} at the {stage}: asked again"));
            rows.push(row.script(Script::new().connect(steps)));
        }
    }
    let refused = row("connection", "refused always: nothing is started").before(|_, api| api.go_down());
    rows.push(refused.code(254).creates(0).says("connection refused").says("(3 tries)"));
    rows
}

fn down_before_the_create(api: &Api, run: &Run) {
    api.wait("the list", |api| api.count(Stage::List) == 1);
    api.go_down();
    run.wait_for("Attempt 1 of");
}

fn restarts() -> Vec<Row> {
    let at_start =
        row("restart", "an API that starts a little later is waited for").with(&["--retry-wait", "1"]);
    let at_start =
        at_start.with(&["--max-retries", "30"]).before(|_, api| api.go_down()).during(|_, api, run| {
            run.wait_for("Attempt 1 of 30");
            api.come_up();
        });
    let while_restoring = row("restart", "the API restarts during a restore: polled again afterwards");
    let while_restoring = while_restoring.model(restore().hold()).during(|_, api, run| {
        api.wait("a poll", |api| api.count(Stage::Poll) > 1);
        api.go_down();
        run.wait_for("Attempt 2 to ask");
        api.come_up();
        run.wait_for("the API answers again");
        api.release();
    });
    let arriving = row("restart", "the outage budget does not run while data arrives");
    let arriving =
        arriving.model(restore().wal(6).wal_ms(800)).with(&["--max-outage", "1"]).during(|node, api, _| {
            wait_until("the base backup", || Path::new(&node.data).join("global/pg_control").exists());
            api.go_down();
            let third = "pg_wal/000000010000009100000041";
            wait_until("WAL", || Path::new(&node.data).join(third).exists());
            api.come_up();
        });
    let for_good = row("restart", "the API never comes back: ends with 2, and the state file remembers");
    let for_good = for_good.model(nothing()).with(&["--max-outage", "1"]).during(|_, api, _| {
        api.wait("a poll", |api| api.count(Stage::Poll) > 1);
        api.go_down();
    });
    let for_good = for_good.code(2).keeps_state_file().says("may still be running").without_data();
    let list_held = || Script::new().list([Step::model().hold()]);
    let before_create = row("restart", "a create that is refused started nothing: created again");
    let before_create = before_create.script(list_held()).with(&["--max-retries", "30"]);
    let before_create = before_create.during(|_: &Node, api, run| {
        down_before_the_create(api, run);
        api.come_up();
    });
    let never = row("restart", "a create that is always refused ends with 2, and nothing is left behind");
    let never = never.script(list_held()).during(|_, api, run| down_before_the_create(api, run));
    let never = never.code(2).creates(0).says("connection refused").says("(3 tries)");
    let lost = row("restart", "the API goes down with the create in hand: looked for when it is back");
    let lost =
        lost.script(Script::new().create([Step::model().hold()])).model(restore()).during(|_, api, run| {
            api.wait("the create", |api| api.applied() == 1);
            api.go_down();
            run.wait_for("but its reply does not say so");
            api.come_up();
        });
    vec![at_start, while_restoring, arriving, for_good, before_create, never, lost]
}
