//! Rows of the table of faults: each thing that a network, a proxy and a server can do to a reply. What follows from a
//! reply that is lost, refused or late is tested in the simulated world; here, that each is taken for what it is.

use crate::laws::row::{Row, restore, row};
use standin::{At, Form, Script, Stage, Step};

/// A fault that leaves open whether the request was processed. What takes long comes with short limits.
struct Fault {
    name: &'static str,
    step: Step,
    limits: &'static [&'static str],
}

const SHORT: &[&str] = &["--request-timeout", "1", "--create-timeout", "3"];

fn lost() -> Vec<Fault> {
    let fault = |name, step| Fault { name, step, limits: &[] };
    let slow = |name, step| Fault { name, step, limits: SHORT };
    let json = |body: &str| Step::reply(200, "application/json", body);
    let raw = |text: &str| Step::raw(text);
    vec![
        fault("reset instead of a reply", Step::model().reset(At::Request)),
        fault("close instead of a reply", Step::model().close(At::Request)),
        slow("silence", Step::model().hang_ms(60_000)),
        slow("a reply that drips", Step::model().drip_ms(60)),
        slow("an endless head", Step::model().form(Form::EndlessHead)),
        slow("an endless body", Step::model().form(Form::EndlessBody)),
        fault("no HTTP", raw("\x05\0\x01garbage\r\n\r\n")),
        fault("HTTP of another version", raw("HTTP/9.9 200 OK\r\n\r\n")),
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
        fault("JSON null", json("null")),
        fault("wrong JSON types", json("{\"operation_id\":7,\"status\":7,\"operations\":7}")),
        fault("deep JSON", json(&"[".repeat(200_000))),
        fault("a huge body", json(&"x".repeat(3 << 20))),
        fault(
            "a body that is not UTF-8",
            Step::raw(b"HTTP/1.1 200 OK\r\n\r\n{\"operation_id\":\"\xff\xfe\"}"),
        ),
        fault("502", Step::proxy_error(502)),
        fault("500 of a worker that was killed in its work", Step::recording("create-gunicorn-500")),
        fault("500 of a proxy", Step::proxy_error(500)),
    ]
}

/// Asking again gives the same answer, and nothing was started.
const REFUSALS: [u16; 8] = [302, 307, 400, 401, 403, 404, 405, 415];

fn refusal(status: u16) -> Step {
    let step = Step::proxy_error(status);
    if status < 400 { step.header("Location", "http://127.0.0.1:9/elsewhere") } else { step }
}

pub fn rows() -> Vec<Row> {
    [each_fault(), each_status(), words(), connections(), restarts()].into_iter().flatten().collect()
}

/// Each fault meets every request of a recovery: once the questions, once the create with the operation behind it. That
/// is what shows that it was taken for a lost reply; what follows when nothing is behind it is the same for all.
fn each_fault() -> Vec<Row> {
    let mut rows = Vec::new();
    for Fault { name, step, limits } in lost() {
        let questions = row("question", format!("{name}: asked again"));
        let once = || [step.clone()];
        let script = Script::new().status(once()).list(once()).poll(once());
        let questions = questions.script(script).with(limits);
        rows.push(questions.says("the status of the API failed").says("to ask about operation"));
        let behind = row("create", format!("{name} with the operation behind: found by its lease"));
        let script = Script::new().create([step.apply(true)]);
        rows.push(behind.script(script).with(limits).says("but its reply does not say so"));
    }
    let nothing = row("create", "a lost request, with nothing behind: created again").creates(2);
    let nothing = nothing.with(&["--create-timeout", "5"]);
    let script = Script::new().create([Step::model().reset(At::Request).apply(false)]);
    rows.push(nothing.script(script).says("has led to no operation"));
    rows
}

