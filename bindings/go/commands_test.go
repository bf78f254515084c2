package barmanrecover_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	br "barman-recover.invalid/barmanrecover"
)

var background = context.Background()

func TestARestoreHandsOutItsEvents(t *testing.T) {
	api := start(t, quick...)
	var events []string
	var progress br.Event
	options := api.options("data")
	options.OnEvent = func(event br.Event) {
		events = append(events, event.String())
		if event.Kind == "progress" {
			progress = event
		}
	}
	result, err := br.Restore(background, options)
	if err != nil || result.State != br.Done || result.Bytes == 0 || result.ElapsedSeconds == 0 || result.BackupID == "" {
		t.Fatalf("%+v %v", result, err)
	}
	log := strings.Join(events, "\n")
	for _, line := range []string{"operation " + result.OperationID + " is IN_PROGRESS", "INFO: ", " is DONE", " kB"} {
		if !strings.Contains(log, line) {
			t.Errorf("no %q in:\n%s", line, log)
		}
	}
	if progress.Percent != 100 || progress.Bytes != result.Bytes {
		t.Errorf("%+v", progress)
	}
	if !strings.Contains(br.Version(), ".") {
		t.Error(br.Version())
	}
}

func TestEachEndHasItsError(t *testing.T) {
	api, failing := start(t, quick...), start(t, "--result", "FAILED")
	unknown, unreachable, wrong := api.options("a"), api.options("b"), api.options("c")
	unknown.BarmanServer, unknown.Extra = "nope", map[string]string{"retry-wait": "0"}
	unreachable.APIURL, unreachable.MaxRetries = "http://127.0.0.1:1", 1
	wrong.APIURL = "no URL"
	late := start(t, "--stuck").options("d")
	late.Deadline = time.Millisecond
	for _, row := range []struct {
		options br.Options
		want    br.Code
		state   br.State
	}{
		{failing.options("e"), br.ErrFailed, br.Failed},
		{unknown, br.ErrHTTP, br.NotCreated},
		{unreachable, br.ErrAPINotOK, br.NotCreated},
		{wrong, br.ErrInvalidArgument, br.NotCreated},
		{late, br.ErrTimedOut, br.InProgress},
	} {
		result, err := br.Restore(background, row.options)
		var failure *br.Error
		if !errors.Is(err, row.want) || !errors.As(err, &failure) || failure.Message == "" || result.State != row.state {
			t.Errorf("%v: %+v %v", row.want, result, err)
		}
		if errors.Is(err, br.ErrBusy) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v is what it is not", err)
		}
	}
}

func TestAContextEndsTheRestoreOnTheBarmanHostToo(t *testing.T) {
	api := start(t, endless...)
	ctx, cancel := context.WithCancel(background)
	options := api.options("data")
	options.OnEvent = func(event br.Event) {
		if event.Kind == "progress" && event.Bytes > 0 {
			cancel()
		}
	}
	result, err := br.Restore(ctx, options)
	if !errors.Is(err, br.ErrCancelled) || !errors.Is(err, context.Canceled) || result.OperationID == "" {
		t.Errorf("%+v %v", result, err)
	}
	api.waitFor("recovery FAILED")
}

func TestAContextThatIsDoneStartsNothing(t *testing.T) {
	api := start(t, endless...)
	ctx, cancel := context.WithDeadline(background, time.Now())
	defer cancel()
	result, err := br.Restore(ctx, api.options("data"))
	if !errors.Is(err, br.ErrCancelled) || !errors.Is(err, context.DeadlineExceeded) || result.State != br.NotCreated {
		t.Errorf("%+v %v", result, err)
	}
	if states := api.states(); states != "" {
		t.Error(states)
	}
}

