//! What the real Barman says, and what odd bodies come to.

use super::*;

const BODY: &str = r#"{"global":{},"servers":{
    "main":{"config":{"x":[1]},"backups":{
        "20260101T000000":{"status":"FAILED","size":null,"cluster_size":null},
        "20260102T000000":{"status":"DONE","size":100,"cluster_size":200,"compression":null},
        "20260103T000000":{"status":"WAITING_FOR_WALS","size":10,"cluster_size":300,"compression":"gzip"},
        "20260104T000000":{"status":"DONE","size":5,"cluster_size":400,"parent_backup_id":"20260102T000000"},
        "20260105T000000":{"status":"FAILED","size":7},
        "20260106T000000":{"status":"STARTED"},
        "odd":{"status":[7]}}},
    "empty":{"backups":{}},
    "odd":{"backups":null},
    "null":null},"models":{}}"#;

fn find(server: &str, backup: &str) -> Result<Backup, (BadReply, String)> {
    let found = Diagnosis::read(BODY.as_bytes(), server)?;
    found.backup(backup).cloned().map_err(|why| (BadReply::NoBackup, why))
}

fn recorded() -> Diagnosis {
    let recording = include_bytes!("../../../tests/recordings/diagnose.http");
    let at = recording.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    Diagnosis::read(&recording[at + 4..], "pg").unwrap()
}

#[test]
fn aliases_mean_what_they_mean_to_the_api() {
    for (alias, id) in [
        ("latest", "20260104T000000"),
        ("last", "20260104T000000"),
        ("oldest", "20260102T000000"),
        ("first", "20260102T000000"),
        ("last-failed", "20260105T000000"),
        ("20260106T000000", "20260106T000000"),
    ] {
        assert_eq!(find("main", alias).unwrap().id, id, "{alias}");
    }
}

#[test]
fn the_size_is_what_a_restore_writes() {
    for (id, bytes, why) in [
        ("20260101T000000", None, "unknown"),
        ("20260102T000000", Some(100), "plain"),
        ("20260103T000000", Some(300), "compressed"),
        ("20260104T000000", Some(400), "incremental"),
        ("20260105T000000", Some(7), "without the size of the cluster"),
    ] {
        assert_eq!(find("main", id).unwrap().bytes, bytes, "{why}");
    }
}

#[test]
fn the_real_barmans_backup_is_understood() {
    let diagnosis = recorded();
    let backup = diagnosis.backup("latest").unwrap();
    assert!(backup.is_copied() && !backup.waits_for_wal());
    let expected = Backup {
        id: "20261122T133430".into(),
        status: "DONE".into(),
        bytes: Some(54_678_649),
        begin_time: Some("2026-11-22T13:34:30.680354+00:00".into()),
        end_time: Some("2026-11-22T13:34:30.941470+00:00".into()),
        version: Some("15.18".into()),
        system_id: Some(7_710_988_728_750_534_366),
        mode: Some("postgres".into()),
        is_snapshot: false,
        timeline: Some(1),
        end_wal: Some("000000010000000000000004".into()),
        tablespaces: Vec::new(),
    };
    assert_eq!((backup, diagnosis.backups.len()), (&expected, 1));
}

#[test]
fn the_real_barmans_server_is_understood() {
    assert_eq!(recorded().barman_release(), Some((3, 19)));
    let Diagnosis { config, status, last_wal, newest_timeline, .. } = recorded();
    assert!(!config.delta_restore && !config.get_wal);
    assert_eq!(newest_timeline, Some(1));
    assert_eq!((status.connection_error, status.system_id), (None, Some(7_710_988_728_750_534_366)));
    assert_eq!(last_wal.as_deref(), Some("000000010000000000000004"));
}

