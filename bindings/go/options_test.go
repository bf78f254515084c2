package barmanrecover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// What Options has is what the library has, with a type for its kind.
func TestTheOptionsAreThoseOfTheLibrary(t *testing.T) {
	kinds := map[OptionKind]string{
		KindText: "string", KindWord: "string", KindPath: "string", KindURL: "string",
		KindSeconds: "time.Duration", KindCount: "int", KindFlag: "bool",
	}
	fields := map[string]string{"verify": "bool"} // the default; NoVerify is its opposite
	options := reflect.TypeOf(Options{})
	for i := 0; i < options.NumField(); i++ {
		if name, there := options.Field(i).Tag.Lookup("option"); there {
			fields[name] = options.Field(i).Type.String()
		}
	}
	library := map[string]string{}
	for _, option := range ListOptions() {
		library[option.Name] = kinds[option.Kind]
		if option.Help == "" {
			t.Error(option)
		}
	}
	if !reflect.DeepEqual(fields, library) {
		t.Errorf("Options has %v\nthe library has %v", fields, library)
	}
}

func TestValuesAreThoseOfTheCommandLine(t *testing.T) {
	options := Options{
		APIURL: "http://barman", LoopWait: 1500 * time.Millisecond, RetryWait: 1, MaxRetries: 7, Force: true,
		Extra: map[string]string{"max-retries": "0", "deadline": "9"},
	}
	list, err := options.list()
	want := "[{api-url http://barman} {retry-wait 1} {max-retries 7} {loop-wait 2} {force true} {deadline 9} {max-retries 0}]"
	if fmt.Sprint(list) != want || err != nil {
		t.Error(list, err)
	}
}

func TestWrongValuesAreRefused(t *testing.T) {
	for why, options := range map[string]Options{
		"--data-directory: must not contain a NUL byte": {DataDirectory: "x\x00y"},
		"--ssh-command: is not UTF-8":                   {SSHCommand: "\xff"},
		"--loop-wait: must not be negative":             {LoopWait: -1},
		"--max-retries: must not be negative":           {MaxRetries: -1},
		`"--loop-wait": must not contain a NUL byte`:    {Extra: map[string]string{"loop-wait": "1\x00"}},
		`"--loop\x00wait": must not contain a NUL byte`: {Extra: map[string]string{"loop\x00wait": "1"}},
		"there is no option":                            {Extra: map[string]string{"loop-weight": "1"}},
		"is too large":                                  {Deadline: 1<<63 - 1},
	} {
		result, err := Restore(context.Background(), options)
		if !errors.Is(err, ErrInvalidArgument) || !strings.Contains(err.Error(), why) || result.State != NotCreated {
			t.Errorf("not %q: %v %v", why, result, err)
		}
	}
	for _, err := range []error{
		second(ShowOperation(context.Background(), Options{}, "a\x00b")),
		second(WaitOperation(context.Background(), Options{}, "\xff")),
		second(ListOperations(context.Background(), Options{}, -1)),
	} {
		if !errors.Is(err, ErrInvalidArgument) {
			t.Error(err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestTheVersionFits(t *testing.T) {
	if version, err := Version(); err != nil || !strings.Contains(version, ".") {
		t.Error(version, err)
	}
	for _, row := range []struct {
		header, running uint32
		fits            bool
	}{
		{0x000100, 0x000100, true},
		{0x000100, 0x000105, true},
		{0x000105, 0x000100, false}, // an older library may lack a function
		{0x000100, 0x000200, false}, // before 1.0, another ABI
		{0x010000, 0x010200, true},
		{0x010000, 0x020000, false},
		{0x000100, 0x010000, false},
	} {
		if fits(row.header, row.running) != row.fits {
			t.Errorf("%06x %06x", row.header, row.running)
		}
	}
}

func TestTheProgressOfferedNeverBlocks(t *testing.T) {
	offer(nil, Progress{})
	offer(make(chan Progress), Progress{})
	newest := make(chan Progress, 1)
	for percent := 0; percent < 3; percent++ {
		offer(newest, Progress{Percent: percent})
	}
	if progress := <-newest; progress.Percent != 2 || len(newest) != 0 {
		t.Error(progress)
	}
}

// A function that the header has, and that nothing here calls, is left out on purpose.
func TestTheWholeHeaderIsBound(t *testing.T) {
	header, err := os.ReadFile("../../include/barman_recover.h")
	if err != nil {
		t.Skip("this folder was copied: ", err)
	}
	var code strings.Builder
	files, _ := filepath.Glob("*.go")
	for _, file := range files {
		text, _ := os.ReadFile(file)
		code.Write(text)
	}
	leftOut := regexp.MustCompile(`^(set_.*|again|start|detach|result|switch_code_name)$`)
	functions := regexp.MustCompile(`(?m)^\w[\w *]*barman_recover_(\w+)\(.*;$`).FindAllStringSubmatch(string(header), -1)
	if len(functions) < 50 {
		t.Error(functions)
	}
	for _, function := range functions {
		name := function[1]
		if !leftOut.MatchString(name) && !strings.Contains(code.String(), "C.barman_recover_"+name+"(") {
			t.Error(name)
		}
	}
}

func TestNumbersHaveNames(t *testing.T) {
	names := fmt.Sprint(ErrAPINotOK, InProgress, ProgressMade, Warning, VerdictSkipped, VerifiedInUse, BusyStateFile, Code(77))
	if names != "API_NOT_OK IN_PROGRESS PROGRESS WARNING SKIPPED IN_USE STATE_FILE UNKNOWN" {
		t.Error(names)
	}
}
