// Restores the latest backup of a Barman server, with progress; Ctrl-C ends it. README.md in bindings/go says how to
// build it.
//
//	recover http://barman:7480 main 'ssh postgres@node1' /var/lib/postgresql/17/main
package main

import (
	"context"
	"log"
	"os"
	"os/signal"

	"barman-recover.invalid/barmanrecover"
)

func show(event barmanrecover.Event) {
	if event.Level != "DEBUG" {
		log.Print(event)
	}
}

func main() {
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt)
	options := barmanrecover.Options{
		APIURL: os.Args[1], BarmanServer: os.Args[2], SSHCommand: os.Args[3], DataDirectory: os.Args[4], OnEvent: show,
	}
	if result, err := barmanrecover.Restore(ctx, options); err != nil {
		log.Fatalf("%v (operation: %v)", err, result.State)
	}
}
