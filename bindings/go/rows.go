package barmanrecover

// #include <barman_recover.h>
import "C"

import "time"

func resultOf(c *C.barman_recover) Result {
	return Result{
		OperationID: C.GoString(C.barman_recover_operation_id(c)),
		State:       State(C.barman_recover_operation_state(c)),
		HTTPStatus:  int(C.barman_recover_http_status(c)),
		Elapsed:     time.Duration(C.barman_recover_elapsed_ms(c)) * time.Millisecond,
		Bytes:       uint64(C.barman_recover_bytes(c)),
		TotalBytes:  uint64(C.barman_recover_total_bytes(c)),
	}
}

func findingsOf(c *C.barman_recover) []Finding {
	findings := make([]Finding, C.barman_recover_finding_count(c))
	for i := range findings {
		row := C.uint32_t(i)
		findings[i] = Finding{
			Verdict: Verdict(C.barman_recover_finding_verdict(c, row)),
			What:    C.GoString(C.barman_recover_finding_what(c, row)),
			Detail:  C.GoString(C.barman_recover_finding_detail(c, row)),
			Hint:    C.GoString(C.barman_recover_finding_hint(c, row)),
		}
	}
	return findings
}

func operationsOf(c *C.barman_recover) []Operation {
	operations := make([]Operation, C.barman_recover_listed_count(c))
	for i := range operations {
		row := C.uint32_t(i)
		operations[i] = Operation{
			ID:    C.GoString(C.barman_recover_listed_id(c, row)),
			Kind:  C.GoString(C.barman_recover_listed_kind(c, row)),
			State: State(C.barman_recover_listed_state(c, row)),
		}
	}
	return operations
}

func backupsOf(c *C.barman_recover) []Backup {
	backups := make([]Backup, C.barman_recover_backup_count(c))
	for i := range backups {
		row := C.uint32_t(i)
		backups[i] = Backup{
			ID:        C.GoString(C.barman_recover_backup_id(c, row)),
			Status:    C.GoString(C.barman_recover_backup_status(c, row)),
			Complete:  C.barman_recover_backup_is_complete(c, row) == 1,
			BeginTime: C.GoString(C.barman_recover_backup_begin_time(c, row)),
			EndTime:   C.GoString(C.barman_recover_backup_end_time(c, row)),
			Bytes:     uint64(C.barman_recover_backup_bytes(c, row)),
			Version:   C.GoString(C.barman_recover_backup_version(c, row)),
			Mode:      C.GoString(C.barman_recover_backup_mode(c, row)),
		}
	}
	return backups
}

func verifiedOf(c *C.barman_recover) Verified {
	verified := Verified{
		State:    VerifiedState(C.barman_recover_verified_state(c)),
		Detail:   C.GoString(C.barman_recover_verified_detail(c)),
		BackupID: C.GoString(C.barman_recover_verified_backup_id(c)),
		Server:   C.GoString(C.barman_recover_verified_server(c)),
		Taken:    C.GoString(C.barman_recover_verified_taken(c)),
		LastWAL:  C.GoString(C.barman_recover_verified_last_wal(c)),
	}
	if seconds := C.barman_recover_verified_restored(c); seconds > 0 {
		verified.Restored = time.Unix(int64(seconds), 0)
	}
	return verified
}
