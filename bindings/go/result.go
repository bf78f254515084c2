package barmanrecover

// #include <barman_recover.h>
import "C"

// Code is how a command ended. Each is an error for errors.Is; errors of commands are an [*Error] with one of them.
type Code int32

// Codes. Later versions of the library may have others.
const (
	// Barman reports that the recovery or switch failed; or the data is not in the data directory; or nothing has arrived
	// in it for the stall timeout. For Check: something fails. For Verify: there is no complete restore.
	ErrFailed Code = C.BARMAN_RECOVER_RECOVERY_FAILED
	// The API refused the request, or can't be reached any more.
	ErrHTTP Code = C.BARMAN_RECOVER_HTTP_ERROR
	// The API is not up and running; nothing was started.
	ErrAPINotOK Code = C.BARMAN_RECOVER_API_NOT_OK
	// An option is missing or wrong; nothing was sent.
	ErrInvalidArgument Code = C.BARMAN_RECOVER_INVALID_ARGUMENT
	// The context ended the command: errors.Is finds its error too.
	ErrCancelled Code = C.BARMAN_RECOVER_CANCELLED
	// The Deadline of the options has passed.
	ErrTimedOut Code = C.BARMAN_RECOVER_TIMED_OUT
	// PostgreSQL is running in the data directory; nothing was started.
	ErrBusy Code = C.BARMAN_RECOVER_BUSY
	// A bug in the library was caught.
	ErrPanic Code = C.BARMAN_RECOVER_PANIC
)

// Error returns the name of the code: "RECOVERY_FAILED".
func (c Code) Error() string { return C.GoString(C.barman_recover_code_name(C.int32_t(c))) }

// Error is the error of a command.
//
//	errors.Is(err, barmanrecover.ErrBusy)   // a code
//	errors.Is(err, context.Canceled)        // the context ended the command (then ErrCancelled is true as well)
//	errors.As(err, &failure)                // for the hint
type Error struct {
	Code Code
	// What went wrong, and what to do about it, in one line each; the hint may be "".
	Message, Hint string

	cause error
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Is makes errors.Is compare codes.
func (e *Error) Is(target error) bool { return target == error(e.Code) }

// Unwrap returns the error of the context that ended the command, or nil.
func (e *Error) Unwrap() error { return e.cause }

// State is what is known about an operation on the Barman host; "" when the API does not give it.
type State string

// States.
const (
	NotCreated State = "NOT_CREATED"
	// A request to create one is in flight, or its reply was lost: a restore may be running.
	MaybeCreated State = "MAYBE_CREATED"
	InProgress   State = "IN_PROGRESS"
	Done         State = "DONE"
	Failed       State = "FAILED"
)

// Result is the result of a restore. What is not known is "" or zero.
type Result struct {
	OperationID string `json:"operation_id"`
	State       State  `json:"operation_state"`
	// The backup that was restored.
	BackupID string `json:"backup_id"`
	// The HTTP status of the reply that decided.
	HTTPStatus int `json:"http_status"`
	// How many bytes have arrived in the data directory, WAL included; and the size of the backup, without WAL.
	Bytes      uint64
	TotalBytes uint64 `json:"total_bytes"`
	// The warnings of the log.
	Warnings       []string
	ElapsedSeconds float64 `json:"elapsed_seconds"`
}

// Switch is the result of a config switch.
type Switch struct {
	Switched    bool
	OperationID string `json:"operation_id"`
	State       State  `json:"operation_state"`
	HTTPStatus  int    `json:"http_status"`
	Warnings    []string
}

// Finding is the result of checking one thing: "OK", "WARNING", "FAILED" or "SKIPPED".
type Finding struct {
	Verdict string
	// What was checked, "data directory"; what was found; what to do about it, or "".
	What, Detail, Hint string
}

// Operation is an operation of the API, of the kind "recovery" or "config_switch".
type Operation struct {
	ID, Kind string
	State    State
}

// Backup is a backup of the Barman server. What Barman does not say is "" or zero.
type Backup struct {
	// As Options.BackupID takes it.
	ID string
	// The state that Barman gives: "DONE", "FAILED", "WAITING_FOR_WALS".
	Status string
	// Whether a restore brings all of it, files and WAL.
	Complete bool `json:"is_complete"`
	// Why it does not, where the status does not say it.
	Note string
	// As Barman writes them.
	BeginTime string `json:"begin_time"`
	EndTime   string `json:"end_time"`
	// How many bytes a restore writes, without WAL.
	Bytes uint64
	// The version of PostgreSQL, "15.18"; how Barman made it: "rsync", "postgres".
	Version, Mode string
}

// Verified is what [Verify] has found: "complete", "incomplete", "unproven" or "unknown".
type Verified struct {
	State, Detail string
	DataDirectory string `json:"data_directory"`
	// The backup that was restored, or nil.
	Backup *struct {
		ID, Server string
		// When it began, as Barman writes it.
		BeginTime string `json:"begin_time"`
	}
	// WAL files: the newest; if some are missing, the last one that the backup needs, and that is there without a gap.
	WAL struct{ Last, Needed, There string }
	// What one should know all the same.
	Warnings []struct{ Message, Hint string }
}

// Settled is what [Settle] did.
type Settled struct {
	// Where the remains are now: the data directory first. Empty if nothing was moved.
	MovedTo []string `json:"moved_to"`
	// Why nothing was moved, or "".
	LeftAlone string `json:"left_alone"`
}

// Option is a row of the library's table of options; its kind is "text", "word" (one of Words), "path", "url", "seconds",
// "count" or "flag".
type Option struct {
	Name, Alias, Kind, Default, Help string
	Words, Commands                  []string
	// Whether the commands that have this option require it.
	Required bool
}

// Event is something that happened during a command: "log" (a line for the log), "state" (of the operation) or "progress"
// (of a restore). Ignore kinds that you do not know.
type Event struct {
	Kind string
	// "DEBUG", "INFO", "WARNING" or "ERROR".
	Level string
	// One line of text, for every kind.
	Message string
	// Of a state.
	OperationID string `json:"operation_id"`
	State       State  `json:"operation_state"`
	// Of a progress: the share of the backup that has arrived; at most 99 until the data is complete, -1 while its size is
	// not known.
	Percent int
	// Of a progress: what has arrived in the data directory, WAL included; it may exceed TotalBytes while WAL arrives.
	Bytes uint64
	// Of a progress: the size of the backup without WAL; 0 while it is not known.
	TotalBytes uint64 `json:"total_bytes"`
}

// String returns the event as a line for a log, without its time.
func (e Event) String() string { return e.Level + ": " + e.Message }
