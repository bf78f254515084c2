//! Restore a Barman backup onto a PostgreSQL node through pg-backup-api.
