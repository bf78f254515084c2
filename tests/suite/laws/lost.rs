//! Rows of the table of faults: a create whose reply says nothing. What it may have started is looked for, and the data
//! directory decides.

use crate::laws::directories::fill;
use crate::laws::restores::{UNSEEN, elsewhere, other_node};
use crate::laws::row::{BACKUP, Row, nothing, restore, row};
use standin::{At, Foreign, Kind, Mark, Part, Script, Status, Step};

pub fn rows() -> Vec<Row> {
    [lost_creates(), lost_creates_and_the_api()].into_iter().flatten().collect()
}

fn lost_creates() -> Vec<Row> {
    let lost = |applied: bool| Step::model().close(At::Request).apply(applied);
    let with_other = |applied: bool, other: Foreign| Script::new().create([lost(applied).foreign(other)]);
    let existing = || restore().existing(other_node(Some(0), Status::Done));
    vec![
        row("lost create", "another node's operation that is done is no success of ours: created again")
            .script(with_other(false, other_node(Some(300), Status::Done)))
            .creates(2)
            .says("is new and may be ours"),
        row("lost create", "another node's operation that failed is no failure of ours: created again")
            .script(with_other(false, other_node(Some(300), Status::Failed)))
            .creates(2),
        row("lost create", "another node's operation that appears late is seen by the second look")
            .script(with_other(false, Foreign { after_ms: 300, ..other_node(Some(300), Status::Done) }))
            .creates(2)
            .says("is new and may be ours"),
        row("lost create", "no second one while another node's operation may be ours")
            .script(with_other(false, other_node(None, Status::Done)))
            .with(&["--deadline", "3"])
            .code(251)
            .creates(1)
            .took(0)
            .keeps_state_file()
            .says("may have been created"),
        row("lost create", "ours is done beside another node's: the data directory decides")
            .script(with_other(true, other_node(Some(300), Status::Failed)))
            .says("finished successfully"),
        row("lost create", "ours failed beside another node's that is done: the data directory decides")
            .model(restore().result(Status::Failed))
            .script(with_other(true, other_node(Some(300), Status::Done)))
            .code(1)
            .says("does not hold a complete restore"),
        row("lost create", "operations of before are no candidates")
            .model(existing())
            .script(Script::new().create([lost(false)]))
            .creates(2)
            .says("no operation was created"),
        row("lost create", "without the list of before every operation is a candidate")
            .model(existing())
            .script(Script::new().list([Step::proxy_error(503)]).create([lost(true)])),
        row("lost create", "a config switch is no candidate")
            .script(with_other(false, Foreign { kind: Kind::ConfigSwitch, ..other_node(None, Status::Done) }))
            .creates(2)
            .says("no operation was created"),
    ]
}

fn lost_creates_and_the_api() -> Vec<Row> {
    let lost = |applied: bool| Step::model().close(At::Request).apply(applied);
    vec![
        row("lost create", "the list has to answer before a second create")
            .script(Script::new().create([lost(true)]).list([Step::model(), Step::proxy_error(502).times(3)]))
            .says("Attempt 3 to ask about a recovery operation failed: HTTP 502"),
        row("lost create", "a list that never answers ends with 2, and the state file remembers")
            .model(nothing())
            .script(
                Script::new().create([lost(true)]).list([Step::model(), Step::proxy_error(502).forever()]),
            )
            .with(&["--max-outage", "1"])
            .code(2)
            .keeps_state_file()
            .says("a recovery operation of server main may still be running"),
        row("lost create", "an end that the data directory can't show is 2, naming the operations")
            .model(elsewhere())
            .script(Script::new().create([lost(true)]))
            .with(UNSEEN)
            .code(2)
            .says("can't be seen from here"),
        row("lost create", "an operation that ended elsewhere restored nothing here: created again")
            .model(elsewhere().next_operation().fill())
            .script(Script::new().create([lost(true)]))
            .creates(2)
            .took(2),
        row("lost create", "new files without Barman's last mark are no evidence: 1")
            .model(restore().mark(Mark::Missing))
            .script(Script::new().create([lost(true)]))
            .code(1),
        row("lost create", "FAILED with Barman's last mark there: the restore was ours, and is complete")
            .model(restore().stop_behind(Part::Mark).result(Status::Failed))
            .script(Script::new().create([lost(true)])),
        row("lost create", "an ID that the API does not know: the new one in its list is followed")
            .script(Script::new().create([
                Step::reply(202, "application/json", "{\"operation_id\":\"20200101T000000\"}").apply(true),
            ]))
            .says("which the API does not know"),
        row("lost create", "an ID that was there before the create is not ours: the new one is followed")
            .model(
                restore()
                    .existing(Foreign { id: Some(BACKUP.to_owned()), ..other_node(Some(0), Status::Done) }),
            )
            .script(
                Script::new().create([Step::reply(
                    202,
                    "application/json",
                    &format!("{{\"operation_id\":\"{BACKUP}\"}}"),
                )
                .apply(true)]),
            )
            .says("but its reply does not say so"),
        row("lost create", "404 blips while looking for it do not hide it").script(
            Script::new().create([lost(true)]).poll([Step::recording("operation-unknown-id").times(3)]),
        ),
        row("lost create", "its poll never answers: ends with 2, and the state file remembers")
            .model(nothing())
            .script(Script::new().create([lost(true)]).poll([Step::proxy_error(502).forever()]))
            .with(&["--max-outage", "1"])
            .code(2)
            .keeps_state_file(),
        row("lost create", "it is done, but the directory was full before: no evidence, no 0")
            .before(|node, _| fill(&node.data))
            .script(Script::new().create([lost(true)]))
            .code(1),
    ]
}
