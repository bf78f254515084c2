package barmanrecover

import "strings"

// Event is something that happened during a command.
type Event struct {
	// Says which of the following fields are set. Ignore kinds that you do not know.
	Kind EventKind
	// For a Log; Info for other kinds.
	Level Level
	// For a Log: one line of text. For a ProgressMade: the figures for people.
	Message string
	// For a StateChanged.
	State State
	// For a StateChanged; "" while it is not known.
	OperationID string
	// For a ProgressMade.
	Progress Progress
}

// Progress says how far a restore has got.
type Progress struct {
	// The share of the backup that has arrived; at most 99 until the data is complete, -1 while its size is not known.
	Percent int
	// What has arrived in the data directory, WAL included; it may exceed TotalBytes while WAL arrives.
	Bytes uint64
	// The size of the backup without WAL; 0 while it is not known.
	TotalBytes uint64
}

// String returns the event as a line for a log, without its time.
func (e Event) String() string {
	switch e.Kind {
	case Log:
		return e.Level.String() + ": " + e.Message
	case StateChanged:
		return strings.TrimSpace("operation "+e.OperationID) + ": " + e.State.String()
	default:
		return e.Message
	}
}

// deliver passes an event to the host.
func (o *Options) deliver(event Event) {
	if event.Kind == ProgressMade {
		offer(o.Progress, event.Progress)
	}
	if o.OnEvent != nil {
		o.OnEvent(event)
	}
}

// offer sends without waiting; it replaces a value that has not been received yet.
func offer(to chan Progress, newest Progress) {
	for {
		select {
		case to <- newest:
			return
		default:
		}
		if cap(to) == 0 {
			return
		}
		select {
		case <-to:
		default:
		}
	}
}
