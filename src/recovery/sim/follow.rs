//! From the create to the verdict: polls and what they miss, outages, stalls, and what is here at the end.

use super::api::{Fault, Kind, recording, reply};
use super::caller::Sim;
use super::plan::{Fate, Place, Plan, Stage, Wal};
use super::row::{ALWAYS, FIRST, Row, row, table};
use super::run::Ran;
use super::state::{Deed, Happening, ms, secs};
use crate::api::Status;
use crate::outcome::Code::{HttpError, RecoveryDone, RecoveryFailed, TimedOut};
use crate::outcome::OperationState::{Done, Failed, InProgress};

/// Nothing arrives, and nothing runs here, for a very long time.
fn unpacks(sim: &mut Sim) {
    sim.state.plan.gap = secs(10_000);
}

#[test]
fn misses_are_waited_out() {
    let faults = [
        ("no connection", Fault::Refused),
        ("a wrong certificate", Fault::Lasting),
        ("silence", Fault::Dropped),
        ("a broken connection", Fault::Lost),
        ("half a reply", Fault::Answer(reply(200, "{"))),
        ("another word", Fault::Answer(reply(200, "{\"status\":\"RESTING\"}"))),
        ("a 404 of a half-written file", Fault::Answer(recording!("operation-unknown-id"))),
        ("500", Fault::Answer(recording!("create-unknown-type"))),
        ("403", Fault::Answer(reply(403, ""))),
        ("503", Fault::Answer(reply(503, ""))),
    ];
    let rows = faults.into_iter().flat_map(|(name, fault)| {
        // From the very first poll on, and in the middle.
        [0, 3].into_iter().flat_map(move |from| {
            let (once, always) = (fault.clone(), fault.clone());
            [
                row(format!("{name}, four times from poll {from} on"))
                    .with(move |sim| sim.state.meets(Kind::Poll, from..from + 4, once))
                    .code(RecoveryDone)
                    .state(Done)
                    .creates(1)
                    .says("WARNING"),
                row(format!("{name}, at each poll from number {from} on, while nothing arrives"))
                    .with(unpacks)
                    .with(|sim| sim.connection.max_retries = 1)
                    .with(move |sim| sim.state.meets(Kind::Poll, from..usize::MAX, always))
                    .code(RecoveryFailed)
                    .creates(1)
                    .says("no valid answer about operation 20261122T102257")
                    .took(secs(300), secs(345)), // the last request may take its time
            ]
        })
    });
    table(rows);
}

#[test]
fn an_outage_costs_nothing_while_data_arrives() {
    let gone = |name: &'static str, from: u64, to: u64| {
        row(name).with(move |sim| {
            sim.state.plan.length = secs(1500);
            sim.state.outage(from..to, Fault::Refused);
        })
    };
    table([
        gone("twenty minutes", 100, 1300).code(RecoveryDone).creates(1).took(secs(1500), secs(1501)),
        gone("for good: done by the data", 100, 1_000_000)
            .code(RecoveryDone)
            .says("WARNING")
            .took(secs(1550), secs(1580)),
        gone("a moment, with no patience", 100, 101)
            .with(|sim| sim.connection.max_outage = secs(0))
            .code(RecoveryDone),
        gone("for good, and nothing arrives for ten minutes", 100, 1_000_000)
            .with(|sim| sim.state.plan.stall = Some((secs(200), secs(790))))
            .code(RecoveryDone),
        gone("for good, and for twenty minutes data goes to where nobody counts it", 100, 1_000_000)
            .with(|sim| sim.state.plan.length = secs(2000))
            .with(|sim| sim.state.plan.elsewhere = Some((secs(200), secs(1400))))
            .code(RecoveryDone),
        gone("for good, and it failed", 100, 1_000_000)
            .with(|sim| sim.state.plan.fate = Fate::Fails(Stage::Control))
            .code(RecoveryFailed)
            .state(InProgress)
            .says("no valid answer about operation 20261122T102257"),
        gone("and the API comes back in time to say that it failed", 100, 1200)
            .with(|sim| sim.state.plan.fate = Fate::Fails(Stage::Control))
            .code(RecoveryFailed)
            .state(Failed)
            .says("Recovery operation failed."),
        row("the API has lost the operation of a lost reply, and Barman died: not waited for without end")
            .with(|sim| {
                sim.state.plan.fate = Fate::Dies(Stage::Control);
                sim.state.meets(Kind::Create, 0..1, Fault::Lost);
                sim.state.at(ms(35), Happening::Amnesia);
            })
            .code(RecoveryFailed)
            .creates(1)
            .took(secs(300), secs(400)),
        row("the API forgets the operation: done by the data")
            .with(|sim| sim.state.at(secs(20), Happening::Amnesia))
            .code(RecoveryDone)
            .creates(1)
            .says("WARNING")
            .took(secs(115), secs(130)),
    ]);
}

