package barmanrecover

// #include <barman_recover.h>
// #include <stdlib.h>
import "C"

import (
	"context"
	"unsafe"
)

// How long to wait for an event before looking again whether the library has refused to begin.
const eventWaitMs = 500

// command runs a command in its own goroutine, and delivers its events on this one. When ctx is done, or when OnEvent
// panics, it cancels the command and waits for its end. collect takes the results.
func command(
	ctx context.Context, options Options, run func(*C.barman_recover) C.int32_t, collect func(*C.barman_recover),
) error {
	if _, err := Version(); err != nil {
		return err
	}
	list, err := options.list()
	if err != nil {
		return err
	}
	c := C.barman_recover_new()
	defer C.barman_recover_free(c)
	for _, option := range list {
		if code := set(c, option); code != 0 {
			return errorOf(c, code, nil)
		}
	}
	if ctx.Err() != nil {
		C.barman_recover_cancel(c)
	}
	defer cancelWith(ctx, c)()

	var code C.int32_t
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		code = run(c)
	}()
	defer func() {
		C.barman_recover_cancel(c) // without effect on a command that has ended
		<-ended
	}()
	for event, more := next(c, ended); more; event, more = next(c, ended) {
		if event != nil {
			options.deliver(*event)
		}
	}
	<-ended
	collect(c)
	return errorOf(c, code, ctx.Err())
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

// next waits for an event: nil if none came in time. more is false when there will be no more.
func next(c *C.barman_recover, ended <-chan struct{}) (event *Event, more bool) {
	over := false
	select {
	case <-ended:
		over = true
	default:
	}
	kind := C.barman_recover_next_event(c, eventWaitMs)
	switch kind {
	case -1:
		return nil, false
	case 0:
		return nil, !over
	case C.BARMAN_RECOVER_EVENT_TICK:
		return nil, true
	default:
		return eventOf(c, EventKind(kind)), true
	}
}

func eventOf(c *C.barman_recover, kind EventKind) *Event {
	event := &Event{Kind: kind, Level: Info}
	level, message := C.barman_recover_event_level(c), C.GoString(C.barman_recover_event_message(c))
	switch kind {
	case StateChanged:
		event.State, event.OperationID = State(level), message
	case ProgressMade:
		event.Message = message
		event.Progress = Progress{
			Percent:    int(level),
			Bytes:      uint64(C.barman_recover_bytes(c)),
			TotalBytes: uint64(C.barman_recover_total_bytes(c)),
		}
	default:
		event.Level, event.Message = Level(level), message
	}
	return event
}

func set(c *C.barman_recover, option option) C.int32_t {
	name, value := C.CString(option.name), C.CString(option.value)
	defer C.free(unsafe.Pointer(name))
	defer C.free(unsafe.Pointer(value))
	return C.barman_recover_set(c, name, value)
}

// errorOf is the error for a code; nil for success.
func errorOf(c *C.barman_recover, code C.int32_t, cause error) error {
	if code == C.BARMAN_RECOVER_RECOVERY_DONE {
		return nil
	}
	failure := &Error{
		Code:    Code(code),
		Message: C.GoString(C.barman_recover_error_message(c)),
		Hint:    C.GoString(C.barman_recover_hint(c)),
	}
	if failure.Message == "" {
		failure.Message = failure.Code.Error()
	}
	switch failure.Code {
	case ErrBusy:
		failure.Busy = BusyReason(C.barman_recover_busy_reason(c))
	case ErrCancelled:
		failure.cause = cause
	}
	return failure
}
