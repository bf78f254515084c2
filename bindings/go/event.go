package barmanrecover

import "strings"

// Event is something that happened during a command.
type Event struct {
	// Which of the following fields mean something. Ignore kinds that you do not know.
	Kind EventKind
	// Of a Log; Info for other kinds.
	Level Level
	// A Log: one line of text. A ProgressMade: the figures for people.
	Message string
	// Of a StateChanged.
	State State
	// Of a StateChanged; "" while it is not known.
	OperationID string
	// Of a ProgressMade.
	Progress Progress
}

// Progress is how far a restore has come.
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

// deliver hands an event on.
func (o *Options) deliver(event Event) {
	if event.Kind == ProgressMade {
		offer(o.Progress, event.Progress)
	}
	if o.OnEvent != nil {
		o.OnEvent(event)
	}
}

// offer sends without waiting; what nobody has received yet makes room.
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
