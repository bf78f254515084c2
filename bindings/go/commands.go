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
	"unsafe"
)

// Restore restores a backup, and returns when the data is in the data directory or the restore has failed.
func Restore(ctx context.Context, options Options) (result Result, err error) {
	result.State = NotCreated
	err = command(ctx, options, "recover", &result)
	return result, err
}

// Check checks everything that a restore with these options needs; it changes nothing. If a finding fails, it returns [ErrFailed] together with all findings.
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

// Version returns the version of the library that is running. An error means that this package was built with the
// header of an incompatible version; every command then returns the same error and does nothing.
func Version() (string, error) {
	running := C.GoString(C.barman_recover_version())
	if fits(C.BARMAN_RECOVER_VERSION_NUMBER, uint32(C.barman_recover_version_number())) {
		return running, nil
	}
	return running, refuse(fmt.Sprintf("libbarman_recover %s is running, but this program was built with %s",
		running, C.BARMAN_RECOVER_VERSION))
}

// fits says whether a library has everything that a header declares. Before 1.0 each minor version has its own ABI.
func fits(header, running uint32) bool {
	abi := func(version uint32) uint32 {
		if version>>16 > 0 {
			return version >> 16 << 8
		}
		return version >> 8
	}
	return abi(header) == abi(running) && running >= header
}

// command runs a command and delivers its events on this goroutine. When ctx is done, or when OnEvent panics, the command
// is cancelled, and its end waited for. The result is decoded into a struct.
func command(ctx context.Context, options Options, name string, result any) error {
	if _, err := Version(); err != nil {
		return err
	}
	list, err := options.list()
	if err != nil {
		return err
	}
	c := C.barman_recover_new()
	defer C.barman_recover_free(c) // cancels what runs after a panic, and waits for its end
	for _, option := range list {
		if refused := set(c, option); refused != 0 {
			return errorOf(c, nil)
		}
	}
	if ctx.Err() != nil {
		C.barman_recover_cancel(c)
	}
	lent := C.CString(name)
	defer C.free(unsafe.Pointer(lent))
	if refused := C.barman_recover_start(c, lent); refused != 0 {
		return errorOf(c, nil)
	}
	defer cancelWith(ctx, c)()
	for {
		switch C.barman_recover_next_event(c, 60_000) {
		case 1:
			event := Event{Progress: Progress{Percent: -1}}
			if err := json.Unmarshal(all(c, true), &event); err != nil {
				return err
			}
			options.deliver(event)
		case -1:
			if err := json.Unmarshal(all(c, false), result); err != nil {
				return err
			}
			return errorOf(c, ctx.Err())
		}
	}
}

// cancelWith cancels the command when ctx is done. The function that it returns stops this, and waits until the handle
// is not used any more.
func cancelWith(ctx context.Context, c *C.barman_recover) func() {
	watched, stop := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-watched.Done()
		if ctx.Err() != nil {
			C.barman_recover_cancel(c)
		}
	}()
	return func() {
		stop()
		<-stopped
	}
}

func set(c *C.barman_recover, option option) C.int32_t {
	name, value := C.CString(option.name), C.CString(option.value)
	defer C.free(unsafe.Pointer(name))
	defer C.free(unsafe.Pointer(value))
	return C.barman_recover_set(c, name, value)
}

// errorOf is the error that the handle tells; nil for success.
func errorOf(c *C.barman_recover, cause error) error {
	failure := &Error{Code: Code(C.barman_recover_code(c))}
	if failure.Code == C.BARMAN_RECOVER_RECOVERY_DONE {
		return nil
	}
	if err := json.Unmarshal(all(c, false), failure); err != nil {
		return err
	}
	if failure.Message == "" {
		failure.Message = failure.Code.Error()
	}
	if failure.Code == ErrCancelled {
		failure.cause = cause
	}
	return failure
}

// all is the whole result as JSON, or the whole event.
func all(c *C.barman_recover, event bool) []byte {
	pointer := C.CString("")
	defer C.free(unsafe.Pointer(pointer))
	if event {
		return []byte(C.GoString(C.barman_recover_event(c, pointer)))
	}
	return []byte(C.GoString(C.barman_recover_get(c, pointer)))
}
