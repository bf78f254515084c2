package barmanrecover

import "time"

// Result is the result of a command. It is filled in for an error too.
type Result struct {
	// The operation that the command started or follows; "" when it is not known.
	OperationID string
	// What is known about that operation. With an error, see [State.MayBeRunning].
	State State
	// The HTTP status of the reply that decided; 0 when no reply did.
	HTTPStatus int
	// How long the command took.
	Elapsed time.Duration
	// How many bytes have arrived in the data directory, WAL included.
	Bytes uint64
	// The size of the backup in bytes, without WAL; 0 when it is not known.
	TotalBytes uint64
}

// Finding is the result of checking one thing with [Check].
type Finding struct {
	Verdict Verdict
	// What was checked: "data directory".
	What string
	// What was found, in one line.
	Detail string
	// What to do about it; may be "".
	Hint string
}

// Operation is a row of the API's list.
type Operation struct {
	ID string
	// Its kind: "recovery", "config_switch"; "" when the API does not say.
	Kind string
	// StateUnknown when the API does not say.
	State State
}

// Backup is a backup of the Barman server.
type Backup struct {
	// As Options.BackupID takes it.
	ID string
	// The state that Barman gives: "DONE", "FAILED", "WAITING_FOR_WALS".
	Status string
	// Whether it can be restored.
	Complete bool
	// When it began and when it was complete, as Barman writes it; "" until then.
	BeginTime, EndTime string
	// How many bytes a restore writes, without WAL; 0 when Barman does not say.
	Bytes uint64
	// The version of PostgreSQL: "15.18".
	Version string
	// How Barman made it: "rsync", "postgres".
	Mode string
}

// Verified is what [Verify] has found in the data directory. Anything that the directory does not say is "" or zero.
type Verified struct {
	State VerifiedState
	// What was found, in one line.
	Detail string
	// The backup that was restored, and its Barman server.
	BackupID, Server string
	// When the backup was taken, as Barman writes it.
	Taken string
	// When Barman wrote its last file.
	Restored time.Time
	// The newest WAL file that was restored.
	LastWAL string
}

// Error is the error of a command.
//
//	errors.Is(err, barmanrecover.ErrBusy)   // a code
//	errors.Is(err, context.Canceled)        // the context ended the command (then ErrCancelled is true as well)
//	errors.As(err, &failure)                // for the hint
type Error struct {
	Code Code
	// What went wrong, in one line.
	Message string
	// What to do about it, in one line; may be "".
	Hint string
	// Why, when Code is ErrBusy.
	Busy BusyReason

	cause error
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Is makes errors.Is compare codes.
func (e *Error) Is(target error) bool { return target == error(e.Code) }

// Unwrap returns the error of the context that ended the command, or nil.
func (e *Error) Unwrap() error { return e.cause }

func refuse(why string) *Error { return &Error{Code: ErrInvalidArgument, Message: why} }

// MayBeRunning says whether Barman may still be writing into the data directory after a restore that failed.
func (s State) MayBeRunning() bool { return s == MaybeCreated || s == InProgress }