#[test]
fn the_end_is_noticed_at_once_with_few_requests() {
    let prompt = |name: &'static str, length: u64| {
        row(name).with(move |sim| {
            sim.restore.loop_wait = secs(60);
            sim.state.plan.length = secs(length);
        })
    };
    let at_once = |sim: &Sim, ran: &Ran| {
        let end = sim.state.story.iter().find(|(_, line)| line.ends_with(": Failed"));
        end.is_some_and(|(at, _)| ran.ended.unwrap() - *at <= ms(300))
    };
    table([
        prompt("a minute", 60).code(RecoveryDone).took(secs(60), ms(60_330)).requests(40),
        prompt("twenty minutes", 1200).code(RecoveryDone).took(secs(1200), ms(1_200_330)).requests(60),
        prompt("a minute, of which Barman works ten seconds on its own host", 50)
            .with(|sim| sim.state.plan.gap = secs(10))
            .code(RecoveryDone)
            .took(secs(60), ms(60_330))
            .requests(40),
        prompt("a minute, without the mark", 60)
            .with(|sim| sim.state.plan.auto_conf = false)
            .code(RecoveryDone)
            .took(secs(60), ms(60_330))
            .requests(40),
        prompt("a minute, FAILED in the copy", 60)
            .with(|sim| sim.state.plan.fate = Fate::Fails(Stage::Control))
            .code(RecoveryFailed)
            .took(secs(20), secs(40))
            .holds("within 0.3 s of the end", at_once),
        prompt("a minute, refused because of what is there", 60)
            .with(|sim| sim.state.at(ms(0), Happening::Node(0, Deed::Replace)))
            .code(RecoveryFailed)
            .holds("within 0.3 s of the end", at_once),
    ]);
}

#[test]
fn an_end_that_is_another_nodes() {
    let taken = |name: &'static str, end: Status| {
        row(name).creates(1).with(move |sim| {
            sim.state.at(ms(300), Happening::Amnesia);
            sim.state.at(ms(400), Happening::Other(FIRST.into(), secs(9), end));
        })
    };
    table([
        taken("DONE while a command runs here is not ours", Status::Done)
            .says("but a command of Barman is still running on this node")
            .code(RecoveryDone)
            .took(secs(59), ms(60_330)),
        // Ours fails like this too, when its Barman is killed: the rsync that is left may go on for hours.
        taken("FAILED ends the run, as it may be ours", Status::Failed)
            .code(RecoveryFailed)
            .took(secs(9), secs(11)),
    ]);
}

