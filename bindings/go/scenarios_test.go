package barmanrecover_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	br "barman-recover.invalid/barmanrecover"
)

type scenario struct {
	Name    string
	Standin []string
	Script  json.RawMessage
	Options map[string]string
	Code    string
	State   string
	Creates int
}

type table struct {
	Common struct {
		Standin []string
		Options map[string]string
	}
	Scenarios []scenario
}

// Every scenario of the table that hosts of all languages run ends as it says.
func TestScenarios(t *testing.T) {
	text, err := os.ReadFile("../../tests/scenarios.json")
	if err != nil {
		t.Skip("the table is not beside this module: ", err)
	}
	var all table
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	for _, one := range all.Scenarios {
		one := one
		t.Run(one.Name, func(t *testing.T) {
			t.Parallel()
			play(t, all, one)
		})
	}
}

func play(t *testing.T, all table, one scenario) {
	words := append(append([]string{}, all.Common.Standin...), one.Standin...)
	if len(one.Script) > 0 {
		script := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(script, one.Script, 0o600); err != nil {
			t.Fatal(err)
		}
		words = append(words, "--script", script)
	}
	api := startWith(t, words...)
	extra := map[string]string{"api-url": api.url, "data-directory": filepath.Join(api.directory, "data")}
	for _, options := range []map[string]string{all.Common.Options, one.Options} {
		for name, value := range options {
			extra[name] = value
		}
	}
	result, err := br.Restore(context.Background(), br.Options{Extra: extra})
	code, state := "RECOVERY_DONE", string(result.State)
	var failure *br.Error
	if errors.As(err, &failure) {
		code = fmt.Sprint(failure.Code)
	}
	if code != one.Code || state != one.State || api.creates() != one.Creates {
		t.Errorf("%s %s after %d creates instead of %s %s after %d: %v", code, state, api.creates(), one.Code, one.State,
			one.Creates, err)
	}
}

// creates counts the requests that asked for an operation.
func (s standin) creates() int {
	s.t.Helper()
	reply, err := http.Get(s.url + "/_standin/journal")
	if err != nil {
		s.t.Fatal(err)
	}
	defer reply.Body.Close()
	var journal struct{ Creates int }
	if err := json.NewDecoder(reply.Body).Decode(&journal); err != nil {
		s.t.Fatal(err)
	}
	return journal.Creates
}