#[test]
fn options_and_tablespaces_are_read() {
    let body = br#"{"global":{"system_info":{"barman_ver":"3.20.0b1"}},"servers":{"pg":{
        "config":{"recovery_options":"get-wal, delta-restore"},
        "status":{"connection_error":"no\nway"},
        "wals":{"last_archived_wal_per_timeline":{"1":{"name":"A","time":7.5},"2":{"name":"B","time":9},"3":null}},
        "backups":{"x":{"status":"DONE","tablespaces":[["fast",16387,"/ssd/a b"],["odd",7],7,
            {"name":"new","oid":1,"location":"/new"}]}}}}}"#;
    let diagnosis = Diagnosis::read(body, "pg").unwrap();
    assert_eq!(diagnosis.barman_release(), Some((3, 20)));
    assert!(diagnosis.config.delta_restore && diagnosis.config.get_wal);
    assert_eq!(diagnosis.status.connection_error.as_deref(), Some("no way"));
    assert_eq!(diagnosis.last_wal, Some("B".into()));
    let tablespaces = &diagnosis.backups[0].tablespaces;
    let tablespaces: Vec<_> =
        tablespaces.iter().map(|one| (one.name.as_str(), one.location.as_str())).collect();
    assert_eq!(tablespaces, [("fast", "/ssd/a b"), ("new", "/new")]);
}

fn one(backup: &str, config: &str, wals: &str) -> Diagnosis {
    let body = format!(
        r#"{{"servers":{{"pg":{{"config":{config},"wals":{{"last_archived_wal_per_timeline":{wals}}},"backups":{{"x":{backup}}}}}}}}}"#
    );
    Diagnosis::read(body.as_bytes(), "pg").unwrap()
}

#[test]
fn timelines_are_read_from_the_names_of_wal() {
    for (backup, its) in [
        (r#"{"end_wal":"0000000A0000000000000004","timeline":9}"#, Some(10)),
        (r#"{"end_wal":null,"timeline":9}"#, Some(9)),
        (r#"{"end_wal":"None","timeline":"9"}"#, Some(9)),
        (r#"{"end_wal":"zzzzzzzz0000000000000004"}"#, None),
        (r#"{"end_wal":"äääääääääääää"}"#, None),
    ] {
        assert_eq!(one(backup, "null", "null").backups[0].timeline, its, "{backup}");
    }
    let wal = |timeline: &str, time: u32| format!(r#"{{"name":"{timeline}0000000000000004","time":{time}}}"#);
    let wals = format!(r#"{{"1":{},"2":{},"3":null}}"#, wal("0000000B", 7), wal("00000002", 9));
    let diagnosis = one("{}", "null", &wals);
    assert_eq!(diagnosis.newest_timeline, Some(11), "not the one that was archived last");
    assert_eq!(diagnosis.last_wal.unwrap(), "000000020000000000000004");
    assert_eq!(one("{}", "null", r#"{"1":{"name":"x","time":1}}"#).newest_timeline, None);
}

#[test]
fn a_backup_of_snapshots_is_told_from_the_others() {
    for (backup, is_snapshot) in [
        (r#"{"mode":"snapshot"}"#, true),
        (r#"{"mode":null,"snapshots_info":{"provider":"gcp"}}"#, true),
        (r#"{"backup_type":"snapshot"}"#, true),
        (r#"{"mode":"rsync","backup_type":"full","snapshots_info":null}"#, false),
        ("{}", false),
    ] {
        assert_eq!(one(backup, "null", "null").backups[0].is_snapshot, is_snapshot, "{backup}");
    }
}

#[test]
fn a_restore_without_wal_is_known_from_the_configuration() {
    for (config, get_wal) in [
        (r#"{"recovery_options":"get-wal"}"#, true),
        (r#"{"recovery_options":"delta-restore","wals_directory":"/barman/pg/wals"}"#, false),
        (r#"{"recovery_options":"","wals_directory":"s3://bucket/pg/wals"}"#, true),
        ("null", false),
    ] {
        assert_eq!(one("{}", config, "null").config.get_wal, get_wal, "{config}");
    }
}

#[test]
fn versions_are_written_as_postgresql_writes_them() {
    for (number, version) in [(150_018, "15.18"), (100_000, "10.0"), (90_624, "9.6.24")] {
        assert_eq!(postgresql_version(number), version);
    }
    for text in ["", "3", "x.y", "3.", "3.x"] {
        let diagnosis = Diagnosis { barman_version: Some(text.into()), ..recorded() };
        assert_eq!(diagnosis.barman_release(), None, "{text}");
    }
}
