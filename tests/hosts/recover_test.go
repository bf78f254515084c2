// The wrapper of examples/recover.go among goroutines: go test recover.go recover_test.go
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

func directory(name string, number int) string {
	return fmt.Sprintf("%s/%s%d", os.Getenv("HOST_DIRECTORY"), name, number)
}

// Half of them end by themselves, half when their context is cancelled; meanwhile the garbage is collected.
func TestGoroutines(t *testing.T) {
	const each = 8
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(context.Background())
	var all, stuck sync.WaitGroup
	stuck.Add(each)
	for i := 0; i < each; i++ {
		i := i
		all.Add(2)
		go func() {
			defer all.Done()
			events := 0
			err := Recover(context.Background(), os.Getenv("HOST_API"), "main", "ssh node", directory("done", i),
				func(kind, level int, message string) { events++; runtime.GC() })
			if err != nil || events == 0 {
				t.Errorf("%v after %d events", err, events)
			}
		}()
		go func() {
			defer all.Done()
			inProgress := sync.Once{}
			err := Recover(ctx, os.Getenv("HOST_API"), "stuck", "ssh node", directory("stuck", i),
				func(kind, level int, message string) {
					if kind == 2 && level == 2 {
						inProgress.Do(stuck.Done)
					}
				})
			var failure *Error
			if !errors.As(err, &failure) || failure.Code != -4 || failure.State != 2 || !errors.Is(err, context.Canceled) {
				t.Errorf("%#v", err)
			}
		}()
	}
	stuck.Wait()
	cancel()
	all.Wait()
	for patience := 0; runtime.NumGoroutine() > before; patience++ {
		if patience > 1000 {
			t.Fatal("goroutines are left")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestContextThatIsDone(t *testing.T) {
	ctx, cancel := context.WithDeadline(context.Background(), time.Now())
	defer cancel()
	err := Recover(ctx, os.Getenv("HOST_API"), "stuck", "ssh node", directory("late", 0), func(int, int, string) {})
	var failure *Error
	// Either the run was not begun, or it was ended: never is it waited for.
	if !errors.As(err, &failure) || failure.Code != -4 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%#v", err)
	}
}

func TestWrongOption(t *testing.T) {
	err := Recover(context.Background(), "no URL", "main", "ssh node", directory("wrong", 0), nil)
	var failure *Error
	if !errors.As(err, &failure) || failure.Code != -3 || failure.Message == "" || errors.Is(err, context.Canceled) {
		t.Errorf("%#v", err)
	}
}
