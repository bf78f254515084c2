//go:build !barman_recover_static

package barmanrecover

// #cgo pkg-config: barman_recover
import "C"
