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

// Each option of the library has its field, with a type for its kind.
func TestTheFieldsAreTheOptionsOfTheLibrary(t *testing.T) {
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
		if name, there := field.Tag.Lookup("option"); there {
			if library[name] != field.Type.String() {
				t.Errorf("%s is %q in the library", name, library[name])
			}
			delete(library, name)
		}
	}
	if len(library) > 0 || len(table) < 20 || err != nil {
		t.Error("without a field: ", library, err)
	}
}

func TestValuesAreThoseOfTheCommandLine(t *testing.T) {
	options := Options{
		APIURL: "http://barman", LoopWait: 1500 * time.Millisecond, RetryWait: 1, MaxRetries: 7, NoVerify: true,
		Extra: map[string]string{"max-retries": "0", "deadline": "9"},
	}
	set := map[string]string{}
	err := options.each(func(name, value string) error { set[name] = value; return nil })
	want := "map[api-url:http://barman deadline:9 loop-wait:2 max-retries:0 no-verify:true retry-wait:1]"
	if fmt.Sprint(set) != want || err != nil {
		t.Error(set, err)
	}
}

func TestWrongValuesAreRefused(t *testing.T) {
	for why, options := range map[string]Options{
		`"--data-directory": must not contain a NUL byte`: {DataDirectory: "x\x00y"},
		`"--loop\x00wait": must not contain a NUL byte`:   {Extra: map[string]string{"loop\x00wait": "1"}},
		"--ssh-command: is not valid UTF-8":               {SSHCommand: "\xff"},
		"--loop-wait: takes whole seconds":                {LoopWait: -1},
		"--max-retries: takes":                            {MaxRetries: -1},
		"there is no option":                              {Extra: map[string]string{"loop-weight": "1"}},
		"is too large":                                    {Deadline: 1<<63 - 1},
	} {
		result, err := Restore(context.Background(), options)
		if !errors.Is(err, ErrInvalidArgument) || !strings.Contains(err.Error(), why) || result.State != NotCreated {
			t.Errorf("not %q: %v %v", why, result, err)
		}
	}
}
