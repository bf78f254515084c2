package barmanrecover

// #include <barman_recover.h>
import "C"

import "fmt"

// Option is a row of the library's table of options.
type Option struct {
	Name, Help string
	// As text; "" when there is none.
	Default string
	Kind    OptionKind
	// Whether the commands that have this option require it.
	Required bool
}

// ListOptions returns the library's options of all commands.
func ListOptions() []Option {
	options := make([]Option, C.barman_recover_option_count())
	for i := range options {
		row := C.uint32_t(i)
		options[i] = Option{
			Name:     C.GoString(C.barman_recover_option_name(row)),
			Help:     C.GoString(C.barman_recover_option_help(row)),
			Default:  C.GoString(C.barman_recover_option_default(row)),
			Kind:     OptionKind(C.barman_recover_option_kind(row)),
			Required: C.barman_recover_option_required(row) == 1,
		}
	}
	return options
}

// Version returns the version of the library that is running. An error means that this package was built with the
// header of an incompatible version; every command then returns the same error and does nothing.
func Version() (string, error) {
	running := C.GoString(C.barman_recover_version())
	if fits(C.BARMAN_RECOVER_VERSION_NUMBER, uint32(C.barman_recover_version_number())) {
		return running, nil
	}
	return running, &Error{
		Code:    ErrInvalidArgument,
		Message: fmt.Sprintf("libbarman_recover %s is running, but this program was built with %s", running, C.BARMAN_RECOVER_VERSION),
		Hint:    "install the version that the program was built with, or build it again",
	}
}

// fits says whether a library has everything that a header declares. Before 1.0 each minor version has its own ABI.
func fits(header, running uint32) bool {
	abi := func(version uint32) uint32 {
		if version>>16 > 0 {
			return version >> 16 << 8
		}
		return version >> 8
	}
	return abi(header) == abi(running) && running >= header
}
