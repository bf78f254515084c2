package barmanrecover

// #include <barman_recover.h>
import "C"

// Code is how a command ended. Each is an error for errors.Is; errors of commands are an [*Error] with one of them.
type Code int32

// Codes. Later versions of the library may have others.
const (
	// Barman reports that the recovery, operation or switch failed; or the data is not in the data directory; or nothing
	// has arrived in it for the stall timeout. For Check: something fails. For Verify: there is no complete restore.
	// For EndRestore: it could not be ended.
	ErrFailed Code = C.BARMAN_RECOVER_RECOVERY_FAILED
	// The API refused the request, or can't be reached any more.
	ErrHTTP Code = C.BARMAN_RECOVER_HTTP_ERROR
	// The API is not up and running; nothing was started.
	ErrAPINotOK Code = C.BARMAN_RECOVER_API_NOT_OK
	// An argument or option is missing or wrong; nothing was sent.
	ErrInvalidArgument Code = C.BARMAN_RECOVER_INVALID_ARGUMENT
	// The context ended the command: errors.Is finds its error too.
	ErrCancelled Code = C.BARMAN_RECOVER_CANCELLED
	// The Deadline of the options has passed.
	ErrTimedOut Code = C.BARMAN_RECOVER_TIMED_OUT
	// Nothing was started; the Busy field of [Error] says why.
	ErrBusy Code = C.BARMAN_RECOVER_BUSY
	// A bug in the library was caught.
	ErrPanic Code = C.BARMAN_RECOVER_PANIC
)

// State is what is known about an operation on the Barman host.
type State int32

// States.
const (
	// The API does not give it.
	StateUnknown State = -1
	// No operation was created.
	NotCreated State = C.BARMAN_RECOVER_STATE_NOT_CREATED
	// A request to create one is in flight, or its reply was lost: a restore may be running.
	MaybeCreated State = C.BARMAN_RECOVER_STATE_MAYBE_CREATED
	// It was running when the API was last asked.
	InProgress State = C.BARMAN_RECOVER_STATE_IN_PROGRESS
	// It has ended; Barman calls it done.
	Done State = C.BARMAN_RECOVER_STATE_DONE
	// It has ended; Barman calls it failed.
	Failed State = C.BARMAN_RECOVER_STATE_FAILED
)

// EventKind is what an [Event] is about.
type EventKind int32

// Kinds of events. The ticks of the library are left out.
const (
	// A line for the log.
	Log EventKind = C.BARMAN_RECOVER_EVENT_LOG
	// The state of the operation has changed.
	StateChanged EventKind = C.BARMAN_RECOVER_EVENT_STATE
	// Something has arrived in the data directory.
	ProgressMade EventKind = C.BARMAN_RECOVER_EVENT_PROGRESS
)

// Level is the level of a log line.
type Level int32

// Levels.
const (
	Debug   Level = C.BARMAN_RECOVER_LEVEL_DEBUG
	Info    Level = C.BARMAN_RECOVER_LEVEL_INFO
	Warning Level = C.BARMAN_RECOVER_LEVEL_WARNING
	// Why the command ends, or a hint at what to do.
	LevelError Level = C.BARMAN_RECOVER_LEVEL_ERROR
)

// Verdict is the verdict of a [Finding].
type Verdict int32

// Verdicts.
const (
	// As it should be.
	VerdictOK Verdict = C.BARMAN_RECOVER_VERDICT_OK
	// A restore may run into trouble.
	VerdictWarning Verdict = C.BARMAN_RECOVER_VERDICT_WARNING
	// A restore can't succeed.
	VerdictFailed Verdict = C.BARMAN_RECOVER_VERDICT_FAILED
	// It was not checked; the detail says why.
	VerdictSkipped Verdict = C.BARMAN_RECOVER_VERDICT_SKIPPED
)

// VerifiedState is what [Verify] has found.
type VerifiedState int32

// What a data directory holds.
const (
	// The check has not finished.
	VerifiedUnknown VerifiedState = -1
	// Nothing: it is missing, empty, not a directory, or can't be seen.
	VerifiedNone VerifiedState = C.BARMAN_RECOVER_VERIFIED_NONE
	// A complete restore, on which PostgreSQL has not been started yet.
	VerifiedComplete VerifiedState = C.BARMAN_RECOVER_VERIFIED_COMPLETE
	// Barman is writing into it, or something in it has just changed.
	VerifiedBeingWritten VerifiedState = C.BARMAN_RECOVER_VERIFIED_BEING_WRITTEN
	// Files of a restore that was cut off, or that did not come from Barman.
	VerifiedIncomplete VerifiedState = C.BARMAN_RECOVER_VERIFIED_INCOMPLETE
	// PostgreSQL is running in it, or has been started in it since the restore.
	VerifiedInUse VerifiedState = C.BARMAN_RECOVER_VERIFIED_IN_USE
)

// BusyReason is why a command ended with [ErrBusy].
type BusyReason int32

// Reasons to be busy.
const (
	// PostgreSQL is running in the data directory.
	BusyPostgres BusyReason = C.BARMAN_RECOVER_BUSY_POSTGRES
	// The state file belongs to a different API, server, data directory or operation; for EndRestore, to a run that is
	// alive.
	BusyStateFile BusyReason = C.BARMAN_RECOVER_BUSY_STATE_FILE
)

// OptionKind is what the value of an option looks like.
type OptionKind int32

// Kinds of options.
const (
	KindText    OptionKind = C.BARMAN_RECOVER_KIND_TEXT
	KindWord    OptionKind = C.BARMAN_RECOVER_KIND_WORD
	KindPath    OptionKind = C.BARMAN_RECOVER_KIND_PATH
	KindURL     OptionKind = C.BARMAN_RECOVER_KIND_URL
	KindSeconds OptionKind = C.BARMAN_RECOVER_KIND_SECONDS
	KindCount   OptionKind = C.BARMAN_RECOVER_KIND_COUNT
	KindFlag    OptionKind = C.BARMAN_RECOVER_KIND_FLAG
)

// Error returns the name of the code: "RECOVERY_FAILED".
func (c Code) Error() string { return C.GoString(C.barman_recover_code_name(C.int32_t(c))) }

// String returns the name of the state: "IN_PROGRESS".
func (s State) String() string { return C.GoString(C.barman_recover_state_name(C.int32_t(s))) }

// String returns the name of the kind: "PROGRESS".
func (k EventKind) String() string { return C.GoString(C.barman_recover_event_name(C.int32_t(k))) }

// String returns the name of the level: "WARNING".
func (l Level) String() string { return C.GoString(C.barman_recover_level_name(C.int32_t(l))) }

// String returns the name of the verdict: "FAILED".
func (v Verdict) String() string { return C.GoString(C.barman_recover_verdict_name(C.int32_t(v))) }

// String returns the name of the state: "COMPLETE".
func (v VerifiedState) String() string {
	return C.GoString(C.barman_recover_verified_name(C.int32_t(v)))
}

// String returns the name of the reason: "STATE_FILE".
func (r BusyReason) String() string { return C.GoString(C.barman_recover_busy_name(C.int32_t(r))) }
