// A plugin of Docker's client that knows its own metadata and version; it stands in for a project with many files.
package main

import (
	"fmt"
	"os"
	"runtime"
)

var version = "unset"

func main() {
	if len(os.Args) > 1 && os.Args[1] == "docker-cli-plugin-metadata" {
		fmt.Printf("{\"SchemaVersion\":\"0.1.0\",\"Vendor\":\"tests\",\"Version\":%q,\"ShortDescription\":\"made from git\"}\n", version)
		return
	}
	fmt.Println("made-from-git", version, runtime.GOOS+"/"+runtime.GOARCH)
}