fn each_status() -> Vec<Row> {
    let mut rows = Vec::new();
    for status in REFUSALS {
        let final_one = row("create", format!("{status} is final")).code(2).creates(1).took(0);
        let script = Script::new().create([refusal(status).forever()]);
        rows.push(final_one.script(script).says("An issue was faced").says(format!("HTTP {status}")));
    }
    for status in [408, 429] {
        let again = row("question", format!("{status}: asked again, at the latest after a loop wait"));
        let later = || [Step::proxy_error(status).header("Retry-After", "3600")];
        rows.push(again.script(Script::new().status(later()).list(later()).poll(later())));
    }
    let error = || Step::recording("create-recovery-same-second");
    let always = |name: &str, step: Step| {
        let script = Script::new().status([step.forever()]);
        row("status", format!("{name} always: nothing is started"))
            .code(254)
            .creates(0)
            .script(script)
            .says("pg-backup-api is not working")
    };
    let contradiction = Step::reply(400, "application/json", "{\"operation_id\":\"20261122T999999\"}");
    rows.extend([
        always("a reset", Step::model().reset(At::Request)).says("(3 tries)"),
        always("403", Step::proxy_error(403)).says("HTTP 403"),
        always("another word than OK", Step::reply(200, "text/html", "\"maintenance\""))
            .says("it answers \"maintenance\" instead of \"OK\""),
        row("list", "403 always: goes on without the list")
            .script(Script::new().list([Step::proxy_error(403).forever()]))
            .says("continuing without the list"),
        row("create", "a status that names an operation is no refusal: the operation is looked for")
            .script(Script::new().create([contradiction.apply(true)]))
            .says("but its reply does not say so"),
        row("create", "429 started nothing: created again")
            .script(Script::new().create([Step::proxy_error(429)]))
            .creates(2)
            .says("Attempt 1 of 3"),
        row("create", "500 of the API started nothing: created again")
            .script(Script::new().create([error()]))
            .creates(2)
            .says("Attempt 1 of 3"),
        row("create", "500 ends after the last attempt")
            .script(Script::new().create([error().forever()]))
            .code(2)
            .creates(3)
            .took(0)
            .says("(3 tries)"),
        row("poll", "404 for an operation that exists is a blip")
            .script(Script::new().poll([Step::recording("operation-unknown-id").times(3)])),
    ]);
    rows
}

/// Replies that look good and say nothing.
fn words() -> Vec<Row> {
    let mut rows = Vec::new();
    for id in ["\"\"", "\"a\\u0000b\"", &format!("\"{}\"", "x".repeat(5000)), "[]", "null"] {
        let short = id.chars().take(8).collect::<String>();
        let step = Step::reply(202, "application/json", &format!("{{\"operation_id\":{id}}}")).apply(true);
        let none = row("create", format!("the ID {short} is none: the operation is looked for"));
        rows.push(none.script(Script::new().create([step])).says("but its reply does not say so"));
    }
    for (name, status, body) in [
        ("a status word that is not known", 200, "{\"status\":\"PAUSED\"}"),
        ("a status word in small letters", 200, "{\"status\":\"done\"}"),
        ("a word instead of an object", 200, "\"DONE\""),
        ("a list of statuses", 200, "{\"status\":[\"DONE\"]}"),
        ("DONE with another status than 200", 202, "{\"status\":\"DONE\"}"),
    ] {
        let step = Step::reply(status, "application/json", body).times(2);
        let unbelieved = row("poll", format!("{name} is not believed"));
        rows.push(unbelieved.script(Script::new().poll([step])).says("Attempt 1 to ask about operation"));
    }
    rows
}

/// Connections that end, or speak, before the API has read anything; the requests come one connection each.
fn connections() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, step) in [
        ("reset", Step::model().reset(At::Head)),
        ("closed", Step::model().close(At::Head)),
        ("answered before a request", Step::raw("220 mail ready\r\n")),
    ] {
        let each = (0..8).map(|at| if at % 2 == 0 { step.clone() } else { Step::model() });
        let again = row("connection", format!("{name}, every second one: asked again"));
        rows.push(again.script(Script::new().connect(each)));
    }
    let refused = row("connection", "refused always: nothing is started").before(|_, api| api.go_down());
    rows.push(refused.code(254).creates(0).says("connection refused").says("(3 tries)"));
    rows
}

fn restarts() -> Vec<Row> {
    let while_restoring = row("restart", "the API restarts during a restore: asked again afterwards");
    let while_restoring = while_restoring.model(restore().hold()).during(|_, api, run| {
        api.wait("a poll", |api| api.count(Stage::Poll) > 1);
        api.go_down();
        run.wait_for("Attempt 2 to ask");
        api.come_up();
        run.wait_for("the API answers again");
        api.release();
    });
    let lost = row("restart", "the API goes down with the create in hand: looked for when it is back");
    let lost = lost.script(Script::new().create([Step::model().hold()])).during(|_, api, run| {
        api.wait("the create", |api| api.applied() == 1);
        api.go_down();
        run.wait_for("but its reply does not say so");
        api.come_up();
    });
    vec![while_restoring, lost]
}