#[test]
fn a_restore_that_stalls() {
    let stalls = |sim: &mut Sim| {
        sim.state.plan.length = secs(2000);
        sim.state.plan.stall = Some((secs(20), secs(1000)));
    };
    table([
        row("a warning, and on")
            .with(stalls)
            .code(RecoveryDone)
            .says("WARNING: nothing new has arrived in /pg/data")
            .says("WARNING: HINT: ")
            .holds("once", |_, ran| {
                ran.log.iter().filter(|(.., line)| line.starts_with("nothing new has arrived")).count() == 1
            }),
        row("none while data goes to where nobody counts it")
            .with(stalls)
            .with(|sim| sim.state.plan.elsewhere = sim.state.plan.stall.take())
            .with(|sim| sim.restore.stall_timeout = Some(secs(100)))
            .code(RecoveryDone)
            .holds("no warning", |_, ran| !ran.says("nothing new has arrived")),
        row("--stall-timeout ends it")
            .with(stalls)
            .with(|sim| sim.restore.stall_timeout = Some(secs(100)))
            .code(RecoveryFailed)
            .says("(--stall-timeout)")
            .took(secs(135), secs(145)),
        row("--stall-timeout ends one whose Barman has died")
            .with(|sim| {
                sim.state.plan.fate = Fate::Dies(Stage::Control);
                sim.restore.stall_timeout = Some(secs(100));
            })
            .code(RecoveryFailed)
            .took(secs(130), secs(150)),
        // The next attempt is Patroni's: another create could wait as long again.
        row("--stall-timeout ends one that never wrote here, and no other is created")
            .with(|sim| {
                sim.state.plan.fate = Fate::Dies(Stage::Make);
                sim.restore.stall_timeout = Some(secs(100));
            })
            .code(RecoveryFailed)
            .creates(1)
            .took(secs(100), secs(110)),
        row("--stall-timeout ends the last copy, whose first file is here")
            .with(|sim| {
                sim.state.plan.fate = Fate::Dies(Stage::ConfEnd);
                sim.restore.stall_timeout = Some(secs(100));
            })
            .code(RecoveryFailed)
            .says("Barman's last copy, of configuration files, was cut off"),
    ]);
}

#[test]
fn a_restore_in_which_nothing_happens() {
    table([
        row("Barman unpacks for an hour").with(|sim| sim.state.plan.gap = secs(3600)).code(RecoveryDone),
        row("its Barman died when all was here: ten minutes")
            .with(|sim| sim.state.plan.fate = Fate::Dies(Stage::End))
            .code(RecoveryDone)
            .says("WARNING")
            .took(secs(655), secs(670)),
        row("a script after the copy is waited for, and its failure counts")
            .with(|sim| {
                sim.state.plan.script = secs(500);
                sim.state.plan.fate = Fate::Fails(Stage::End);
            })
            .code(RecoveryFailed)
            .state(Failed)
            .took(secs(560), secs(575)),
        row("out of time")
            .with(|sim| sim.connection.deadline = Some(secs(20)))
            .code(TimedOut)
            .took(secs(20), ms(20_100)),
    ]);
}

fn done(name: &'static str, plan: fn(&mut Plan)) -> Row {
    row(name).with(move |sim| plan(&mut sim.state.plan))
}

/// The API has gone before the end, so that only the data decides.
fn unclear(name: &'static str, plan: fn(&mut Plan)) -> Row {
    done(name, plan).with(|sim| sim.state.outage(5..1_000_000, Fault::Refused))
}

#[test]
fn the_verdict_row_for_row() {
    table([
        done("DONE, complete", |_| {}).code(RecoveryDone).silent("WARNING"),
        done("DONE, no proof", |plan| plan.auto_conf = false)
            .code(RecoveryDone)
            .says("files do not prove it"),
        done("DONE, written to another directory", |plan| plan.place = Place::OtherDirectory)
            .code(RecoveryFailed)
            .creates(1)
            .says("Barman says that the restore is done, but /pg/data"),
        done("DONE, pieces, as the directory was emptied before", |plan| plan.unaware = true)
            .with(|sim| sim.at(secs(40), Deed::Remove))
            .code(RecoveryFailed),
        done("DONE, another backup than the one asked for", |_| {})
            .with(|sim| sim.restore.backup_id = "20200101T000000".into())
            .with(|sim| sim.state.plan.named = true)
            .code(RecoveryDone), // Barman restores what was asked for
        done("FAILED, complete", |plan| plan.fate = Fate::Fails(Stage::End))
            .code(RecoveryFailed)
            .state(Failed),
        done("FAILED, pieces", |plan| plan.fate = Fate::Fails(Stage::Control))
            .code(RecoveryFailed)
            .state(Failed)
            .named(Some(FIRST)),
        done("FAILED, Barman never came", |plan| plan.place = Place::OtherHost)
            .code(RecoveryFailed)
            .says("Barman never ran a command"),
        unclear("the API is gone, complete", |_| {}).code(RecoveryDone).says("WARNING"),
        unclear("the API is gone, no proof", |plan| plan.auto_conf = false)
            .code(RecoveryFailed)
            .says("nothing proves"),
        unclear("the API is gone, pieces", |plan| plan.fate = Fate::Fails(Stage::WalEnd))
            .code(RecoveryFailed),
        done("the API is gone, and Barman never came: created again", |plan| plan.place = Place::OtherHost)
            .with(|sim| {
                sim.state.plans.push(sim.state.plan.clone());
                sim.state.plan.place = Place::Here;
                sim.state.meets(Kind::Poll, 0..1, Fault::Refused);
                sim.connection.max_outage = secs(0);
            })
            .creates(2)
            .code(RecoveryDone),
    ]);
}

