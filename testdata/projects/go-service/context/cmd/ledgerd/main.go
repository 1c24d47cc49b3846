package main

import (
	"os"
	"runtime"
)

var version = "unset"

func main() {
	os.Stdout.WriteString("ledgerd " + version + " on " + runtime.GOARCH + " does " + os.Args[len(os.Args)-1] + "\n")
}
