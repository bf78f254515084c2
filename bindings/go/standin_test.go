package barmanrecover_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	br "barman-recover.invalid/barmanrecover"
)

// standin is a pg-backup-api of a test's own, with a directory for what it restores.
type standin struct {
	t              *testing.T
	url, directory string
}

// quick restores end by themselves, endless ones only in a minute; both write files.
var (
	quick   = []string{"--fill", "--duration-ms", "300", "--unique-ids"}
	endless = []string{"--fill", "--duration-ms", "60000", "--unique-ids"}
)

// start runs the program that the environment variable STANDIN names, until the end of the test.
func start(t *testing.T, words ...string) standin {
	t.Helper()
	return startWith(t, append([]string{"--server", "main", "--backup", "20261122T101942"}, words...)...)
}

// startWith gives it no server of its own.
func startWith(t *testing.T, words ...string) standin {
	t.Helper()
	program := os.Getenv("STANDIN")
	if program == "" {
		t.Skip("STANDIN does not name the program standin_api")
	}
	directory := t.TempDir()
	port := filepath.Join(directory, "port")
	command := exec.Command(program, "--listen", "127.0.0.1:0", "--port-file", port)
	command.Args = append(command.Args, words...)
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Process.Kill()
		command.Wait()
	})
	for limit := time.Now().Add(time.Minute); time.Now().Before(limit); time.Sleep(time.Millisecond) {
		if number, err := os.ReadFile(port); err == nil {
			return standin{t, "http://127.0.0.1:" + strings.TrimSpace(string(number)), directory}
		}
	}
	t.Fatal("the stand-in does not listen")
	return standin{}
}

// options are those of a restore into a directory of this name.
func (s standin) options(name string) br.Options {
	return br.Options{
		APIURL:        s.url,
		BarmanServer:  "main",
		SSHCommand:    "ssh node",
		DataDirectory: filepath.Join(s.directory, name),
		LoopWait:      time.Second,
	}
}

// hang makes it silent from now on.
func (s standin) hang() {
	s.t.Helper()
	script := strings.NewReader(`{"any": [{"hang_ms": 3600000, "times": 1000}]}`)
	reply, err := http.Post(s.url+"/_standin/script", "application/json", script)
	if err != nil {
		s.t.Fatal(err)
	}
	reply.Body.Close()
}

// waitFor returns when the operations have these states.
func (s standin) waitFor(states string) {
	s.t.Helper()
	for s.states() != states {
		time.Sleep(100 * time.Millisecond)
	}
}

func (s standin) states() string {
	s.t.Helper()
	listed, err := br.ListOperations(context.Background(), s.options(""))
	if err != nil {
		s.t.Fatal(err)
	}
	var states []string
	for _, operation := range listed {
		states = append(states, fmt.Sprint(operation.Kind, " ", operation.State))
	}
	return strings.Join(states, ", ")
}
