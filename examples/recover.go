// Restores the latest backup of a Barman server, with progress; Ctrl-C ends it.
// go build recover.go && ./recover http://barman:7480 main 'ssh postgres@node1' /var/lib/postgresql/17/main
package main

/*
#cgo LDFLAGS: -lbarman_recover
#include <barman_recover.h>
#include <stdlib.h>

int32_t goEvent(uintptr_t, int32_t, int32_t, char *);
static inline int32_t on_event(int32_t kind, int32_t level, const char *message, void *data) {
	return goEvent((uintptr_t)data, kind, level, (char *)message);
}
static inline int32_t run(barman_recover *r, char *url, char *server, char *ssh, char *directory, uintptr_t data) {
	int32_t code = barman_recover_set_api_url(r, url);
	if (code == 0) code = barman_recover_set_barman_server(r, server);
	if (code == 0) code = barman_recover_set_ssh_command(r, ssh);
	if (code == 0) code = barman_recover_set_data_directory(r, directory);
	free(url), free(server), free(ssh), free(directory);
	barman_recover_set_event_callback(r, on_event, (void *)data);
	return code ? code : barman_recover_run(r);
}
*/
import "C"

import (
	"context"
	"log"
	"os"
	"os/signal"
	"runtime/cgo"
)

// Error is any end but a good one. errors.Is(err, context.Canceled) tells whether the context ended the run.
type Error struct {
	Code, State int // BARMAN_RECOVER_...; BARMAN_RECOVER_STATE_...: may Barman still be writing?
	Message     string
	cause       error
}

func (e *Error) Error() string { return e.Message }
func (e *Error) Unwrap() error { return e.cause }

// Recover restores the latest backup, unless ctx is done before. It calls tell, which must be quick and not panic.
func Recover(ctx context.Context, url, server, ssh, directory string, tell func(kind, level int, message string)) error {
	recovery, callback := C.barman_recover_new(), cgo.NewHandle(tell)
	defer C.barman_recover_free(recovery)
	defer callback.Delete()
	watched, end := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() { <-watched.Done(); C.barman_recover_cancel(recovery); close(stopped) }()
	code := C.run(recovery, C.CString(url), C.CString(server), C.CString(ssh), C.CString(directory), C.uintptr_t(callback))
	end()
	<-stopped // when the handle is freed, nothing may use it any more
	if code == C.BARMAN_RECOVER_RECOVERY_DONE {
		return nil
	}
	state, message := C.barman_recover_operation_state(recovery), C.barman_recover_error_message(recovery)
	return &Error{int(code), int(state), C.GoString(message), ctx.Err()}
}

//export goEvent
func goEvent(callback C.uintptr_t, kind, level C.int32_t, message *C.char) C.int32_t {
	cgo.Handle(callback).Value().(func(kind, level int, message string))(int(kind), int(level), C.GoString(message))
	return 0
}

func main() {
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt)
	tell := func(kind, level int, message string) {
		if kind == C.BARMAN_RECOVER_EVENT_STATE {
			message = "operation: " + C.GoString(C.barman_recover_state_name(C.int(level))) + " " + message
		}
		log.Print(message)
	}
	if err := Recover(ctx, os.Args[1], os.Args[2], os.Args[3], os.Args[4], tell); err != nil {
		log.Fatal(err)
	}
}
