//go:build barman_recover_static

package barmanrecover

// The archive comes first and satisfies everything, so that as-needed drops the shared library of the same name.
// #cgo pkg-config: --static barman_recover
// #cgo LDFLAGS: -Wl,--as-needed -l:libbarman_recover.a
import "C"
