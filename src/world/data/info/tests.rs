use super::*;

const RECORDING: &str = include_str!("../../../../tests/recordings/restored-directory.txt");

/// What Barman and PostgreSQL actually wrote.
fn recorded() -> (&'static str, &'static str) {
    let mut sections = RECORDING.split("\n== ").skip(1).map(|part| part.split_once('\n').unwrap().1);
    (sections.next().unwrap(), sections.next().unwrap())
}

fn with(key: &str, value: &str) -> String {
    let lines = recorded().0.lines().map(|line| match line.split_once('=') {
        Some((found, _)) if found == key => format!("{key}={value}\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

#[test]
fn the_real_files_of_a_restore_are_understood() {
    let (info, label) = (Info::parse(recorded().0).unwrap(), Label::parse(recorded().1).unwrap());
    assert_eq!(info.start, label.start);
    for id in [&info.backup_id, &label.backup_id] {
        assert_eq!(id.as_deref(), Some("20261124T163715"));
    }
    assert_eq!((info.server.as_str(), info.status.as_str()), ("pg", "DONE"));
    assert_eq!(info.begin_time, "2026-11-24 16:37:15.488941+00:00");
    assert_eq!(info.end.unwrap().to_string(), "000000010000000000000004");
    assert_eq!(info.segment_size, wal::USUAL_SIZE);
}

#[test]
fn an_info_that_came_with_the_backup_starts_elsewhere() {
    let label = Label::parse(recorded().1).unwrap();
    for (key, value) in [("begin_xlog", "0/2000028"), ("begin_wal", "000000020000000000000004")] {
        assert_ne!(Info::parse(&with(key, value)).unwrap().start, label.start, "{key}");
    }
    for leading in ["0/04000028", "00000000/4000028"] {
        assert_eq!(Info::parse(&with("begin_xlog", leading)).unwrap().start, label.start, "{leading}");
    }
}

#[test]
fn what_barman_does_not_know_yet_is_unknown() {
    let waiting = Info::parse(&with("end_wal", "None")).unwrap();
    assert_eq!(waiting.end, None);
    assert_eq!(Info::parse(&with("xlog_segment_size", "67108864")).unwrap().segment_size, 64 << 20);
    let old = recorded().0.replace("xlog_segment_size=16777216", "");
    assert_eq!(Info::parse(&old).unwrap().segment_size, wal::USUAL_SIZE);
}

#[test]
fn the_id_is_in_either_label_or_unknown() {
    let info = Info::parse(&with("backup_label", "None")).unwrap();
    assert_eq!(info.backup_id, None);
    for (text, id) in [
        ("Barman backup pg 20261124T163715", Some("20261124T163715")),
        ("Barman backup a server's name 20261124T163715", Some("20261124T163715")),
        ("pg_basebackup base backup", None),
        ("Barman backup ../../etc/passwd", None),
    ] {
        let label = recorded().1.replace("Barman backup pg 20261124T163715", text);
        assert_eq!(Label::parse(&label).unwrap().backup_id.as_deref(), id, "{text}");
    }
    let quoted = r#""LABEL: Barman backup it's 20261124T000000\n""#;
    let info = Info::parse(&with("backup_label", quoted)).unwrap();
    assert_eq!(info.backup_id.as_deref(), Some("20261124T000000"));
    assert_eq!(manifest_id("backup_manifest.20261124T163715"), Some("20261124T163715"));
    for none in ["backup_manifest", "backup_manifest.", "backup_manifest.a b", "xbackup_manifest.1"] {
        assert_eq!(manifest_id(none), None, "{none}");
    }
}

#[test]
fn a_manifest_is_known_by_where_its_wal_starts() {
    let manifest = r#""Size": 4, "Checksum": "1" }
],
"WAL-Ranges": [
{ "Timeline": 2, "Start-LSN": "0/5000000", "End-LSN": "0/5000100" },
{ "Timeline": 1, "Start-LSN": "0/4000028", "End-LSN": "0/5000000" }
],
"Manifest-Checksum": "8e0c"}
"#;
    assert!(manifest_starts_at(manifest, (0, 0x400_0028)));
    assert!(!manifest_starts_at(manifest, (0, 0x300_0028)));
    assert!(!manifest_starts_at(manifest, (0, 0x500_0100)), "the end is not the start");
    for other in
        ["", "\"WAL-Ranges\"", "\"Start-LSN\": \"0/4000028\"", "\"WAL-Ranges\": \"Start-LSN\": \"0/400"]
    {
        assert!(!manifest_starts_at(other, (0, 0x400_0028)), "{other}");
    }
}

#[test]
fn barmans_restore_command_is_found_as_postgresql_reads_it() {
    let barmans = "barman-wal-restore -P -U barman barman.example.com main %f %p";
    for (text, command) in [
        (
            format!("# The 'barman-wal-restore' command is provided\nrestore_command = '{barmans}'\n"),
            Some(barmans),
        ),
        (format!("restore_command '{barmans}'"), Some(barmans)),
        (format!("  restore_command='{barmans}'   # by Barman"), Some(barmans)),
        (format!("restore_command = '/bin/false'\nrestore_command = '{barmans}'"), Some(barmans)),
        (format!("restore_command = '{barmans}'\nrestore_command = '/bin/false'"), None),
        (format!("#BARMAN#restore_command = '{barmans}'"), None),
        (format!("restore_commands = '{barmans}'"), None),
        ("restore_command = 'cp barman_wal/%f %p'".into(), None),
        ("restore_command".into(), None),
        (String::new(), None),
    ] {
        assert_eq!(wal_fetcher(&text).as_deref(), command, "{text}");
    }
    let local = "restore_command = 'sudo -u barman barman get-wal -P main ''%f'' > %p'";
    assert_eq!(wal_fetcher(local).as_deref(), Some("sudo -u barman barman get-wal -P main '%f' > %p"));
    // Barman 3.19, for WAL in cloud storage.
    let cloud = "restore_command = 'barman cloud-wal-restore main %f %p'";
    assert_eq!(wal_fetcher(cloud).as_deref(), Some("barman cloud-wal-restore main %f %p"));
}

#[test]
fn a_text_cut_anywhere_is_no_record_of_another_backup() {
    let (info, label) = recorded();
    let whole = (Info::parse(info).unwrap(), Label::parse(label).unwrap());
    for end in 0..info.len() {
        assert!(Info::parse(&info[..end]).is_none_or(|cut| cut.start == whole.0.start), "{end}");
    }
    for end in 0..label.len() {
        assert!(Label::parse(&label[..end]).is_none_or(|cut| cut.start == whole.1.start), "{end}");
    }
}

#[test]
fn garbage_is_no_record() {
    for text in ["", "=", "begin_xlog=0/4", "\0\0\0", "status=\nbegin_xlog=/\nbegin_wal=", "\\"] {
        assert!(Info::parse(text).is_none() && Label::parse(text).is_none(), "{text:?}");
    }
    for (key, value) in [
        ("begin_xlog", "None"),
        ("begin_xlog", "0/123456789"),
        ("begin_wal", "None"),
        ("begin_wal", "00000001000000000000000g"),
    ] {
        assert!(Info::parse(&with(key, value)).is_none(), "{key}={value}");
    }
    assert!(Label::parse("START WAL LOCATION: 0/4000028").is_none());
    assert!(Label::parse("START WAL LOCATION: 0/4000028 (file x)").is_none());
}

#[test]
fn values_are_read_as_python_writes_them() {
    for (value, text) in [
        ("'a\\nb\\tc'", "a\nb\tc"),
        ("\"it's\"", "it's"),
        ("'a\\\\'", "a\\"),
        ("'\\'", ""),
        ("'", "'"),
        (" x ", "x"),
    ] {
        assert_eq!(plain(value), text, "{value}");
    }
}