#[test]
fn wal_is_part_of_the_data() {
    let waiting = |plan: &mut Plan| plan.wal = Wal::Waiting;
    table([
        done("a backup that waits for its WAL", waiting).code(RecoveryFailed).says("WAL"),
        done("for a replica, which streams the rest", waiting)
            .with(|sim| sim.restore.replica = true)
            .code(RecoveryDone)
            .says("WARNING: the backup needs WAL"),
        done("get-wal", |plan| plan.wal = Wal::Get).code(RecoveryDone),
        done(
            "a replica, no mark, no WAL, and the API gone: nothing shows that the base backup is whole",
            |plan| {
                (plan.auto_conf, plan.fate) = (false, Fate::Fails(Stage::WalEnd));
            },
        )
        .with(|sim| sim.restore.replica = true)
        .with(|sim| sim.state.outage(5..1_000_000, Fault::Refused))
        .code(RecoveryFailed),
    ]);
}

#[test]
fn what_was_there_before_proves_nothing() {
    // A restore of the same backup has left everything, as a delta-restore finds it.
    let before = |name: &'static str, plan: fn(&mut Plan)| {
        row(name).with(|sim| sim.state.plan.accepts_files = true).runs(2).with(move |sim| {
            sim.state.plans.push(sim.state.plan.clone());
            plan(&mut sim.state.plan);
        })
    };
    table([
        before("done again", |_| {}).code(RecoveryDone).says("is not empty"),
        before("only in another directory", |plan| plan.place = Place::OtherDirectory).code(RecoveryFailed),
        before("died before it had written its last file", |plan| plan.fate = Fate::Dies(Stage::Conf))
            .with(|sim| sim.restore.stall_timeout = Some(secs(100)))
            .code(RecoveryFailed),
        row("a hidden mark that was left")
            .with(|sim| {
                sim.state.runs.push(super::run::Ran { ended: Some(secs(0)), ..super::run::Ran::default() });
                let plan = Plan { fate: Fate::Fails(Stage::Login), ..Plan::default() };
                sim.state.start("20261122T000000", 0, 0, None, plan.clone());
                sim.state.leave_mark(0, 0);
                sim.state.until(secs(5));
                sim.state.plan = Plan { fate: Fate::Dies(Stage::Info), ..plan };
                sim.restore.stall_timeout = Some(secs(100));
            })
            .code(RecoveryFailed),
    ]);
}

/// `--no-lease`: as the Python program, with good errors.
fn plain(name: &'static str) -> Row {
    row(name).with(|sim| sim.restore.lease = false)
}

#[test]
fn without_a_lease_it_only_follows_and_looks() {
    table([
        plain("done").code(RecoveryDone).says("without a lease"),
        plain("failed").with(|sim| sim.state.plan.fate = Fate::Fails(Stage::Control)).code(RecoveryFailed),
        plain("another host, and verified")
            .with(|sim| sim.state.plan.place = Place::OtherHost)
            .code(RecoveryFailed)
            .says("--no-verify"),
        plain("a restore to another host")
            .with(|sim| {
                sim.state.plan.place = Place::OtherHost;
                sim.restore.verify = false;
            })
            .code(RecoveryDone)
            .says("was not verified"),
        plain("a lost reply")
            .with(|sim| sim.state.meets(Kind::Create, ALWAYS, Fault::Lost))
            .code(HttpError)
            .creates(1),
        plain("started nothing")
            .with(|sim| sim.state.meets(Kind::Create, 0..1, Fault::Refused))
            .code(RecoveryDone)
            .creates(2),
    ]);
}
