// Package barmanrecover restores a Barman backup onto a PostgreSQL node through pg-backup-api. It binds the C library
// libbarman_recover, which pkg-config has to find; with the build tag barman_recover_static the static library becomes
// part of the program.
//
// All functions may be called from any goroutine, any number at the same time. A command occupies two threads of the
// operating system while it runs. When its context is done, it ends in an orderly manner and then returns: a restore
// is ended on the Barman host too, which takes a few seconds at most (see [Options].LeaveRunning). The library installs
// no signal handlers and writes no output.
package barmanrecover

// #include <barman_recover.h>
// #include <stdlib.h>
import "C"

import (
	"context"
	"math"
	"unsafe"
)

// Restore restores a backup, and returns when the data is in the data directory or the restore has failed. Together
// with an error, the Result says whether Barman may still be writing.
func Restore(ctx context.Context, options Options) (Result, error) {
	run := func(c *C.barman_recover) C.int32_t { return C.barman_recover_run(c) }
	var result Result
	err := command(ctx, options, run, func(c *C.barman_recover) { result = resultOf(c) })
	return result, err
}

// Check checks everything that a restore with these options needs; it starts and changes nothing, unless
// [Options].Probe is set. If a finding fails, it returns [ErrFailed] together with all findings.
func Check(ctx context.Context, options Options) ([]Finding, error) {
	check := func(c *C.barman_recover) C.int32_t { return C.barman_recover_check(c) }
	var findings []Finding
	err := command(ctx, options, check, func(c *C.barman_recover) { findings = findingsOf(c) })
	return findings, err
}

// Verify checks whether [Options].DataDirectory holds a complete restore; it needs no API. If not, it returns
// [ErrFailed] together with what it found.
func Verify(ctx context.Context, options Options) (Verified, error) {
	verify := func(c *C.barman_recover) C.int32_t { return C.barman_recover_verify(c) }
	verified := Verified{State: VerifiedUnknown}
	err := command(ctx, options, verify, func(c *C.barman_recover) { verified = verifiedOf(c) })
	return verified, err
}

// EndRestore ends a restore into [Options].DataDirectory whose own run is gone. If the API and the Barman server are
// given, it also waits for Barman to say that the operation has ended, and removes the state file, unless the data
// directory holds remains of the restore. An [ErrFailed] means that something still writes into the directory.
func EndRestore(ctx context.Context, options Options) (Result, error) {
	end := func(c *C.barman_recover) C.int32_t { return C.barman_recover_end_restore(c) }
	var result Result
	err := command(ctx, options, end, func(c *C.barman_recover) { result = resultOf(c) })
	return result, err
}

// ListBackups returns the backups of the Barman server, newest first.
func ListBackups(ctx context.Context, options Options) ([]Backup, error) {
	list := func(c *C.barman_recover) C.int32_t { return C.barman_recover_list_backups(c) }
	var backups []Backup
	err := command(ctx, options, list, func(c *C.barman_recover) { backups = backupsOf(c) })
	return backups, err
}

// ListOperations returns the newest operations of the Barman server, newest first, with their states; 0 returns all.
// Each costs a request.
func ListOperations(ctx context.Context, options Options, newest int) ([]Operation, error) {
	if newest < 0 || newest > math.MaxInt32 {
		return nil, refuse("the number of operations is out of range")
	}
	list := func(c *C.barman_recover) C.int32_t { return C.barman_recover_list_operations(c, C.uint32_t(newest)) }
	return operations(ctx, options, list)
}

// ShowOperation returns one operation.
func ShowOperation(ctx context.Context, options Options, id string) (Operation, error) {
	return operation(ctx, options, id, func(c *C.barman_recover, id *C.char) C.int32_t {
		return C.barman_recover_show_operation(c, id)
	})
}

// WaitOperation waits until an operation has ended. If it failed, it returns [ErrFailed] together with the operation.
func WaitOperation(ctx context.Context, options Options, id string) (Operation, error) {
	return operation(ctx, options, id, func(c *C.barman_recover, id *C.char) C.int32_t {
		return C.barman_recover_wait_operation(c, id)
	})
}

// ConfigSwitch switches Barman's configuration of the server when the role of this node has changed. role is the new
// role, as Patroni calls it. If [Options].SwitchWhen does not include that role, it returns false without an error and
// sends nothing.
func ConfigSwitch(ctx context.Context, options Options, role string) (switched bool, result Result, err error) {
	err = withText("role", role, func(role *C.char) error {
		change := func(c *C.barman_recover) C.int32_t {
			code := C.barman_recover_config_switch(c, role)
			switched = code == C.BARMAN_RECOVER_SWITCH_DONE
			return recoveryCode(code)
		}
		return command(ctx, options, change, func(c *C.barman_recover) { result = resultOf(c) })
	})
	return switched, result, err
}

// recoveryCode is the code of other commands that matches the result of a config switch.
func recoveryCode(code C.int32_t) C.int32_t {
	switch code {
	case C.BARMAN_RECOVER_SWITCH_SKIPPED:
		return C.BARMAN_RECOVER_RECOVERY_DONE
	case C.BARMAN_RECOVER_SWITCH_FAILED:
		return C.BARMAN_RECOVER_RECOVERY_FAILED
	case C.BARMAN_RECOVER_SWITCH_HTTP_ERROR:
		return C.BARMAN_RECOVER_HTTP_ERROR
	case C.BARMAN_RECOVER_SWITCH_INVALID_ARGUMENT:
		return C.BARMAN_RECOVER_INVALID_ARGUMENT
	default:
		return code
	}
}

func operation(
	ctx context.Context, options Options, id string, ask func(*C.barman_recover, *C.char) C.int32_t,
) (found Operation, err error) {
	found.State = StateUnknown
	err = withText("operation ID", id, func(id *C.char) error {
		listed, err := operations(ctx, options, func(c *C.barman_recover) C.int32_t { return ask(c, id) })
		if len(listed) > 0 {
			found = listed[0]
		}
		return err
	})
	return found, err
}

func operations(
	ctx context.Context, options Options, ask func(*C.barman_recover) C.int32_t,
) (listed []Operation, err error) {
	err = command(ctx, options, ask, func(c *C.barman_recover) { listed = operationsOf(c) })
	return listed, err
}

// withText lends a text to C.
func withText(what, value string, use func(*C.char) error) error {
	value, err := text(value)
	if err != nil {
		return refuse("the " + what + " " + err.Error())
	}
	lent := C.CString(value)
	defer C.free(unsafe.Pointer(lent))
	return use(lent)
}
