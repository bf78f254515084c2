// Package barmanrecover restores a Barman backup onto a PostgreSQL node through pg-backup-api. It binds the C library
// libbarman_recover, which pkg-config has to find; with the build tag barman_recover_static the static library becomes
// part of the program.
//
// All functions may be called from any goroutine, any number at the same time. A command occupies two threads of the
// operating system while it runs. When its context is done, it ends in an orderly manner and then returns: a restore
// is ended on the Barman host too, which takes a few seconds at most. The library installs no signal handlers and writes
// no output.
package barmanrecover

// #include <barman_recover.h>
// #include <stdlib.h>
import "C"

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unsafe"
)

// Restore restores a backup, and returns when the data is in the data directory or the restore has failed.
func Restore(ctx context.Context, options Options) (result Result, err error) {
	result.State = NotCreated
	err = command(ctx, options, "recover", &result)
	return result, err
}

// Check checks everything that a restore with these options needs; it changes nothing. If a finding fails, it returns
// [ErrFailed] together with all findings.
func Check(ctx context.Context, options Options) ([]Finding, error) {
	var answer struct{ Findings []Finding }
	err := command(ctx, options, "check", &answer)
	return answer.Findings, err
}

// Verify checks whether [Options].DataDirectory holds a complete restore; it needs no API. If not, it returns
// [ErrFailed] together with what it found.
func Verify(ctx context.Context, options Options) (verified Verified, err error) {
	err = command(ctx, options, "verify", &verified)
	return verified, err
}

// Settle waits while a run restores into [Options].DataDirectory, and moves the remains of a restore that failed or died
// aside. Without an error, PostgreSQL may be started as far as restores are concerned. It needs no API.
func Settle(ctx context.Context, options Options) (settled Settled, err error) {
	err = command(ctx, options, "settle", &settled)
	return settled, err
}

// ListBackups returns the backups of the Barman server, newest first.
func ListBackups(ctx context.Context, options Options) ([]Backup, error) {
	var answer struct{ Backups []Backup }
	err := command(ctx, options, "backups", &answer)
	return answer.Backups, err
}

// ListOperations returns the newest operations of the Barman server, newest first, with their states. Each costs a
// request.
func ListOperations(ctx context.Context, options Options) ([]Operation, error) {
	var answer struct{ Operations []Operation }
	err := command(ctx, options, "operations", &answer)
	return answer.Operations, err
}

// ConfigSwitch switches Barman's configuration of the server when the role of this node has changed to
// [Options].Role. If [Options].SwitchWhen does not include that role, it sends nothing and leaves Switched false,
// without an error.
func ConfigSwitch(ctx context.Context, options Options) (result Switch, err error) {
	err = command(ctx, options, "config-switch", &result)
	return result, err
}

// OptionTable returns the library's options of all commands.
func OptionTable() ([]Option, error) {
	var table []Option
	err := json.Unmarshal([]byte(C.GoString(C.barman_recover_options())), &table)
	return table, err
}

// Version returns the version of the library that is running. Each version of its ABI has its own SONAME, so that it fits
// the header that this package was built with.
func Version() string { return C.GoString(C.barman_recover_version()) }

// everything is the pointer to a whole result or event.
var everything = C.CString("")

// command runs a command and delivers its events on this goroutine. When ctx is done, or when OnEvent panics, the command
// is cancelled, and its end waited for. The result is decoded into a struct.
func command(ctx context.Context, options Options, name string, result any) error {
	c := C.barman_recover_new()
	defer C.barman_recover_free(c) // cancels what runs after a panic, and waits for its end
	if err := options.each(func(name, value string) error { return set(c, name, value) }); err != nil {
		return err
	}
	if ctx.Err() != nil {
		C.barman_recover_cancel(c)
	}
	lent := C.CString(name)
	defer C.free(unsafe.Pointer(lent))
	if C.barman_recover_start(c, lent) != 0 {
		return outcome(c, nil, result)
	}
	ended, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped) // it does not use the handle any more
		select {
		case <-ctx.Done():
			C.barman_recover_cancel(c)
		case <-ended:
		}
	}()
	defer func() { close(ended); <-stopped }()
	for {
		switch C.barman_recover_next_event(c, 60_000) {
		case 1:
			event := Event{Percent: -1}
			if err := json.Unmarshal([]byte(C.GoString(C.barman_recover_event(c, everything))), &event); err != nil {
				return err
			}
			if options.OnEvent != nil {
				options.OnEvent(event)
			}
		case -1:
			return outcome(c, ctx.Err(), result)
		}
	}
}

// set sets an option. In C a text ends at its first NUL byte: the rest would be lost.
func set(c *C.barman_recover, name, value string) error {
	if strings.ContainsRune(name+value, 0) {
		return &Error{Code: ErrInvalidArgument, Message: fmt.Sprintf("%q: must not contain a NUL byte", "--"+name)}
	}
	lentName, lentValue := C.CString(name), C.CString(value)
	defer C.free(unsafe.Pointer(lentName))
	defer C.free(unsafe.Pointer(lentValue))
	if C.barman_recover_set(c, lentName, lentValue) != 0 {
		return outcome(c, nil, new(struct{}))
	}
	return nil
}

// outcome decodes the handle's result, and is the error that it tells; nil for success. The cause is what may have
// cancelled the command.
func outcome(c *C.barman_recover, cause error, result any) error {
	answer, failure := []byte(C.GoString(C.barman_recover_get(c, everything))), new(Error)
	for _, to := range []any{failure, result} {
		if err := json.Unmarshal(answer, to); err != nil {
			return err
		}
	}
	switch failure.Code {
	case C.BARMAN_RECOVER_RECOVERY_DONE:
		return nil
	case ErrCancelled:
		failure.cause = cause
	}
	return failure
}
