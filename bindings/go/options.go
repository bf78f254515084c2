package barmanrecover

import (
	"fmt"
	"reflect"
	"time"
)

// Options are the options of all commands; each uses what it needs. The zero value of a field leaves the library's
// default. If a default is not zero, Extra can set zero: Extra: map[string]string{"max-retries": "0"}.
//
// Durations are rounded up to whole seconds. What the library refuses ([ErrInvalidArgument]: negative numbers, texts that are
// not UTF-8 or contain a NUL byte) is refused before anything is sent.
type Options struct {
	// URL of pg-backup-api: "http://barman:7480", "https://user:password@host/prefix". Required.
	APIURL string `option:"api-url"`
	// Name of the Barman server. Required.
	BarmanServer string `option:"barman-server"`
	// Command with which Barman reaches this node: "ssh postgres@node1". A restore requires it.
	SSHCommand string `option:"ssh-command"`
	// Data directory of this node: where to restore. A restore requires it.
	DataDirectory string `option:"data-directory"`
	// Backup to restore: an ID, or an alias such as "oldest". Default: "latest".
	BackupID string `option:"backup-id"`

	// Client certificate for the API, in PEM; the file may hold the key too.
	CertFile string `option:"cert-file"`
	// Key of the client certificate, in PEM, not encrypted.
	KeyFile string `option:"key-file"`
	// Certificates to trust, in PEM, in addition to those of the system.
	CAFile string `option:"ca-file"`
	// HTTP proxy to reach the API through. The proxy variables of the environment are ignored.
	Proxy string `option:"proxy"`

	// Pause before a failed request is sent again. Default: 2 s.
	RetryWait time.Duration `option:"retry-wait"`
	// How many times a request that failed and started nothing is sent. Default: 5.
	MaxRetries int `option:"max-retries"`
	// Limit for the API's reply to a question. Default: 20 s.
	RequestTimeout time.Duration `option:"request-timeout"`
	// Limit for the API's reply to the request that starts the operation. Default: 60 s.
	CreateTimeout time.Duration `option:"create-timeout"`
	// Longest pause between two requests for the state of the operation. Default: 10 s.
	LoopWait time.Duration `option:"loop-wait"`
	// How long to go on without a good reply about a running operation, while no data arrives. Default: 300 s.
	MaxOutage time.Duration `option:"max-outage"`
	// Limit for the whole command, which then ends with [ErrTimedOut]. Default: none.
	Deadline time.Duration `option:"deadline"`
	// How long an operation may be in progress while nothing arrives in the data directory. Default: no limit.
	StallTimeout time.Duration `option:"stall-timeout"`

	// Accept the API's DONE although the data is not in the data directory: for a restore to another node.
	NoVerify bool `option:"no-verify"`
	// Directory for what a run keeps while it restores. Default: next to the data directory, its name followed by
	// ".barman-recover".
	StateDir string `option:"state-dir"`
	// Restore to another host, or through a login with a forced command: Barman writes on when this run has ended.
	NoLease bool `option:"no-lease"`

	// Ask the API once for the size of the backup, for which Barman examines all its servers: progress has a percentage then.
	WatchSize bool `option:"watch-size"`

	// Check does not have Barman log in on this node.
	NoProbe bool `option:"no-probe"`
	// Check treats every warning as a failure.
	Strict bool `option:"strict"`

	// ConfigSwitch: the Barman model to apply. It requires this or Reset.
	BarmanModel string `option:"barman-model"`
	// ConfigSwitch: unapply the active model.
	Reset bool `option:"reset"`
	// ConfigSwitch: "promoted", "demoted" or "always". Required.
	SwitchWhen string `option:"switch-when"`
	// ConfigSwitch: the new role of this node, as Patroni calls it. Required.
	Role string `option:"role"`

	// ListOperations: how many at most. Default: 20.
	Limit int `option:"limit"`

	// Further options by name, as in [OptionTable], with values as on the command line of patroni_barman. They are
	// set last.
	Extra map[string]string

	// Called with each event, one at a time, on the goroutine that called the command. The command does not wait for it:
	// however slow it is, it gets each log line and state, and the newest progress. A panic in it cancels the command, and
	// continues once that has ended.
	OnEvent func(Event)
}

// each calls set with every option that is set, until one is refused.
func (o *Options) each(set func(name, value string) error) error {
	fields := reflect.ValueOf(o).Elem()
	for i := 0; i < fields.NumField(); i++ {
		name := fields.Type().Field(i).Tag.Get("option")
		if name == "" || fields.Field(i).IsZero() {
			continue
		}
		if err := set(name, text(fields.Field(i).Interface())); err != nil {
			return err
		}
	}
	for name, value := range o.Extra {
		if err := set(name, value); err != nil {
			return err
		}
	}
	return nil
}

// text is a value as on the command line. What is negative stays negative, which the library refuses.
func text(value any) string {
	duration, is := value.(time.Duration)
	if !is {
		return fmt.Sprint(value)
	}
	seconds := duration / time.Second
	switch rest := duration % time.Second; {
	case rest > 0:
		seconds++
	case rest < 0:
		seconds--
	}
	return fmt.Sprint(int64(seconds))
}
