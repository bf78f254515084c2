//go:build barman_recover_static

package barmanrecover

// The archive comes first, so that as-needed drops the shared library, which pkg-config names.

// #cgo pkg-config: --static barman_recover
// #cgo LDFLAGS: -Wl,--as-needed -l:libbarman_recover.a
import "C"