// The context is done, but that is not what ended the run.
func TestAContextThatIsDoneTooLateIsNotTheCause(t *testing.T) {
	api := start(t, "--result", "FAILED")
	ctx, cancel := context.WithCancel(background)
	options := api.options("data")
	options.OnEvent = func(event br.Event) {
		if event.State == br.Failed {
			time.Sleep(time.Second / 2) // the command has ended long ago when it is cancelled
			cancel()
		}
	}
	if _, err := br.Restore(ctx, options); !errors.Is(err, br.ErrFailed) || errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAPanicOfTheHostEndsTheRestore(t *testing.T) {
	api := start(t, endless...)
	options := api.options("data")
	options.OnEvent = func(event br.Event) {
		if event.Kind == "progress" && event.Bytes > 0 {
			panic("the host's own")
		}
	}
	func() {
		defer func() {
			if caught := recover(); caught != "the host's own" {
				t.Error(caught)
			}
		}()
		br.Restore(background, options)
	}()
	api.waitFor("recovery FAILED")
}

func TestBackupsAreListedAndRestoredOnesVerified(t *testing.T) {
	api := start(t, quick...)
	backups, err := br.ListBackups(background, api.options(""))
	if err != nil || len(backups) != 1 || backups[0].ID != "20261122T101942" || !backups[0].Complete || backups[0].Bytes == 0 {
		t.Fatalf("%+v %v", backups, err)
	}
	options := api.options("data")
	if _, err := br.Restore(background, options); err != nil {
		t.Fatal(err)
	}
	found, err := br.Verify(background, br.Options{DataDirectory: options.DataDirectory})
	backup := found.Backup
	if err != nil || found.State != "complete" || backup == nil || backup.ID != backups[0].ID || backup.Server != "main" ||
		found.WAL.Last == "" {
		t.Errorf("%+v %v", found, err)
	}
	if settled, err := br.Settle(background, options); err != nil || len(settled.MovedTo) > 0 || settled.LeftAlone == "" {
		t.Errorf("%+v %v", settled, err)
	}
	if found, err := br.Verify(background, api.options("none")); !errors.Is(err, br.ErrFailed) || found.State != "incomplete" {
		t.Errorf("%+v %v", found, err)
	}
	listed, err := br.ListOperations(background, api.options(""))
	if err != nil || len(listed) != 1 || listed[0].Kind != "recovery" || listed[0].State != br.Done || listed[0].ID == "" {
		t.Error(listed, err)
	}
}

func TestEveryCommandEndsWithItsContext(t *testing.T) {
	api := start(t, "--stuck")
	api.hang()
	options := api.options("data")
	options.BarmanModel, options.SwitchWhen, options.Role = "model", "always", "primary"
	for name, command := range map[string]func(context.Context) error{
		"Check":          func(ctx context.Context) error { _, err := br.Check(ctx, options); return err },
		"ListBackups":    func(ctx context.Context) error { _, err := br.ListBackups(ctx, options); return err },
		"ListOperations": func(ctx context.Context) error { _, err := br.ListOperations(ctx, options); return err },
		"ConfigSwitch":   func(ctx context.Context) error { _, err := br.ConfigSwitch(ctx, options); return err },
	} {
		ctx, cancel := context.WithTimeout(background, 50*time.Millisecond)
		if err := command(ctx); !errors.Is(err, br.ErrCancelled) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(name, err)
		}
		cancel()
	}
}

func TestACheckReturnsItsFindings(t *testing.T) {
	api := start(t, quick...)
	right, wrong := api.options("data"), api.options("data")
	wrong.BarmanServer = "nope"
	for _, row := range []struct {
		options br.Options
		server  string
		probe   string
		want    error
	}{
		{right, "OK", "OK", nil},
		{wrong, "FAILED", "SKIPPED", br.ErrFailed},
	} {
		findings, err := br.Check(background, row.options)
		verdicts := map[string]string{}
		for _, finding := range findings {
			verdicts[finding.What] = finding.Verdict
		}
		if !errors.Is(err, row.want) || verdicts["API"] != "OK" || verdicts["server"] != row.server ||
			verdicts["probe"] != row.probe {
			t.Errorf("%+v %v", findings, err)
		}
	}
}

func TestAConfigSwitch(t *testing.T) {
	api, failing := start(t, quick...), start(t, "--result", "FAILED")
	for _, row := range []struct {
		api      standin
		when     string
		switched bool
		want     error
	}{
		{api, "promoted", true, nil},
		{api, "demoted", false, nil},
		{api, "", false, br.ErrInvalidArgument},
		{failing, "always", false, br.ErrFailed},
	} {
		options := row.api.options("")
		options.BarmanModel, options.SwitchWhen, options.Role = "model", row.when, "primary"
		result, err := br.ConfigSwitch(background, options)
		if result.Switched != row.switched || !errors.Is(err, row.want) || (result.OperationID != "") != (result.Switched || row.want == br.ErrFailed) {
			t.Errorf("%q: %+v %v", row.when, result, err)
		}
	}
}

// Half of them end by themselves, half when their context is done; meanwhile the garbage is collected.
func TestFortyGoroutines(t *testing.T) {
	const each = 20
	done, stuck := start(t, quick...), start(t, "--stuck", "--unique-ids")
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(background)
	var all, inProgress sync.WaitGroup
	for i := 0; i < each; i++ {
		options, endless := done.options(fmt.Sprint("done", i)), stuck.options(fmt.Sprint("stuck", i))
		events, once := 0, sync.Once{}
		options.OnEvent = func(br.Event) { events++; runtime.GC() }
		endless.OnEvent = func(event br.Event) {
			if event.State == br.InProgress {
				once.Do(inProgress.Done)
			}
		}
		inProgress.Add(1)
		all.Add(2)
		go func() {
			defer all.Done()
			if result, err := br.Restore(ctx, options); err != nil || result.State != br.Done || events == 0 {
				t.Errorf("%+v %v", result, err)
			}
			inProgress.Done()
		}()
		inProgress.Add(1)
		go func() {
			defer all.Done()
			if result, err := br.Restore(ctx, endless); !errors.Is(err, context.Canceled) || result.State != br.InProgress {
				t.Errorf("%+v %v", result, err)
			}
		}()
	}
	inProgress.Wait()
	cancel()
	all.Wait()
	for patience := 0; runtime.NumGoroutine() > before; patience++ {
		if patience > 1000 {
			t.Fatal("goroutines are left")
		}
		time.Sleep(10 * time.Millisecond)
	}
}
