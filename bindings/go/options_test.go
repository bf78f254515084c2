package barmanrecover

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// Each field is an option of the library, with a type for its kind.
func TestTheFieldsAreOptionsOfTheLibrary(t *testing.T) {
	kinds := map[string]string{
		"text": "string", "word": "string", "path": "string", "url": "string",
		"seconds": "time.Duration", "count": "int", "flag": "bool",
	}
	table, err := OptionTable()
	library := map[string]string{}
	for _, option := range table {
		library[option.Name] = kinds[option.Kind]
		if option.Help == "" || len(option.Commands) == 0 {
			t.Error(option)
		}
	}
	options := reflect.TypeOf(Options{})
	for i := 0; i < options.NumField(); i++ {
		field := options.Field(i)
		if name, there := field.Tag.Lookup("option"); there && library[name] != field.Type.String() {
			t.Errorf("%s is %q in the library", name, library[name])
		}
	}
	if len(library) < 20 || err != nil {
		t.Error(library, err)
	}
}

func TestValuesAreThoseOfTheCommandLine(t *testing.T) {
	options := Options{
		APIURL: "http://barman", LoopWait: 1500 * time.Millisecond, RetryWait: 1, MaxRetries: 7, NoVerify: true,
		Extra: map[string]string{"max-retries": "0", "deadline": "9"},
	}
	list, err := options.list()
	want := "[{api-url http://barman} {retry-wait 1} {max-retries 7} {loop-wait 2} {no-verify true} {deadline 9} {max-retries 0}]"
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
}

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
