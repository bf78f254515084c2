//! Reads the facts from the files of a data directory. Each is read anew, and a call that fails is no fact.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::sys;
use crate::world::data::complete::{Marks, Rest};
use crate::world::data::files::{Files, LOST_AND_FOUND, file_at, if_there, is_hidden, text_at, unknown};
use crate::world::data::info::{self, Info, Label};
use crate::world::data::wal::WalFiles;
use crate::world::{Content, FileId, Known};

/// How much of the end of a manifest is read: its WAL ranges and its checksum.
const MANIFEST_END: u64 = 16 << 10;

/// Reads the files below a path.
pub(super) struct Reader<'a> {
    pub(super) files: &'a dyn Files,
    pub(super) path: &'a Path,
}

impl Reader<'_> {
    pub(super) fn content(&self) -> Known<Content> {
        let mut content = Content::Empty;
        let mut see = |name: OsString| {
            if name == LOST_AND_FOUND {
                content = Content::LostAndFound;
            } else if !is_hidden(&name) {
                content = Content::Something;
            }
            content != Content::Something
        };
        self.files.names(self.path, &mut see).map_err(|error| unknown(self.path, &error))?;
        Ok(content)
    }

    /// An empty file is not written yet.
    pub(super) fn first_file(&self) -> Known<Option<FileId>> {
        let found = file_at(self.files, &self.at("PG_VERSION"))?;
        Ok(found.filter(|found| found.size > 0))
    }

    /// The process in `postmaster.pid`, if it lives: its first line, negative for a single-user backend. The lines
    /// after it contain paths in any encoding.
    pub(super) fn postmaster(&self) -> Known<Option<u32>> {
        let Some(text) = self.text("postmaster.pid")? else { return Ok(None) };
        let pid = text.lines().next().and_then(|line| line.trim().parse::<i32>().ok()?.checked_abs());
        let pid = pid.filter(|pid| *pid > 0 && sys::process_lives(*pid));
        Ok(pid.map(i32::unsigned_abs))
    }

    pub(super) fn marks(&self) -> Known<Marks> {
        let file = |name: &str| file_at(self.files, &self.at(name));
        Ok(Marks {
            pg_version: file("PG_VERSION")?,
            pg_control: file("global/pg_control")?,
            label: file("backup_label")?,
            info: file(".barman-recover.info")?,
            auto_conf: file("postgresql.auto.conf")?,
            origin: file("postgresql.auto.conf.origin")?,
        })
    }

    fn wal(&self) -> Known<Option<WalFiles>> {
        let mut wal = WalFiles::default();
        let mut add = |name: OsString| {
            if let Some(name) = name.to_str() {
                wal.add(name);
            }
            true
        };
        let path = self.at("pg_wal");
        let read = if_there(&path, self.files.names(&path, &mut add))?;
        Ok(read.map(|()| wal))
    }

    /// PostgreSQL 12 and later reads the command from `postgresql.auto.conf`, and uses it if a signal file is there.
    fn fetcher(&self) -> Known<Option<String>> {
        let file = |name: &str| file_at(self.files, &self.at(name));
        let has_signal = file("recovery.signal")?.is_some() || file("standby.signal")?.is_some();
        let text = self.text(if has_signal { "postgresql.auto.conf" } else { "recovery.conf" })?;
        Ok(text.and_then(|text| info::wal_fetcher(&text)))
    }

    /// The ID in the name of the manifest that belongs to this backup. If Barman had restored the source too,
    /// its data holds manifests of earlier backups.
    fn manifest_id(&self, info: &Info) -> Known<Option<String>> {
        let mut names = Vec::new();
        let mut add = |name: OsString| {
            names.extend(name.into_string().ok().filter(|name| info::manifest_id(name).is_some()));
            true
        };
        self.files.names(self.path, &mut add).map_err(|error| unknown(self.path, &error))?;
        for name in names {
            let path = self.at(&name);
            if file_at(self.files, &path)?.is_none() {
                continue;
            }
            let end = if_there(&path, self.files.read_end(&path, MANIFEST_END))?.unwrap_or_default();
            if info::manifest_starts_at(&String::from_utf8_lossy(&end), info.start.location) {
                return Ok(info::manifest_id(&name).map(Into::into));
            }
        }
        Ok(None)
    }

    pub(super) fn info(&self) -> Known<Option<Info>> {
        Ok(self.text(".barman-recover.info")?.and_then(|text| Info::parse(&text)))
    }

    pub(super) fn label(&self) -> Known<Option<Label>> {
        Ok(self.text("backup_label")?.and_then(|text| Label::parse(&text)))
    }

    /// What comes beside this base backup.
    pub(super) fn rest(&self, info: &Info) -> Known<Rest> {
        Ok(Rest { wal: self.wal()?, fetcher: self.fetcher()?, manifest_id: self.manifest_id(info)? })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn text(&self, name: &str) -> Known<Option<String>> {
        text_at(self.files, &self.at(name))
    }
}
